"""Paddle, a merchant of record: it sells for us and sees to taxes; we are told what was paid.

https://developer.paddle.com/api-reference: a transaction with a price of its own is a top-up.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from api.outside.payments import (
    MICROS_PER_CENT,
    TOLERANCE_SECONDS,
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

URL = "https://api.paddle.com"


class Paddle:
    """One account at Paddle."""

    name = "paddle"
    can_save_cards = False
    """Paddle charges a saved card only while its owner looks on, or for a subscription."""

    def __init__(self, key: str, webhook_secrets: tuple[str, ...], url: str = URL) -> None:
        headers = {
            "Authorization": f"Bearer {key}",
            "Paddle-Version": "1",
            "Content-Type": "application/json",
        }
        self._line, self._secrets = Line(url, headers), webhook_secrets

    async def close(self) -> None:
        """Let the connections go."""
        await self._line.close()

    async def checkout(self, order: Order) -> Opened:
        """A transaction that waits for its payer. Paddle knows no key that makes two of them one."""
        asked = {
            "items": [
                {
                    "quantity": 1,
                    "price": {
                        "name": order.description,
                        "description": order.description,
                        "unit_price": {"amount": str(order.cents), "currency_code": "USD"},
                        "product": {"name": order.description, "tax_category": "saas"},
                    },
                }
            ],
            "currency_code": "USD",
            "collection_mode": "automatic",
            "custom_data": {"payment_id": order.payment_id},
        }
        status, told = await self._line.ask("POST", "/transactions", data=json.dumps(asked).encode())
        if status >= 400:
            raise Declined(_code(told))
        try:
            return Opened(text(told["data"]["id"]), text(told["data"]["checkout"]["url"]))
        except (KeyError, TypeError, ValueError) as error:
            raise PaymentsUnavailable("the answer is no transaction with a checkout") from error

    async def customer(self, owner_id: str, email: str) -> str:
        """Nobody asks for one: no card is saved."""
        raise Declined("cards are not saved")

    async def charge(self, order: Order, method_id: str) -> None:
        """Nobody can be charged while they are away."""
        raise Declined("cards are not saved")

    async def forget_card(self, method_id: str) -> None:
        """There is none."""

    def read(self, headers: Mapping[str, str], raw: bytes, now: float) -> Event:
        """`Paddle-Signature: ts=…;h1=…`, over `ts:body`."""
        pairs = [part.partition("=") for part in headers.get("Paddle-Signature", "").split(";")[:20]]
        stamps = [value for name, _, value in pairs if name.strip() == "ts" and value.isascii()]
        signatures = [value for name, _, value in pairs if name.strip() == "h1"]
        if len(stamps) != 1 or not stamps[0].isdigit() or len(stamps[0]) > 12:
            raise Forged
        if not is_signed(f"{stamps[0]}:".encode() + raw, signatures, self._secrets):
            raise Forged
        if abs(now - int(stamps[0])) > TOLERANCE_SECONDS:
            raise Forged
        event = json.loads(raw)
        try:
            at = int(datetime.fromisoformat(event["occurred_at"]).timestamp() * 1000)
            kind = text(event["event_type"])
            return Event(text(event["event_id"]), kind, _news(kind, event["data"], at))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError("this is no event of Paddle") from error


def _news(kind: str, thing: dict[str, Any], at: int) -> News | None:
    payment_id = (thing.get("custom_data") or {}).get("payment_id") or ""
    match kind:
        case "transaction.completed" if payment_id:
            if thing["currency_code"] != "USD":
                return None
            # Without the tax, which Paddle takes and passes on.
            cents = whole(thing["details"]["totals"]["subtotal"])
            return Paid(text(payment_id), text(thing["id"]), cents * MICROS_PER_CENT)
        case "transaction.payment_failed" if payment_id:
            return NotPaid(text(payment_id), "declined", "pending")
        case "transaction.canceled" if payment_id:
            return NotPaid(text(payment_id), "cancelled", "cancelled")
        case "adjustment.created" | "adjustment.updated":
            return _adjustment(thing, at)
    return None


def _adjustment(thing: dict[str, Any], at: int) -> Reversal | None:
    action = thing["action"]
    if action not in {"refund", "chargeback", "chargeback_reverse"} or thing["currency_code"] != "USD":
        return None
    sign = -1 if action == "chargeback_reverse" else 1
    return Reversal(
        reference=text(thing["id"]),
        payment_reference=text(thing["transaction_id"]),
        kind="refund" if action == "refund" else "dispute",
        micros=sign * whole(thing["totals"]["subtotal"]) * MICROS_PER_CENT,
        is_in_force=thing["status"] == "approved",
        at=at,
    )


def _code(told: Any) -> str:
    error = told.get("error") if isinstance(told, dict) else None
    return str(error.get("code") or "refused")[:100] if isinstance(error, dict) else "refused"
