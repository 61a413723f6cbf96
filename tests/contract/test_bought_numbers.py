"""Numbers bought from Telnyx: held for, ordered once, charged with the number, rented, given back."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from call2me import Call2Me
from sqlalchemy import text
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.phoning import NoPhoneLine
from api.db.columns import now
from api.http.errors import sentence
from api.settings import Settings
from api.up.carrier import check
from tests.support.api import AGENT
from tests.support.shop import Shop, becomes, listed, money, until
from tests.support.telnyx import KEY, FakeTelnyx


def test_what_is_found_is_told_with_our_price(shop: Shop) -> None:
    number = shop.number(locality="Springfield", monthly="1.00", upfront="0.50", features=("voice", "sms"))
    shop.number(locality="Springfield", features=("voice",))
    person = shop.person()
    query = "country=us&locality=Springfield&area_code=312&features=sms,voice&limit=5"
    for path in ("/v1/numbers/search", "/v1/phone-numbers/available"):
        found = person.ask("GET", f"{path}?{query}").json
        assert found["total"] == 1
        assert found["numbers"][0] == {
            "phone_number": number,
            "country_code": "US",
            "phone_number_type": "local",
            "telnyx_cost_usd": 1.0,
            "monthly_price_usd": 1.5,
            "upfront_price_usd": 0.75,
            "features": ["voice", "sms"],
            "locality": "Springfield",
            "provider": "telnyx",
        }
        assert (found["requires_payment"], found["upfront_price_usd"]) == (False, 2.25)
    assert shop.person(0).ask("GET", f"/v1/numbers/search?{query}").json["requires_payment"] is True
    assert person.ask("GET", "/v1/numbers/allowed-countries").json == {"countries": ["CA", "DE", "US"]}
    assert person.ask("GET", "/v1/numbers/search?country=TR").status == 403
    for wrong in ("limit=0", "limit=101", "area_code=x", "type=premium", "features=A", "provider=twilio"):
        assert person.ask("GET", f"/v1/numbers/search?{wrong}").status == 422


def test_a_number_is_held_for_ordered_and_charged_when_it_is_there(shop: Shop) -> None:
    person, number = shop.person(), shop.number()
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    shop.telnyx.looks = -1
    try:
        order = shop.buy(person, number, agent_id=agent_id)
        assert (order["monthly_price_usd"], order["balance_after_usd"]) == (1.5, 22.0)
        assert money(person) == (25.0, 3.0)  # the welcome credit is there too
        until(lambda: len(shop.telnyx.bought(number)) == 1)
        assert listed(person) == [(number, "pending")]
        assert person.ask("DELETE", f"/v1/phone-numbers/{number}").status == 409
        assert person.ask("GET", f"/v1/phone-numbers/{number}/agent").status == 404
    finally:
        shop.telnyx.looks = 0
    assert becomes(person, order["order_id"]) == "active"
    assert money(person) == (22.0, 0.0)
    kept = person.ask("GET", f"/v1/phone-numbers/{number}").json
    assert (kept["status"], kept["provider"], kept["trunk_name"], kept["monthly_price_usd"]) == (
        "active",
        "telnyx",
        "Telnyx",
        1.5,
    )
    assert kept["next_billing_at"] > now().isoformat()
    (held,) = (one for one in shop.telnyx.numbers.values() if one["phone_number"] == number)
    assert held["connection_id"] in shop.telnyx.connections
    (charge,) = (
        one
        for one in person.ask("GET", "/v1/wallet/transactions").json["transactions"]
        if one["type"] == "usage"
    )
    assert (charge["amount_usd"], charge["cost_usd"], charge["margin_usd"]) == (-3.0, 2.0, 1.0)
    assert shop.books() == []


def test_the_connection_is_made_once_and_the_exchange_is_told_of_it(shop: Shop) -> None:
    person = shop.person()
    with ThreadPoolExecutor(3) as pool:
        for order in pool.map(lambda n: shop.buy(person, n), [shop.number() for _ in range(3)]):
            assert becomes(person, order["order_id"]) == "active"
    assert (len(shop.telnyx.connections), len(shop.telnyx.profiles)) == (1, 1)
    (made,) = shop.telnyx.connections.values()
    key = {"X-Internal-Key": shop.api.secrets["internal_key"]}
    (trunk,) = shop.api.ask("GET", "/internal/phones/trunks", headers=key).json["trunks"]
    assert (trunk["server"], trunk["transport"], trunk["registers"]) == ("sip.telnyx.com", "tcp", True)
    assert (trunk["username"], trunk["password"]) == (made["user_name"], made["password"])
    assert "192.76.120.10" in trunk["allowed_addresses"]
    assert person.ask("GET", "/v1/sip-trunks").json == []
    assert person.ask("GET", f"/v1/sip-trunks/{trunk['trunk_id']}").status == 404
    # Whoever has a number there may try it out by a call; here is only no phone line.
    tried = f"/v1/sip-trunks/{trunk['trunk_id']}/test-call"
    told = person.ask("POST", tried, {"to_number": "+14155550123"})
    assert (told.status, told.detail) == (503, sentence(NoPhoneLine))
    assert shop.person().ask("POST", tried, {"to_number": "+14155550123"}).status == 404
    kept = shop.run(_password_as_stored)
    assert kept.startswith("gAAAA")
    log = shop.api.log.read_bytes()
    assert trunk["password"].encode() not in log
    assert KEY.encode() not in log


async def _password_as_stored(session: AsyncSession) -> str:
    found = await session.exec(text("SELECT sip_password FROM sip_trunks WHERE owner_id IS NULL"))  # type: ignore[call-overload]
    return str(found.scalar_one())


def test_an_order_that_fails_costs_nothing(shop: Shop) -> None:
    person = shop.person()
    number = shop.number(outcome="failure")
    shop.telnyx.looks = 1
    order = shop.buy(person, number)
    assert becomes(person, order["order_id"]) == "failed"
    shop.telnyx.looks = 0
    assert (money(person), listed(person)) == ((25.0, 0.0), [])
    told = person.ask("GET", f"/v1/numbers/orders/{order['order_id']}").json
    assert told["reason"] == "the carrier could not deliver it"
    until(lambda: any("could not be bought" in one for one in shop.letters(person)))


def test_who_cannot_pay_or_may_not_buys_nothing(shop: Shop) -> None:
    number, dear = shop.number(), shop.number(monthly="100")
    for person, asked, status in (
        (shop.person(0), {"phone_number": number}, 402),  # welcome credit alone
        (shop.person(5), {"phone_number": dear}, 402),
        (shop.person(), {"phone_number": "+905321234567"}, 403),
        (shop.person(), {"phone_number": "+13125559999"}, 409),
        (shop.person(), {"phone_number": "+1"}, 422),
        (shop.person(), {"phone_number": "not a number"}, 422),
        (shop.person(), {}, 422),
        (shop.person(), {"country": "TR"}, 403),
        (shop.person(), {"phone_number": number, "provider": "twilio"}, 422),
        (shop.person(), {"phone_number": number, "agent_id": "agent_000000000000"}, 404),
    ):
        reply = person.ask("POST", "/v1/phone-numbers/buy", asked)
        assert reply.status == status, (asked, reply.raw)
        assert (money(person)[1], listed(person)) == (0.0, [])
    assert shop.telnyx.bought(number) == []


def test_one_of_many_gets_a_number_and_the_others_keep_their_money(shop: Shop) -> None:
    number = shop.number()
    people = [shop.person() for _ in range(5)]
    with ThreadPoolExecutor(5) as pool:
        replies = list(
            pool.map(lambda p: p.ask("POST", "/v1/numbers/purchase", {"phone_number": number}), people)
        )
    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409]
    winner = next(p for p, reply in zip(people, replies, strict=True) if reply.status == 200)
    order_id = next(reply.json["order_id"] for reply in replies if reply.status == 200)
    assert becomes(winner, order_id) == "active"
    assert sorted(money(person) for person in people) == [(22.0, 0.0)] + [(25.0, 0.0)] * 4
    assert shop.person().ask("POST", "/v1/phone-numbers", {"number": number}).status == 409


def test_an_account_has_ten_orders_under_way_at_most(shop: Shop) -> None:
    person = shop.person(50)
    shop.telnyx.looks = -1
    try:
        orders = [shop.buy(person, shop.number()) for _ in range(10)]
        one_more = {"phone_number": shop.number()}
        assert person.ask("POST", "/v1/numbers/purchase", one_more).status == 409
        assert money(person)[1] == 30.0
    finally:
        shop.telnyx.looks = 0
    assert len({order["order_id"] for order in orders}) == 10


def test_the_same_key_twice_is_one_number(shop: Shop) -> None:
    person, number = shop.person(), shop.number()
    headers = {"Idempotency-Key": f"one-{number}"}
    with ThreadPoolExecutor(3) as pool:
        replies = list(
            pool.map(
                lambda _: person.ask(
                    "POST", "/v1/numbers/purchase", {"phone_number": number}, headers=headers
                ),
                range(3),
            )
        )
    assert {reply.status for reply in replies} == {200}
    assert len({reply.json["order_id"] for reply in replies}) == 1
    assert becomes(person, replies[0].json["order_id"]) == "active"
    assert money(person) == (22.0, 0.0)


@pytest.mark.parametrize("kind", ["lost", "hang"])
def test_an_answer_that_is_lost_orders_nothing_twice(shop: Shop, kind: str) -> None:
    person, number = shop.person(), shop.number()
    shop.telnyx.fault("POST", "/number_orders", kind)
    order = shop.buy(person, number)
    assert becomes(person, order["order_id"]) == "active"
    assert len(shop.telnyx.bought(number)) == 1
    assert money(person) == (22.0, 0.0)


def test_what_the_carrier_refuses_is_said(shop: Shop) -> None:
    person, number = shop.person(), shop.number()
    shop.telnyx.fault("POST", "/number_orders", "402")
    order = shop.buy(person, number)
    assert becomes(person, order["order_id"]) == "failed"
    assert "Made to fail" in person.ask("GET", f"/v1/numbers/orders/{order['order_id']}").json["reason"]
    assert money(person) == (25.0, 0.0)
    shop.telnyx.fault("GET", "/available_phone_numbers", "401")
    reply = person.ask("GET", "/v1/numbers/search")
    assert reply.status == 502
    assert "The carrier did not answer" in reply.detail


def test_a_signed_event_has_the_order_looked_at_and_a_forged_one_does_nothing(shop: Shop) -> None:
    person, number = shop.person(), shop.number()
    shop.telnyx.looks = -1
    try:
        order = shop.buy(person, number)
        until(lambda: bool(shop.telnyx.bought(number)))
        (ordered,) = shop.telnyx.bought(number)
        raw = shop.telnyx.event(ordered["id"])
        path = "/v1/numbers/webhooks/telnyx"
        for headers in ({}, FakeTelnyx().signed(raw), shop.telnyx.signed(raw, time.time() - 400)):
            assert shop.api.ask("POST", path, raw=raw, headers=headers).status == 403
        assert shop.api.ask("POST", path, raw=b"{}", headers=shop.telnyx.signed(b"{}")).status == 400
        until(lambda: ordered.get("seen", 0) >= 3)  # the next look by itself is some seconds away
        shop.telnyx.finish(ordered["id"])
        raw = shop.telnyx.event(ordered["id"])
        for _ in range(3):
            reply = shop.api.ask("POST", path, raw=raw, headers=shop.telnyx.signed(raw))
            assert (reply.status, reply.json) == (200, {"received": True})
        assert becomes(person, order["order_id"], 3) == "active"
    finally:
        shop.telnyx.looks = 0
    assert money(person) == (22.0, 0.0)


def test_a_bought_number_is_bound_and_stays_on_its_connection(shop: Shop) -> None:
    person, number = shop.person(), shop.number()
    shop.bought(person, number)
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    trunk_id = person.made("/v1/sip-trunks", {"name": "T", "sip_server": "9.9.9.9"})["trunk_id"]
    bound = person.ask("POST", f"/v1/phone-numbers/{number}/assign", {"agent_id": agent_id})
    assert (bound.status, bound.json["agent_id"]) == (200, agent_id)
    assert person.ask("PATCH", f"/v1/phone-numbers/{number}", {"trunk_id": trunk_id}).status == 409
    told = person.ask("GET", f"/v1/phone-numbers/{number}/health").json
    assert [(one["name"], one["ok"]) for one in told["checks"]] == [
        ("number", True),
        ("carrier", True),
        ("line", False),  # no worker here has one
        ("agent", True),
    ]
    assert told["checks"][2]["message"] == "There is no phone line."
    (held,) = (one for one in shop.telnyx.numbers.values() if one["phone_number"] == number)
    held["connection_id"] = "elsewhere"
    told = person.ask("GET", f"/v1/phone-numbers/{number}/health").json
    assert "moved it" in told["checks"][1]["message"]


def test_a_country_is_enough_to_buy_the_first_number_there(shop: Shop) -> None:
    shop.telnyx.sell("+16475550199", country="CA")
    person = shop.person()
    for wrong in ({"country": "CA", "type": "x"}, {"country": "CA", "area_code": "x"}, {"country": "x" * 51}):
        assert person.ask("POST", "/v1/phone-numbers", wrong).status == 422
    made = person.ask("POST", "/v1/phone-numbers", {"country": "CA", "type": "local"})
    assert (made.status, made.json["number"], made.json["provider"]) == (201, "+16475550199", "telnyx")
    until(lambda: listed(person) == [("+16475550199", "active")])


# ── rent ─────────────────────────────────────────────────────────────────────────────────────────
def test_the_check_of_an_operator_buys_nothing(shop: Shop) -> None:
    before = len(shop.telnyx.orders)
    command = [sys.executable, "-m", "api.cli", "telnyx", "check"]
    shop.number()
    asked = {**shop.api.environment, "CALL2ME_NUMBER_COUNTRIES": "US"}
    told = subprocess.run(command, env=asked, capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "The key works. Balance: 100.00 USD." in told.stdout
    assert "Numbers of US: from 1.00 USD a month." in told.stdout
    assert "Text messages come to https://call2me.example.com/v1/sms/webhooks/telnyx." in told.stdout
    (told_wrong, *_) = check(Settings.load({**asked, "TELNYX_API_KEY": "KEY_wrong"}))
    assert told_wrong == (False, "Telnyx: the key is refused.")
    assert len(shop.telnyx.orders) == before


def test_the_sdk_buys_a_number(shop: Shop) -> None:
    person, number = shop.person(), shop.number(locality="Peoria")
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=shop.api.url) as client:
        found = client.numbers.search(country="US", locality="Peoria")
        assert [one["phone_number"] for one in found["numbers"]] == [number]
        order = client.numbers.purchase(number)
        assert becomes(person, order["order_id"]) == "active"
        assert client.phone_numbers.get(number)["provider"] == "telnyx"
