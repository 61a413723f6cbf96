"""What a payer's browser is shown: a thank-you, and an invoice. Text of others is escaped; no script runs."""

from html import escape

from aiohttp import web

from api.payments.table import PaymentReversalRow, PaymentRow
from api.users.table import UserRow
from api.wallet.money import text

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
}
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:42rem;margin:3rem auto;padding:0 1rem}"
    "table{width:100%;border-collapse:collapse}"
    "td,th{text-align:left;padding:.4rem 0;border-bottom:1px solid #ccc}"
    "td:last-child,th:last-child{text-align:right}address{font-style:normal;white-space:pre-line}"
)


def _page(title: str, body: str) -> web.Response:
    html = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><main>{body}</main></html>"
    )
    return web.Response(text=html, content_type="text/html", charset="utf-8", headers=_HEADERS)


def thanks() -> web.Response:
    """Shown after paying. It credits nothing: only the provider's signed word does."""
    return _page(
        "Thank you",
        "<h1>Thank you</h1><p>Your balance is credited as soon as the payment provider has confirmed the "
        "payment, usually within a minute. You can close this page.</p>",
    )


def cancelled() -> web.Response:
    """Shown to somebody who did not pay."""
    return _page("Not paid", "<h1>Nothing was paid</h1><p>You can close this page.</p>")


def invoice(row: PaymentRow, payer: UserRow, gone: list[PaymentReversalRow], seller: str) -> web.Response:
    """One payment on paper: who, what, when, how much, and what of it went back."""
    who = [
        payer.company_name or payer.full_name or "",
        payer.billing_address or "",
        " ".join(part for part in (payer.billing_postal_code, payer.billing_city) if part),
        payer.billing_country or "",
        f"Tax number {payer.tax_id}" if payer.tax_id else "",
        payer.billing_email or payer.email,
    ]
    lines = [(f"Credit, paid by {row.provider.capitalize()}", row.amount_micros)]
    lines += [(one.kind.capitalize(), -one.posted_micros) for one in gone if one.posted_micros]
    total = sum(amount for _, amount in lines)
    rows = "".join(f"<tr><td>{escape(what)}<td>{_usd(amount)}" for what, amount in lines)
    at = row.completed_at or row.created_at
    return _page(
        f"Invoice {row.id}",
        f"<h1>Invoice</h1><p>{escape(row.id)}<br>{at:%Y-%m-%d}</p>"
        f"<h2>From</h2><address>{escape(seller)}</address>"
        f"<h2>To</h2><address>{escape(chr(10).join(part for part in who if part))}</address>"
        f"<table><tr><th>What<th>USD{rows}<tr><th>Total<th>{_usd(total)}</table>",
    )


def _usd(amount: int) -> str:
    return text(amount)[:-4]
