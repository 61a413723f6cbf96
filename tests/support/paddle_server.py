"""Paddle as far as we use it: stateful, on this machine, judged by its own SDK in tests."""

import json
from datetime import UTC, datetime
from typing import Any

from tests.support.payment_stand_in import Answer, Event, StandIn

PADDLE_SECRET = "pdl_ntfset_stand_in"


class FakePaddle(StandIn):
    """Transactions, adjustments, and their events."""

    def answer(self, method: str, path: str, raw: bytes, headers: dict[str, str]) -> Answer:
        asked = json.loads(raw or b"{}")
        self.asked.append((method, path, asked, headers))
        if self.is_down:
            return 503, {"error": {"type": "api_error", "code": "service_unavailable"}}
        if headers.get("authorization") != "Bearer pdl_test_stand_in":
            return 403, {"error": {"type": "request_error", "code": "forbidden", "detail": "No"}}
        if (method, path) == ("POST", "/transactions"):
            return 201, {"data": self._transaction(asked), "meta": {"request_id": self.new("req")}}
        name = path.rsplit("/", 1)[-1]
        if method == "GET" and name in self.things:
            return 200, {"data": self.things[name], "meta": {"request_id": self.new("req")}}
        return 404, {"error": {"type": "request_error", "code": "not_found", "detail": "No"}}

    def _transaction(self, asked: dict[str, Any]) -> dict[str, Any]:
        price = asked["items"][0]["price"]
        cents = int(price["unit_price"]["amount"])
        totals = {
            "subtotal": str(cents),
            "discount": "0",
            "tax": str(cents // 5),
            "total": str(cents + cents // 5),
            "credit": "0",
            "credit_to_balance": "0",
            "balance": str(cents + cents // 5),
            "grand_total": str(cents + cents // 5),
            "grand_total_tax": str(cents // 5),
            "fee": None,
            "earnings": None,
            "currency_code": "USD",
        }
        at = _iso()
        made = {
            "id": (id_ := self.new("txn")),
            "status": "ready",
            "customer_id": None,
            "address_id": None,
            "business_id": None,
            "custom_data": asked["custom_data"],
            "currency_code": asked["currency_code"],
            "origin": "api",
            "collection_mode": asked["collection_mode"],
            "items": [],
            "details": {
                "tax_rates_used": [],
                "totals": totals,
                "adjusted_totals": None,
                "payout_totals": None,
                "adjusted_payout_totals": None,
                "line_items": [],
            },
            "payments": [],
            "checkout": {"url": f"https://pay.example.com/?_ptxn={id_}"},
            "created_at": at,
            "updated_at": at,
        }
        self.things[id_] = made
        return made

    def pay(self, transaction_id: str) -> list[Event]:
        """Somebody pays."""
        transaction = self.things[transaction_id]
        transaction |= {"status": "completed", "customer_id": self.new("ctm"), "billed_at": _iso()}
        return [self.event("transaction.completed", transaction)]

    def adjust(self, transaction_id: str, action: str, cents: int, status: str = "approved") -> Event:
        """Money goes back, or comes again."""
        adjustment = {
            "id": self.new("adj"),
            "action": action,
            "type": "partial",
            "transaction_id": transaction_id,
            "customer_id": self.things[transaction_id]["customer_id"] or self.new("ctm"),
            "reason": "asked for",
            "currency_code": "USD",
            "status": status,
            "items": [],
            "totals": {
                "subtotal": str(cents),
                "tax": str(cents // 5),
                "total": str(cents + cents // 5),
                "fee": "0",
                "retained_fee": "0",
                "earnings": str(cents),
                "currency_code": "USD",
            },
            "created_at": _iso(),
            "updated_at": _iso(),
        }
        self.things[str(adjustment["id"])] = adjustment
        return self.event("adjustment.created", adjustment)

    def event(self, kind: str, thing: dict[str, Any]) -> Event:
        """An event about a thing as it is now."""
        told = {
            "event_id": self.new("evt"),
            "event_type": kind,
            "occurred_at": datetime.fromtimestamp(next(self._clock), UTC).isoformat(),
            "notification_id": self.new("ntf"),
            "data": thing,
        }
        return Event(
            "/v1/payments/webhooks/paddle", "Paddle-Signature", json.dumps(told).encode(), PADDLE_SECRET
        )


def _iso() -> str:
    return datetime.now(UTC).isoformat()
