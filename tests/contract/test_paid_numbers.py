"""A number that is paid for by itself: kept meanwhile, ordered once with its payment, never instead of it."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import AGENT, Api, Person, running_api
from tests.support.letters import wait_for
from tests.support.payment_stand_in import serving
from tests.support.stripe_server import STRIPE_SECRET, FakeStripe
from tests.support.telnyx import KEY, FakeTelnyx, telnyx


@dataclass
class Shop:
    api: Api
    telnyx: FakeTelnyx
    stripe: FakeStripe

    def checkout(self, person: Person, number: str, **asked: Any) -> dict[str, Any]:
        reply = person.ask("POST", "/v1/numbers/checkout", {"phone_number": number, **asked})
        assert reply.status == 200, reply.raw
        opened: dict[str, Any] = reply.json
        return opened

    def pay(self, opened: dict[str, Any]) -> None:
        """The provider's signed events, each delivered twice."""
        for event in self.stripe.pay(opened["paddle_transaction_id"]):
            for _ in range(2):
                assert event.deliver(self.api).status == 200


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home: Path = tmp_path_factory.mktemp("paid-numbers")
    (home / "rates.json").write_text('{"margin_percent": 50, "signup_bonus_usd": 0}')
    card = FakeStripe()
    with telnyx() as carrier, serving(card):
        settings = {
            "TELNYX_API_KEY": KEY,
            "TELNYX_PUBLIC_KEY": carrier.public_key,
            "CALL2ME_TELNYX_URL": carrier.url,
            "CALL2ME_TELNYX_SIP": "tcp:sip.telnyx.com",
            "CALL2ME_BILLING": "on",
            "CALL2ME_RATES": str(home / "rates.json"),
            "CALL2ME_PAYMENTS": "stripe",
            "STRIPE_API_KEY": "sk_test_stand_in",
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "CALL2ME_STRIPE_URL": card.url,
        }
        with running_api(home / "home", "", **settings) as api:
            yield Shop(api, carrier, card)


def until(is_so: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := is_so()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def status(person: Person, order_id: str) -> str:
    reply = person.ask("GET", f"/v1/numbers/orders/{order_id}")
    return str(reply.json["status"]) if reply.status == 200 else ""


def balance(person: Person) -> float:
    return float(person.ask("GET", "/v1/wallet/balance").json["balance_usd"])


def test_a_number_is_ordered_once_it_is_paid_and_not_before(shop: Shop) -> None:
    person, number = shop.api.person(), shop.telnyx.sell("+13125550901")
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    opened = shop.checkout(person, number, agent_id=agent_id)
    assert opened["checkout_url"].startswith("https://checkout.stripe.com/")
    assert opened["upfront_usd"] >= opened["monthly_usd"] > 0
    time.sleep(4)
    assert status(person, opened["order_id"]) == "", "nothing is ordered for a promise"
    other = shop.api.person()
    taken = other.ask("POST", "/v1/numbers/checkout", {"phone_number": number})
    assert taken.status == 409, "somebody else is paying for it"
    shop.pay(opened)
    assert until(lambda: status(person, opened["order_id"]) == "active")
    (kept,) = person.ask("GET", "/v1/phone-numbers").json
    assert (kept["number"], kept["agent_id"], kept["status"]) == (number, agent_id, "active")
    assert balance(person) == pytest.approx(0, abs=0.01)
    time.sleep(4)
    assert len(person.ask("GET", "/v1/numbers/orders").json) == 1, "the event came twice"


def test_what_was_paid_is_credit_when_the_number_is_gone(shop: Shop) -> None:
    person, number = shop.api.person(), shop.telnyx.sell("+13125550902")
    opened = shop.checkout(person, number)
    rival = shop.api.person()
    rival.made("/v1/phone-numbers", {"phone_number": number})
    shop.pay(opened)
    letter = wait_for(shop.api, person.email, "A number could not be bought")
    assert "credit of your account" in letter
    assert balance(person) == pytest.approx(opened["upfront_usd"], abs=0.01)
    assert status(person, opened["order_id"]) == ""


def test_the_same_key_is_one_checkout_and_who_asks_for_nothing_gets_none(shop: Shop) -> None:
    person, number = shop.api.person(), shop.telnyx.sell("+13125550903")
    key = {"Idempotency-Key": "number-3"}
    twice = [
        person.ask("POST", "/v1/numbers/checkout", {"phone_number": number}, headers=key) for _ in range(2)
    ]
    assert twice[0].json == twice[1].json
    stranger = shop.api.person()
    theirs = stranger.made("/v1/agents", AGENT)["agent_id"]
    wrong = {"phone_number": shop.telnyx.sell("+13125550904"), "agent_id": theirs}
    assert person.ask("POST", "/v1/numbers/checkout", wrong).status == 404
    assert person.ask("POST", "/v1/numbers/checkout", {"phone_number": "+13125559999"}).status == 409
    assert person.ask("POST", "/v1/numbers/checkout", {}).status == 422
