"""Stripe and Paddle as far as we use them: stateful, on this machine, judged by their own SDKs in tests."""

import hashlib
import hmac
import itertools
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from tests.support.api import Api, Reply

STRIPE_SECRET, PADDLE_SECRET = "whsec_stand_in", "pdl_ntfset_stand_in"
Answer = tuple[int, Any]


@dataclass
class Event:
    """A signed event, ready to be delivered when a test wants."""

    path: str
    header: str
    raw: bytes
    secret: str

    def signed(self, at: float | None = None, secret: str = "") -> dict[str, str]:
        """The header that signs it, as of a moment."""
        stamp = int(time.time() if at is None else at)
        key, is_stripe = (secret or self.secret).encode(), self.header.startswith("Stripe")
        message = f"{stamp}{'.' if is_stripe else ':'}".encode() + self.raw
        made = hmac.new(key, message, hashlib.sha256).hexdigest()
        return {self.header: f"t={stamp},v1={made}" if is_stripe else f"ts={stamp};h1={made}"}

    def deliver(self, api: Api, **how: Any) -> Reply:
        """Post it, signed for this very delivery, as providers do."""
        return api.ask("POST", self.path, raw=self.raw, headers=self.signed(**how))


@dataclass
class StandIn:
    """What both share: requests seen, things made, numbers given."""

    url: str = ""
    asked: list[tuple[str, str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)
    is_down: bool = False
    declines: bool = False
    _number: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _by_key: dict[str, Answer] = field(default_factory=dict)
    _clock: Iterator[int] = field(default_factory=lambda: itertools.count(int(time.time())))

    def new(self, kind: str) -> str:
        """An id that looks like theirs."""
        return f"{kind}_{next(self._number):026d}"

    def answer(self, method: str, path: str, raw: bytes, headers: dict[str, str]) -> Answer:
        """What they would answer."""
        raise NotImplementedError


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


@contextmanager
def serving(stand_in: StandIn) -> Iterator[None]:
    """Serve it on this machine until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, told = stand_in.answer(self.command, urlsplit(self.path).path, raw, headers)
            body = json.dumps(told).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PATCH = do_DELETE = _answer  # noqa: N815 - the library's names

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    stand_in.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _nested(asked: dict[str, str], name: str) -> dict[str, str]:
    return {key[len(name) + 1 : -1]: value for key, value in asked.items() if key.startswith(f"{name}[")}


def _iso() -> str:
    return datetime.now(UTC).isoformat()
