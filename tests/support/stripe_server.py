"""Stripe as far as we use it: stateful, on this machine, judged by its own SDK in tests."""

import json
import time
from typing import Any
from urllib.parse import parse_qsl

from tests.support.payment_stand_in import Answer, Event, StandIn

STRIPE_SECRET = "whsec_stand_in"


class FakeStripe(StandIn):
    """Checkout Sessions, customers, PaymentIntents, PaymentMethods, and their events."""

    def answer(self, method: str, path: str, raw: bytes, headers: dict[str, str]) -> Answer:
        asked = dict(parse_qsl(raw.decode(), keep_blank_values=True))
        self.asked.append((method, path, asked, headers))
        if self.is_down:
            return 503, {"error": {"type": "api_error", "message": "down"}}
        if headers.get("authorization") != "Bearer sk_test_stand_in":
            return 401, {"error": {"type": "invalid_request_error", "message": "Invalid API Key provided"}}
        key = headers.get("idempotency-key", "")
        if key and key in self._by_key:
            return self._by_key[key]
        answer = self._made(method, path, asked)
        if key and answer[0] < 500:
            self._by_key[key] = answer
        return answer

    def _made(self, method: str, path: str, asked: dict[str, str]) -> Answer:
        parts = path.strip("/").split("/")
        match method, parts[1:]:
            case "POST", ["checkout", "sessions"]:
                return self._session(asked)
            case "POST", ["customers"]:
                return 200, self._keep(
                    "cus", "customer", email=asked["email"], metadata=_nested(asked, "metadata")
                )
            case "POST", ["payment_intents"]:
                return self._intent(asked)
            case "POST", ["payment_methods", name, "detach"] if name in self.things:
                self.things[name]["customer"] = None
                return 200, self.things[name]
            case "GET", [*_, name] if name in self.things:
                return 200, self.things[name]
        return 404, {
            "error": {"type": "invalid_request_error", "code": "resource_missing", "message": "No such"}
        }

    def _session(self, asked: dict[str, str]) -> Answer:
        if asked.get("mode") != "payment" or "success_url" not in asked:
            return 400, {"error": {"type": "invalid_request_error", "code": "parameter_missing"}}
        session = self._keep(
            "cs_test",
            "checkout.session",
            mode="payment",
            status="open",
            payment_status="unpaid",
            payment_intent=None,
            amount_total=int(asked["line_items[0][price_data][unit_amount]"]),
            currency=asked["line_items[0][price_data][currency]"],
            customer=asked.get("customer"),
            client_reference_id=asked["client_reference_id"],
            success_url=asked["success_url"],
            cancel_url=asked["cancel_url"],
            metadata=_nested(asked, "metadata"),
        )
        session["url"] = f"https://checkout.stripe.com/c/pay/{session['id']}"
        session["saves"] = "payment_intent_data[setup_future_usage]" in asked
        return 200, session

    def _intent(self, asked: dict[str, str]) -> Answer:
        if self.declines:
            return 402, {
                "error": {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
            }
        method = self.things.get(asked["payment_method"])
        if method is None or method["customer"] != asked["customer"] or asked["off_session"] != "true":
            return 400, {"error": {"type": "invalid_request_error", "code": "resource_missing"}}
        return 200, self._paid_intent(int(asked["amount"]), _nested(asked, "metadata"), asked["customer"])

    def _paid_intent(self, cents: int, metadata: dict[str, str], customer: Any) -> dict[str, Any]:
        return self._keep(
            "pi",
            "payment_intent",
            amount=cents,
            amount_received=cents,
            currency="usd",
            status="succeeded",
            customer=customer,
            metadata=metadata,
        )

    def pay(self, session_id: str, *, last4: str = "4242") -> list[Event]:
        """Somebody pays on the hosted page; the events of it, in the order they are usually sent."""
        session = self.things[session_id]
        intent = self._paid_intent(session["amount_total"], session["metadata"], session["customer"])
        session |= {"status": "complete", "payment_status": "paid", "payment_intent": intent["id"]}
        events = []
        if session["saves"]:
            card = {"brand": "visa", "last4": last4, "funding": "credit", "exp_month": 12, "exp_year": 2030}
            method = self._keep("pm", "payment_method", type="card", card=card, customer=session["customer"])
            events.append(self.event("payment_method.attached", method))
        return [
            *events,
            self.event("payment_intent.succeeded", intent),
            self.event("checkout.session.completed", session),
        ]

    def expire(self, session_id: str) -> Event:
        """Nobody paid."""
        session = self.things[session_id]
        session["status"] = "expired"
        return self.event("checkout.session.expired", session)

    def refund(self, intent_id: str, cents: int, status: str = "succeeded") -> Event:
        """The operator gives money back."""
        refund = self._keep(
            "re", "refund", amount=cents, currency="usd", payment_intent=intent_id, status=status, metadata={}
        )
        return self.event("refund.created", refund)

    def change(self, event: Event, kind: str, **fields: Any) -> Event:
        """The same thing a moment later."""
        thing = self.things[json.loads(event.raw)["data"]["object"]["id"]]
        thing |= fields
        return self.event(kind, thing)

    def dispute(self, intent_id: str, cents: int) -> Event:
        """The payer's bank takes it back."""
        dispute = self._keep(
            "dp",
            "dispute",
            amount=cents,
            currency="usd",
            payment_intent=intent_id,
            status="needs_response",
            metadata={},
        )
        return self.event("charge.dispute.created", dispute)

    def intent_of(self, payment_id: str) -> str:
        """The PaymentIntent of one of our payments."""
        return next(
            name
            for name, thing in self.things.items()
            if thing["object"] == "payment_intent" and thing["metadata"].get("payment_id") == payment_id
        )

    def event(self, kind: str, thing: dict[str, Any]) -> Event:
        """An event about a thing as it is now."""
        told = {
            "id": self.new("evt"),
            "object": "event",
            "type": kind,
            "created": next(self._clock),
            "livemode": False,
            "api_version": "2026-10-28.endive",
            "data": {"object": json.loads(json.dumps(thing))},
        }
        return Event(
            "/v1/payments/webhooks/stripe", "Stripe-Signature", json.dumps(told).encode(), STRIPE_SECRET
        )

    def _keep(self, prefix: str, kind: str, **fields: Any) -> dict[str, Any]:
        thing = {
            "id": self.new(prefix),
            "object": kind,
            "created": int(time.time()),
            "livemode": False,
            **fields,
        }
        self.things[thing["id"]] = thing
        return thing


def _nested(asked: dict[str, str], name: str) -> dict[str, str]:
    return {key[len(name) + 1 : -1]: value for key, value in asked.items() if key.startswith(f"{name}[")}
