"""/v1/demo: numbers that are lent to be tried, on each kind of database."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from sqlmodel import update

from api.db.columns import now
from api.db.engine import Database
from api.phone_numbers import routing
from api.phone_numbers.table import DemoReservationRow, PhoneNumberRow
from api.settings import Settings
from tests.support.api import AGENT, Api, Person, running_api
from tests.support.postgres import new_database

NUMBERS = ["+14155550100", "+442071234567"]


@pytest.fixture(params=["sqlite", "postgresql"])
def lender(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Api]:
    """An installation that lends two numbers."""
    with running_api(tmp_path, new_database(request), CALL2ME_DEMO_NUMBERS=", ".join(NUMBERS)) as api:
        yield api


def agent_of(person: Person) -> str:
    return str(person.made("/v1/agents", AGENT)["agent_id"])


def in_database(api: Api, number: str) -> routing.Route | None:
    """Where a call to a number goes, as the exchange asks it."""

    async def ask() -> routing.Route | None:
        database = Database(Settings.load(api.environment).database_url)
        async with database.transaction(writes=False) as session:
            found = await routing.inbound(session, number)
        await database.close()
        return found

    return asyncio.run(ask())


def let_time_pass(api: Api) -> None:
    """What is lent was lent for long enough."""

    async def change() -> None:
        database = Database(Settings.load(api.environment).database_url)
        async with database.transaction() as session:
            await session.exec(update(PhoneNumberRow).values(until=now() - timedelta(seconds=1)))
            await session.exec(update(DemoReservationRow).values(expires_at=now() - timedelta(seconds=1)))
        await database.close()

    asyncio.run(change())


def test_a_number_is_lent_once_and_its_calls_reach_the_borrowers_agent(lender: Api) -> None:
    person = lender.person()
    agent_id = agent_of(person)
    assert person.ask("GET", "/v1/demo/my-reservation").json is None
    assert person.ask("GET", "/v1/demo/eligibility").json == {
        "eligible": True,
        "reason": None,
        "has_paid_topup": False,
        "has_used_demo": False,
        "active_reservation_id": None,
    }
    lent = person.ask("POST", "/v1/demo/reserve", {"agent_id": agent_id})
    assert lent.status == 200, lent.raw
    number = lent.json["phone_number"]
    assert (number, lent.json["country_code"], lent.json["minutes_remaining"]) == (NUMBERS[0], "US", 15)
    assert person.ask("GET", "/v1/demo/my-reservation").json == lent.json
    pool = {"total": 2, "available": 1, "reserved": 1, "countries": ["GB", "US"]}
    assert lender.ask("GET", "/v1/demo/pool").json == pool
    [listed] = person.ask("GET", "/v1/phone-numbers").json
    assert (listed["number"], listed["is_demo"], listed["provider"]) == (number, True, "telnyx-demo")
    route = in_database(lender, number)
    assert route is not None
    assert (route.agent_id, route.owner_id) == (agent_id, person.credentials["user"]["user_id"])
    again = person.ask("POST", "/v1/demo/reserve", {})
    assert (again.status, "already" in again.detail) == (409, True)
    assert person.ask("GET", "/v1/demo/eligibility").json["reason"] == "already_used"
    assert lender.person().ask("GET", f"/v1/phone-numbers/{number}").status == 404


@pytest.mark.parametrize("way", ["release", "delete", "time"])
def test_a_number_that_goes_back_is_lent_to_somebody_else(lender: Api, way: str) -> None:
    person, next_one = lender.person(), lender.person()
    number = person.ask("POST", "/v1/demo/reserve", {"agent_id": agent_of(person)}).json["phone_number"]
    if way == "release":
        assert person.ask("POST", "/v1/demo/release").json == {"success": True, "released": True}
        assert person.ask("POST", "/v1/demo/release").json["released"] is False
    elif way == "delete":
        assert person.ask("DELETE", f"/v1/phone-numbers/{number}").status == 204
    else:
        let_time_pass(lender)
        assert in_database(lender, number) is None
        assert person.ask("GET", f"/v1/phone-numbers/{number}/agent").status == 404
    assert person.ask("GET", "/v1/demo/my-reservation").json is None
    assert person.ask("GET", "/v1/phone-numbers").json == []
    assert lender.ask("GET", "/v1/demo/pool").json["available"] == 2
    assert person.ask("POST", "/v1/demo/reserve", {}).status == 409, "once in an account's life"
    assert next_one.ask("POST", "/v1/demo/reserve", {}).json["phone_number"] == number


def test_those_who_ask_at_once_get_different_numbers_or_none(lender: Api) -> None:
    people = [lender.person() for _ in range(4)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(lambda one: one.ask("POST", "/v1/demo/reserve", {}), [*people, *people]))
    lent = [reply.json["phone_number"] for reply in replies if reply.status == 200]
    assert sorted(lent) == sorted(NUMBERS)
    assert {reply.status for reply in replies} <= {200, 409, 503}
    assert people[3].ask("GET", "/v1/demo/pool").json["available"] == 0
    late = lender.person()
    assert late.ask("GET", "/v1/demo/eligibility").json["reason"] == "all_reserved"
    refused = late.ask("POST", "/v1/demo/reserve", {})
    assert (refused.status, refused.headers["retry-after"]) == (503, "60")


def test_what_is_lent_is_nobodys_own_and_calls_nobody(lender: Api) -> None:
    person, stranger = lender.person(), lender.person()
    assert person.ask("POST", "/v1/phone-numbers", {"number": NUMBERS[1]}).status == 409
    theirs = agent_of(stranger)
    assert person.ask("POST", "/v1/demo/reserve", {"agent_id": theirs}).status == 404
    assert person.ask("GET", "/v1/demo/eligibility").json["eligible"] is True, "a refusal uses nothing up"
    number = person.ask("POST", "/v1/demo/reserve", {"agent_id": agent_of(person)}).json["phone_number"]

    async def call_out() -> None:
        database = Database(Settings.load(lender.environment).database_url)
        try:
            async with database.transaction(writes=False) as session:
                await routing.outbound(session, person.credentials["user"]["user_id"], "", number)
        finally:
            await database.close()

    with pytest.raises(routing.NotYourNumber):
        asyncio.run(call_out())


def test_an_installation_without_such_numbers_says_so(api: Api, person: Person) -> None:
    assert api.ask("GET", "/v1/demo/pool").json["total"] == 0
    assert person.ask("GET", "/v1/demo/eligibility").json["reason"] == "no_demo_numbers"
    assert person.ask("POST", "/v1/demo/reserve", {}).status == 503
