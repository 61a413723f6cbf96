"""Money comes in once, and is asked for once, wherever the api is killed."""

import asyncio
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from api.db.engine import Database
from api.wallet import ledger
from tests.support.api import Api, Person, running_api
from tests.support.dying_payments import EVENT_POINTS, RECHARGE_POINTS, Mortal, mortal
from tests.support.paddle_server import PADDLE_SECRET, FakePaddle
from tests.support.payment_stand_in import Event, serving
from tests.support.stripe_server import STRIPE_SECRET, FakeStripe


def paid_through_deaths(mortal: Mortal, api: Api, event: Event) -> None:
    """A provider says it again until it is answered, and the api dies each time a line later."""
    for point in EVENT_POINTS:
        assert mortal.lives_until(point), point
        with pytest.raises(OSError):  # noqa: PT011 - reset or closed, as the kernel has it
            event.deliver(api)
        assert mortal.ended() == -9, point


def book(person: Person) -> tuple[float, list[float], list[tuple[str, float]]]:
    """What a person has, what moved it, and their payments; oldest first."""
    rows = person.ask("GET", "/v1/wallet/transactions").json["transactions"]
    paid = person.ask("GET", "/v1/payments/history").json["payments"]
    balance = float(person.ask("GET", "/v1/wallet/balance").json["balance_usd"])
    return (
        balance,
        [row["amount_usd"] for row in reversed(rows)],
        [(row["status"], row["amount_usd"]) for row in reversed(paid)],
    )


def charges(stripe: FakeStripe, cents: int) -> list[dict[str, Any]]:
    return [
        thing
        for thing in stripe.things.values()
        if thing["object"] == "payment_intent" and thing["amount"] == cents
    ]


async def faults(url: str) -> list[str]:
    database = Database(url)
    try:
        async with database.transaction(writes=False) as session:
            return await ledger.faults(session)
    finally:
        await database.close()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_one_payment_is_one_credit_and_one_recharge_one_charge(database_url: str, tmp_path: Path) -> None:
    stripe, paddle = FakeStripe(), FakePaddle()
    with serving(stripe), serving(paddle):
        settings = {
            "CALL2ME_PAYMENTS": "stripe,paddle",
            "STRIPE_API_KEY": "sk_test_stand_in",
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "CALL2ME_STRIPE_URL": stripe.url,
            "PADDLE_API_KEY": "pdl_test_stand_in",
            "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
            "CALL2ME_PADDLE_URL": paddle.url,
        }
        with running_api(tmp_path / "home", database_url, **settings) as api:
            person = api.person()
            person.made("/v1/webhooks/endpoints", {"url": "https://hooks.example.com/paid"})
            asked = {"amount": 10, "save_card": True}
            first = person.ask("POST", "/v1/payments/checkout", asked).json
            saved, intent, completed = stripe.pay(first["session_id"])
            assert saved.deliver(api).status == 200
            asked = {"amount": 20, "provider": "paddle"}
            second = person.ask("POST", "/v1/payments/checkout", asked).json
            (sold,) = paddle.pay(second["session_id"])
        with mortal(api) as here:
            paid_through_deaths(here, api, intent)
            paid_through_deaths(here, api, sold)
            assert here.lives_until("-")
            for event in (intent, completed, sold):
                assert event.deliver(api).status == 200
            assert book(person) == (30, [10, 20], [("completed", 10), ("completed", 20)])
            here.stops()

            wanted = {"enabled": True, "threshold_usd": 40, "charge_amount_usd": 25}
            for number, point in enumerate(RECHARGE_POINTS):
                if here.lives_until(point) and number == 0:
                    with suppress(OSError):
                        person.ask("PUT", "/v1/payments/auto-charge", wanted)
                assert here.ended() == -9, point
            (charge,) = charges(stripe, 2500)
            keys = [seen[3]["idempotency-key"] for seen in stripe.asked if seen[1] == "/v1/payment_intents"]
            assert len(keys) > 1  # each life that did not learn of the answer asked again
            assert set(keys) == {f"charge-{charge['metadata']['payment_id']}"}
            paid_through_deaths(here, api, succeeded := stripe.event("payment_intent.succeeded", charge))

            assert here.lives_until("-")
            for event in (intent, completed, sold, succeeded):
                assert event.deliver(api).status == 200
            time.sleep(1)  # what would be done a second time would be done now
            assert book(person) == (
                55,
                [10, 20, 25],
                [("completed", 10), ("completed", 20), ("completed", 25)],
            )
            assert charges(stripe, 2500) == [charge]
            told = person.ask("GET", "/v1/webhooks/deliveries").json["deliveries"]
            assert [one["event"] for one in told] == ["payment.succeeded"] * 3
            here.stops()
    assert asyncio.run(faults(database_url)) == []
