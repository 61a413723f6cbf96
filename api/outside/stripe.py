"""Stripe: hosted checkout, saved cards, and events that say what really happened.

https://docs.stripe.com/api: forms in, JSON out, one header that makes a repeated request one request.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from api.outside.payments import (
    MICROS_PER_CENT,
    TOLERANCE_SECONDS,
    CardGone,
    CardSaved,
    Declined,
    Event,
    Forged,
    Line,
    News,
    NotPaid,
    Opened,
    Order,
    Paid,
    PaymentsUnavailable,
    Reversal,
    is_signed,
    text,
    whole,
)

URL = "https://api.stripe.com"
VERSION = "2026-10-28.endive"
_IN_FORCE = {
    "refund": {"pending", "requires_action", "succeeded"},
    "dispute": {"needs_response", "under_review", "lost"},
}


class Stripe:
    """One account at Stripe."""

    name = "stripe"
    can_save_cards = True

    def __init__(self, key: str, webhook_secrets: tuple[str, ...], url: str = URL) -> None:
        headers = {
            "Authorization": f"Bearer {key}",
            "Stripe-Version": VERSION,
            "Content-Type": "application/x-www-form-urlencoded",
        }
        self._line, self._secrets = Line(url, headers), webhook_secrets

    async def close(self) -> None:
        """Let the connections go."""
        await self._line.close()

    async def checkout(self, order: Order) -> Opened:
        """A Checkout Session in payment mode."""
        asked = {
            "mode": "payment",
            "client_reference_id": order.payment_id,
            "success_url": order.success_url,
            "cancel_url": order.cancel_url,
            "line_items[0][quantity]": "1",
            "line_items[0][price_data][currency]": "usd",
            "line_items[0][price_data][unit_amount]": str(order.cents),
            "line_items[0][price_data][product_data][name]": order.description,
            "metadata[payment_id]": order.payment_id,
            "payment_intent_data[metadata][payment_id]": order.payment_id,
        }
        if order.customer_id:
            asked |= {
                "customer": order.customer_id,
                "payment_intent_data[setup_future_usage]": "off_session",
            }
        else:
            asked["customer_email"] = order.email
        made = await self._post("/v1/checkout/sessions", asked, f"checkout-{order.payment_id}")
        return Opened(_told(made, "id"), _told(made, "url"))

    async def customer(self, owner_id: str, email: str) -> str:
        """A Customer, for whom cards are saved."""
        asked = {"email": email, "metadata[owner_id]": owner_id}
        return _told(await self._post("/v1/customers", asked, f"customer-{owner_id}"), "id")

    async def charge(self, order: Order, method_id: str) -> None:
        """A PaymentIntent, confirmed while nobody is there."""
        asked = {
            "amount": str(order.cents),
            "currency": "usd",
            "customer": order.customer_id,
            "payment_method": method_id,
            "payment_method_types[0]": "card",
            "off_session": "true",
            "confirm": "true",
            "description": order.description,
            "metadata[payment_id]": order.payment_id,
        }
        made = await self._post("/v1/payment_intents", asked, f"charge-{order.payment_id}")
        if made.get("status") not in {"succeeded", "processing"}:
            raise Declined(str(made.get("status"))[:100])

    async def forget_card(self, method_id: str) -> None:
        """Detach it from its customer."""
        status, told = await self._line.ask(
            "POST", f"/v1/payment_methods/{quote(method_id, safe='')}/detach", data=b""
        )
        if status >= 400 and _code(told) not in {"resource_missing", "payment_method_unexpected_state"}:
            raise PaymentsUnavailable(f"answered {status}")

    def read(self, headers: Mapping[str, str], raw: bytes, now: float) -> Event:
        """`Stripe-Signature: t=…,v1=…`, over `t.body`."""
        pairs = [part.partition("=") for part in headers.get("Stripe-Signature", "").split(",")[:20]]
        stamps = [value for name, _, value in pairs if name.strip() == "t" and value.isascii()]
        signatures = [value for name, _, value in pairs if name.strip() == "v1"]
        if len(stamps) != 1 or not stamps[0].isdigit() or len(stamps[0]) > 12:
            raise Forged
        if not is_signed(f"{stamps[0]}.".encode() + raw, signatures, self._secrets):
            raise Forged
        if abs(now - int(stamps[0])) > TOLERANCE_SECONDS:
            raise Forged
        event = json.loads(raw)
        try:
            thing = event["data"]["object"]
            kind, at = text(event["type"]), whole(event["created"]) * 1000
            return Event(text(event["id"]), kind, _news(kind, thing, at))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("this is no event of Stripe") from error

    async def _post(self, path: str, asked: Mapping[str, str], key: str) -> dict[str, Any]:
        status, told = await self._line.ask(
            "POST", path, data=urlencode(asked).encode(), headers={"Idempotency-Key": key}
        )
        if status >= 400:
            raise Declined(_code(told))
        if not isinstance(told, dict):
            raise PaymentsUnavailable("the answer is no object")
        return told


def _news(kind: str, thing: dict[str, Any], at: int) -> News | None:
    if kind.startswith("payment_method."):
        return _card(kind, thing)
    if kind.startswith(("refund.", "charge.refund.")) and thing.get("object") == "refund":
        return _reversal("refund", thing, at)
    if kind.startswith("charge.dispute."):
        return _reversal("dispute", thing, at)
    payment_id = (thing.get("metadata") or {}).get("payment_id")
    return _outcome(kind, thing, text(payment_id)) if payment_id else None


def _outcome(kind: str, thing: dict[str, Any], payment_id: str) -> News | None:
    match kind:
        case "checkout.session.completed" | "checkout.session.async_payment_succeeded":
            # "unpaid": a bank transfer that is still on its way.
            is_paid = thing.get("payment_status") == "paid"
            return (
                _paid(payment_id, thing["payment_intent"], thing["amount_total"], thing) if is_paid else None
            )
        case "payment_intent.succeeded":
            return _paid(payment_id, thing["id"], thing["amount_received"], thing)
        case "checkout.session.async_payment_failed":
            return NotPaid(payment_id, "the bank refused", "failed")
        case "checkout.session.expired":
            return NotPaid(payment_id, "nobody paid in time", "cancelled")
        case "payment_intent.payment_failed":
            why = (thing.get("last_payment_error") or {}).get("code") or "declined"
            return NotPaid(payment_id, text(why), "pending")
    return None


def _card(kind: str, thing: dict[str, Any]) -> News | None:
    if kind == "payment_method.detached":
        return CardGone(text(thing["id"]))
    card = thing.get("card")
    if not card or not thing.get("customer"):
        return None
    return CardSaved(
        _id(thing["customer"]),
        text(thing["id"]),
        text(card["brand"]),
        text(card["last4"]),
        text(card.get("funding") or ""),
    )


def _paid(payment_id: str, intent: Any, cents: Any, thing: dict[str, Any]) -> Paid | None:
    if thing["currency"] != "usd":
        return None  # we ask for dollars only: whatever this is, it was not asked for here
    return Paid(payment_id, _id(intent), whole(cents) * MICROS_PER_CENT)


def _reversal(kind: Any, thing: dict[str, Any], at: int) -> Reversal | None:
    if thing.get("currency") != "usd" or not thing.get("payment_intent"):
        return None
    return Reversal(
        reference=text(thing["id"]),
        payment_reference=_id(thing["payment_intent"]),
        kind=kind,
        micros=whole(thing["amount"]) * MICROS_PER_CENT,
        is_in_force=thing["status"] in _IN_FORCE[kind],
        at=at,
    )


def _id(thing: Any) -> str:
    """An object's id, also where the object itself stands there."""
    return text(thing["id"] if isinstance(thing, dict) else thing)


def _told(made: dict[str, Any], name: str) -> str:
    value = made.get(name)
    if not isinstance(value, str) or not value:
        raise PaymentsUnavailable(f"the answer has no {name}")
    return value


def _code(told: Any) -> str:
    error = told.get("error") if isinstance(told, dict) else None
    if not isinstance(error, dict):
        return "refused"
    return str(error.get("decline_code") or error.get("code") or error.get("type") or "refused")[:100]
