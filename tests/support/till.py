"""An api that takes money through Stripe and Paddle, and what somebody sees of theirs."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.api import Api, Person, running_api
from tests.support.paddle_server import PADDLE_SECRET, FakePaddle
from tests.support.payment_stand_in import Event, serving
from tests.support.stripe_server import STRIPE_SECRET, FakeStripe


@dataclass
class Till:
    """An api that takes money, and those who take it for it."""

    api: Api
    stripe: FakeStripe
    paddle: FakePaddle

    def checkout(self, person: Person, usd: Any = 10, **asked: Any) -> dict[str, Any]:
        """A checkout that must be opened."""
        reply = person.ask("POST", "/v1/payments/checkout", {"amount": usd, **asked})
        assert reply.status == 200, reply.raw
        opened: dict[str, Any] = reply.json
        return opened

    def deliver(self, *events: Event) -> None:
        """Deliver them, in this order; each must be taken."""
        for event in events:
            reply = event.deliver(self.api)
            assert (reply.status, reply.json) == (200, {"received": True}), reply.raw


@contextmanager
def running_till(folder: Path, database_url: str) -> Iterator[Till]:
    """Run it, on one kind of database."""
    stripe, paddle = FakeStripe(), FakePaddle()
    with serving(stripe), serving(paddle):
        settings = {
            "CALL2ME_PAYMENTS": "stripe,paddle",
            "STRIPE_API_KEY": "sk_test_stand_in",
            "STRIPE_WEBHOOK_SECRET": f"whsec_new, {STRIPE_SECRET}",
            "CALL2ME_STRIPE_URL": stripe.url,
            "PADDLE_API_KEY": "pdl_test_stand_in",
            "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
            "CALL2ME_PADDLE_URL": paddle.url,
            "CALL2ME_INVOICE_SELLER": r"Talking <Ltd>\n1 High Street",
        }
        with running_api(folder, database_url, **settings) as api:
            yield Till(api, stripe, paddle)


def balance(person: Person) -> float:
    """What there is, in US dollars."""
    return float(person.ask("GET", "/v1/wallet/balance").json["balance_usd"])


def payments(person: Person) -> list[tuple[str, float]]:
    """Status and US dollars of each payment."""
    listed = person.ask("GET", "/v1/payments/history").json["payments"]
    return [(payment["status"], payment["amount_usd"]) for payment in listed]


def moves(person: Person) -> list[float]:
    """What was booked, in US dollars, oldest first."""
    rows = person.ask("GET", "/v1/wallet/transactions").json["transactions"]
    return [row["amount_usd"] for row in reversed(rows)]
