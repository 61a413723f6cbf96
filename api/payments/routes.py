"""/v1/payments: money comes in by a provider's signed event, never by a reply or a redirect."""

import hashlib
import hmac
import time
from functools import partial
from typing import Any

from aiohttp import web
from sqlmodel import col, select

from api.db.engine import after_commit
from api.http.errors import BadGateway, BadRequest, Forbidden, Invalid, Unavailable
from api.http.links import base_url
from api.http.rate_limits import Limit
from api.http.routes import Routes, body_of
from api.http.transactions import let_go
from api.keys import CALLER, CLAIM, DATABASE, PAYMENTS, SESSION, SETTINGS
from api.outside.payments import Declined, Forged, PaymentsUnavailable, Provider
from api.payments import applying, auto_charge, cards, pages, recharge, service
from api.payments.schemas import (
    AutoCharge,
    AutoChargeUpdate,
    CallbackQuery,
    Checkout,
    CheckoutSession,
    Done,
    HistoryQuery,
    Payment,
    PaymentHistory,
    PaymentMethod,
    PaymentMethods,
    Received,
)
from api.payments.table import PaymentReversalRow
from api.users import service as users
from api.wallet.table import AutoChargeRow

routes = Routes("/v1/payments", tag="Payments")

EVENTS_LIMIT = Limit("payment events", 1200)
"""Of one address: a provider sends from few, and what it may not send now it sends again."""
MAX_EVENT_BYTES = 256 * 1024


class NoPaymentProvider(Unavailable):
    """No payment provider is set up here; ask whoever runs this server for credit"""


class ProviderFailed(BadGateway):
    """The payment provider did not open a checkout; nothing was charged"""


class NotSigned(Forbidden):
    """This event is not signed by the payment provider"""


class NoEvent(BadRequest):
    """This is no event of the payment provider"""


@routes.post("/checkout", older=["/topup"], errors=[NoPaymentProvider, ProviderFailed], resumes=True)
async def create_checkout(request: web.Request, body: Checkout) -> CheckoutSession:
    """Begin a payment: the payer goes to `checkout_url`. 503 where no payment provider is set up."""
    provider = _provider(request, body.provider)
    session, caller = request[SESSION], request[CALLER]
    cents = service.cents_of(body.amount)
    claim = request.get(CLAIM)
    payment_id = f"pay_{claim.stable_id}" if claim else ""
    row, payer = await service.begin(session, caller, provider.name, cents, payment_id)
    saves = body.save_card and provider.can_save_cards
    customer_id = await service.customer_of(session, caller.owner_id, provider.name) if saves else ""
    await let_go(request)  # the payment is written down; nobody waits for the provider with a lock
    try:
        if saves and not customer_id:
            customer_id = await provider.customer(caller.owner_id, payer.email)
            await service.note_customer(session, caller.owner_id, provider.name, customer_id)
            await let_go(request)
        ours = f"{base_url(request)}/v1/payments/callback"
        way_back = f"{ours}/cancel?payment={row.id}&signature={_signature(request, row.id)}"
        order = service.order_of(
            row,
            payer.email,
            body.success_url or f"{ours}/success",
            body.cancel_url or way_back,
            customer_id,
        )
        opened = await provider.checkout(order)
    except (Declined, PaymentsUnavailable) as error:
        await service.give_up(session, row.id, "failed", str(error))
        await let_go(request)
        raise ProviderFailed from error
    await service.opened(session, row.id, opened.session_id)
    return CheckoutSession(
        session_id=opened.session_id,
        payment_id=row.id,
        checkout_url=opened.url,
        provider=provider.name,
    )


def _provider(request: web.Request, name: str | None) -> Provider:
    known = request.app[PAYMENTS]
    if not known:
        raise NoPaymentProvider
    if name is None:
        return next(iter(known.values()))
    if name not in known:
        raise Invalid.at("body", "provider", msg=f"Set up here: {', '.join(known)}")
    return known[name]


# ── saved cards ──────────────────────────────────────────────────────────────────────────────────
@routes.get("/methods", older=["/saved-cards"])
async def list_payment_methods(request: web.Request) -> PaymentMethods:
    """List saved cards, the default one first."""
    rows = await cards.methods(request[SESSION], request[CALLER].owner_id)
    return PaymentMethods(methods=[PaymentMethod.of(row) for row in rows])


@routes.delete(
    "/methods/{method_id}",
    status=200,
    errors=[cards.PaymentMethodNotFound, cards.PaymentMethodInUse, ProviderFailed],
)
async def delete_payment_method(request: web.Request, method_id: str) -> Done:
    """Forget a card, at the provider too. Refused while it is charged when the balance runs low."""
    session, owner_id = request[SESSION], request[CALLER].owner_id
    row = await cards.removable(session, owner_id, method_id)
    await let_go(request)
    if (provider := request.app[PAYMENTS].get(row.provider)) is not None:
        try:
            await provider.forget_card(row.id)
        except (Declined, PaymentsUnavailable) as error:
            raise ProviderFailed from error
    await cards.remove_method(session, await cards.removable(session, owner_id, method_id))
    return Done()


@routes.post("/methods/{method_id}/default", errors=[cards.PaymentMethodNotFound])
async def set_default_payment_method(request: web.Request, method_id: str) -> PaymentMethod:
    """Let a card be the one that is meant when none is named."""
    return PaymentMethod.of(await cards.make_default(request[SESSION], request[CALLER].owner_id, method_id))


@routes.get("/auto-charge")
async def get_auto_charge(request: web.Request) -> AutoCharge:
    """Get whether a card is charged when the balance runs low."""
    return AutoCharge.of(await request[SESSION].get(AutoChargeRow, request[CALLER].owner_id))


@routes.put("/auto-charge", errors=[auto_charge.NoPaymentMethod, cards.PaymentMethodNotFound])
async def set_auto_charge(request: web.Request, body: AutoChargeUpdate) -> AutoCharge:
    """Have a card charged when the balance runs low; needs a saved card."""
    session, owner_id = request[SESSION], request[CALLER].owner_id
    row = await auto_charge.change(session, owner_id, body)
    after_commit(session, partial(recharge.consider, request.app[DATABASE], owner_id))
    return AutoCharge.of(row)


# ── reading ──────────────────────────────────────────────────────────────────────────────────────
@routes.get("/history")
async def list_payments(request: web.Request, query: HistoryQuery) -> PaymentHistory:
    """List what came in or should have, newest first."""
    rows, total = await service.history(request[SESSION], request[CALLER].owner_id, query.limit, query.offset)
    return PaymentHistory(payments=[Payment.of(row) for row in rows], total=total)


@routes.get("/{payment_id}/invoice", errors=[service.PaymentNotFound], produces=["text/html"])
async def get_invoice(request: web.Request, payment_id: str) -> web.StreamResponse:
    """Get a payment's invoice as a page to print. 404 for one that was not paid."""
    session, caller = request[SESSION], request[CALLER]
    row = await service.get(session, caller.owner_id, payment_id)
    if not row.is_paid:
        raise service.PaymentNotFound
    gone = await session.exec(
        select(PaymentReversalRow).where(
            PaymentReversalRow.provider == row.provider,
            col(PaymentReversalRow.payment_reference) == row.reference,
        )
    )
    payer = await users.get(session, caller)
    return pages.invoice(row, payer, list(gone.all()), request.app[SETTINGS].payments.seller)


# ── providers and their pages ────────────────────────────────────────────────────────────────────
@routes.get("/callback/success", public=True, produces=["text/html"])
async def show_success(request: web.Request, query: CallbackQuery) -> web.StreamResponse:
    """Thank a payer who comes back. Credits nothing."""
    return pages.thanks()


@routes.post("/callback/success", public=True, produces=["text/html"])
async def show_success_of_form(request: web.Request, query: CallbackQuery) -> web.StreamResponse:
    """The same for a provider that posts."""
    return pages.thanks()


@routes.get("/callback/cancel", public=True, produces=["text/html"])
async def show_cancelled(request: web.Request, query: CallbackQuery) -> web.StreamResponse:
    """Mark a payment as cancelled, where the link is ours; what the provider says later still counts."""
    if hmac.compare_digest(query.signature.encode(), _signature(request, query.payment).encode()):
        async with request.app[DATABASE].transaction() as session:
            await service.give_up(session, query.payment, "cancelled", "the payer went back")
    return pages.cancelled()


@routes.post("/callback/cancel", public=True, produces=["text/html"])
async def cancel_payment(request: web.Request, query: CallbackQuery) -> web.StreamResponse:
    """The same for a provider that posts."""
    return await show_cancelled(request, query)


@routes.post(
    "/webhooks/stripe",
    public=True,
    limit=EVENTS_LIMIT,
    errors=[NotSigned, NoEvent, Invalid],
    reads=dict[str, Any],
)
async def receive_stripe_event(request: web.Request) -> Received:
    """Take an event of Stripe, signed in `Stripe-Signature`."""
    return await _received(request, "stripe")


@routes.post(
    "/webhooks/paddle",
    public=True,
    limit=EVENTS_LIMIT,
    errors=[NotSigned, NoEvent, Invalid],
    reads=dict[str, Any],
)
async def receive_paddle_event(request: web.Request) -> Received:
    """Take an event of Paddle, signed in `Paddle-Signature`."""
    return await _received(request, "paddle")


async def _received(request: web.Request, name: str) -> Received:
    provider = request.app[PAYMENTS].get(name)
    if provider is None:
        raise NotSigned  # by nobody whom we know
    raw = await body_of(request)
    if len(raw) > MAX_EVENT_BYTES:
        raise NoEvent
    try:
        event = provider.read(request.headers, raw, time.time())
    except Forged:
        raise NotSigned from None
    except (ValueError, RecursionError):
        raise NoEvent from None
    # Money: on the disk before the provider is told that it need not say it again.
    async with request.app[DATABASE].transaction(is_durable=True) as session:
        await applying.apply(session, name, event)
    return Received()


def _signature(request: web.Request, payment_id: str) -> str:
    key = request.app[SETTINGS].secrets.jwt.encode()
    return hmac.new(key, f"payment:{payment_id}".encode(), hashlib.sha256).hexdigest()[:40]
