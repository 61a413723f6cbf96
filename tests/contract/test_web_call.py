"""/v1/web-call on each kind of database: configurations, calls to one's own numbers, the public token."""

import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import jwt
import pytest
from sqlalchemy import create_engine, text

from api.settings import Settings
from tests.contract.conftest import ENGLISH_AGENT, House
from tests.support.api import Api, Person, Reply, running_api

SHOP = "https://shop.example.com"
_numbers = count(8_100_000)


@pytest.fixture
def owner(house: House) -> Person:
    return house.api.person()


def agent_of(owner: Person, **more: Any) -> str:
    return str(owner.made("/v1/agents", {**ENGLISH_AGENT, **more})["agent_id"])


def number_of(owner: Person, agent_id: str | None = None) -> str:
    number = f"+90532{next(_numbers)}"
    owner.made("/v1/phone-numbers", {"number": number, "agent_id": agent_id})
    return number


def public_of(owner: Person, agent_id: str, **asked: Any) -> dict[str, Any]:
    path = f"/v1/web-call/public-config/{agent_id}"
    reply = owner.ask("PUT", path, {"public_enabled": True, **asked})
    assert reply.status == 200, reply.raw
    made: dict[str, Any] = reply.json
    return made


def start(api: Api, public: dict[str, Any], *, origin: str = "") -> Reply:
    """What a browser sends for a page of `origin`, without credentials and without a body."""
    path = f"/v1/web-call/public/{public['public_token']}/start"
    return api.ask("POST", path, headers={"Origin": origin} if origin else {})


def call_in(house: House, room_name: str) -> str:
    """The call of a room, once the worker has taken it."""
    engine = create_engine(
        Settings.load(house.api.environment)
        .database_url.replace("+aiosqlite", "")
        .replace("+asyncpg", "+psycopg")
    )
    try:
        with engine.begin() as connection:
            query = text("select id from calls where room_name = :room")
            call_id = str(connection.execute(query, {"room": room_name}).scalar_one())
    finally:
        engine.dispose()
    return call_id


def stored(house: House, query: str) -> str:
    engine = create_engine(
        Settings.load(house.api.environment)
        .database_url.replace("+aiosqlite", "")
        .replace("+asyncpg", "+psycopg")
    )
    try:
        with engine.begin() as connection:
            return str(connection.execute(text(query)).all())
    finally:
        engine.dispose()


def test_a_configuration_is_null_until_it_is_made_and_keeps_what_is_not_sent(
    house: House, owner: Person
) -> None:
    agent_id = agent_of(owner)
    path = f"/v1/web-call/config/{agent_id}"
    reply = owner.ask("GET", path)
    assert (reply.status, reply.json) == (200, None)
    made = owner.ask("PUT", path, {"record_enabled": True, "name": None}).json
    assert {**made, "id": ""} == {
        "id": "",
        "agent_id": agent_id,
        "name": "Reception",
        "enabled": True,
        "record_enabled": True,
    }
    changed = owner.ask("PUT", path, {"name": "Desk", "enabled": False}).json
    assert changed == {**made, "name": "Desk", "enabled": False}
    assert owner.ask("GET", path).json == changed
    for body in ({"enabled": "perhaps"}, {"name": ""}, {"record_enabled": 7}):
        assert owner.ask("PUT", path, body).status == 422
    assert owner.ask("GET", path).json == changed, "a refused change changes nothing"
    assert house.api.ask("GET", path).status == 401
    assert owner.ask("DELETE", f"/v1/agents/{agent_id}").status in {200, 204}
    assert owner.ask("GET", path).status == 404


def test_ones_own_number_is_called_from_a_browser_and_its_agent_answers(house: House, owner: Person) -> None:
    mine, desk = agent_of(owner), agent_of(owner, agent_name="Desk")
    from_number, to_number = number_of(owner, mine), number_of(owner, desk)
    owner.ask("PUT", f"/v1/web-call/config/{mine}", {"record_enabled": False})
    reply = owner.ask("POST", "/v1/web-call/start", {"agent_id": mine, "to_number": to_number})
    assert reply.status == 200, reply.raw
    told = reply.json
    assert set(told) == {"call_id", "room_name", "web_token", "livekit_url", "from_number", "to_number"}
    assert (told["from_number"], told["to_number"]) == (from_number, to_number)
    claims = jwt.decode(told["web_token"], house.api.secrets["livekit_api_secret"], algorithms=["HS256"])
    assert claims["video"]["room"] == told["room_name"]
    assert claims["roomConfig"]["agents"][0]["agentName"] == "call2me"
    brief = house.worker.brief(told["call_id"]).json
    assert brief["agent"]["agent_id"] == desk
    assert brief["agent"]["enable_recording"] is False, "the configuration decides, not the agent"
    call = owner.ask("GET", f"/v1/calls/{told['call_id']}").json
    assert (call["call_type"], call["direction"]) == ("web_call", "web_bridge")
    assert (call["from_number"], call["to_number"]) == (from_number, to_number)
    assert call["metadata"] == {"source": "web_call", "web_call_agent_id": mine}
    owner.ask("PUT", f"/v1/web-call/config/{desk}", {"record_enabled": True})
    again = owner.ask("POST", "/v1/web-call/start", {"agent_id": desk, "to_number": from_number}).json
    assert house.worker.brief(again["call_id"]).json["agent"]["enable_recording"] is True


def test_what_cannot_be_called_is_told_and_leaves_no_call(house: House, owner: Person) -> None:
    agent_id, stranger = agent_of(owner), house.api.person()
    theirs = number_of(stranger, agent_of(stranger))

    def calls(to_number: str) -> Reply:
        return owner.ask("POST", "/v1/web-call/start", {"agent_id": agent_id, "to_number": to_number})

    refused = calls(theirs)
    assert (refused.status, "not enabled" in refused.detail) == (409, True)
    owner.ask("PUT", f"/v1/web-call/config/{agent_id}", {})
    assert (calls(theirs).status, "no number to call from" in calls(theirs).detail) == (400, True)
    own = number_of(owner, agent_id)
    silent = number_of(owner)
    for number in (theirs, silent, "+14155550123"):
        reply = calls(number)
        assert (reply.status, "No browser can be joined" in reply.detail) == (503, True)
    assert calls("nonsense").status == 422
    owner.ask("PUT", f"/v1/web-call/config/{agent_id}", {"enabled": False})
    assert calls(own).status == 409
    assert stranger.ask("POST", "/v1/web-call/start", {"agent_id": agent_id, "to_number": own}).status == 404
    owner_id = owner.credentials["user"]["user_id"]
    assert stored(house, f"select count(*) from calls where owner_id = '{owner_id}'") == "[(0,)]"  # noqa: S608


def test_a_public_token_opens_the_agent_for_everybody_who_has_it(house: House, owner: Person) -> None:
    agent_id = agent_of(owner)
    path = f"/v1/web-call/public-config/{agent_id}"
    assert owner.ask("GET", path).json is None
    public = public_of(owner, agent_id, max_duration_sec=90)
    assert len(public["public_token"]) > 40
    assert (public["target_number"], public["allowed_domains"]) == (None, [])
    assert owner.ask("GET", path).json == public
    reply = start(house.api, public, origin=SHOP)
    assert (reply.status, reply.headers["access-control-allow-origin"]) == (200, SHOP)
    assert set(reply.json) == {"room_name", "web_token", "livekit_url", "max_duration_sec"}
    assert reply.json["max_duration_sec"] == 90
    call_id = call_in(house, reply.json["room_name"])
    brief = house.worker.brief(call_id).json
    assert (brief["agent"]["agent_id"], brief["max_duration_seconds"]) == (agent_id, 90)
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["direction"], call["metadata"]["web_call_id"]) == ("web_bridge", public["id"])
    owner.ask("PUT", path, {"public_enabled": False})
    assert start(house.api, public).status == 404
    assert owner.ask("GET", path).json["public_token"] == public["public_token"]


def test_a_target_number_is_who_answers_a_public_call(house: House, owner: Person) -> None:
    mine, desk = agent_of(owner), agent_of(owner, agent_name="Desk")
    public = public_of(owner, mine, target_number=(target := number_of(owner, desk)))
    call_id = call_in(house, start(house.api, public).json["room_name"])
    assert house.worker.brief(call_id).json["agent"]["agent_id"] == desk
    assert owner.ask("GET", f"/v1/calls/{call_id}").json["to_number"] == target
    public_of(owner, mine, target_number="+14155550123")
    outside = start(house.api, public, origin=SHOP)
    assert (outside.status, outside.headers["access-control-allow-origin"]) == (503, SHOP)
    assert public_of(owner, mine)["target_number"] == "+14155550123", "what is not sent stays"
    assert public_of(owner, mine, target_number="")["target_number"] is None
    path = f"/v1/web-call/public-config/{mine}"
    for wrong in (
        {"target_number": "abc"},
        {"allowed_domains": ["*.example.com"]},
        {"daily_call_limit": 0},
        {"ip_rate_per_min": -1},
        {"max_duration_sec": 7201},
    ):
        assert owner.ask("PUT", path, wrong).status == 422


def test_another_token_takes_the_place_of_the_one_before_at_once(house: House, owner: Person) -> None:
    agent_id = agent_of(owner)
    public = public_of(owner, agent_id)
    renewed = owner.ask("POST", f"/v1/web-call/regenerate-token/{agent_id}").json
    assert renewed["public_token"] != public["public_token"]
    assert renewed["public_token"] in renewed["embed_code"]
    old = f"/v1/web-call/public/{public['public_token']}"
    assert start(house.api, public).status == 404
    for name in ("embed.js", "config"):
        assert house.api.ask("GET", f"{old}/{name}").status == 404
    now = {**public, **renewed}
    assert start(house.api, now).status == 200
    assert (
        owner.ask("GET", f"/v1/web-call/public-config/{agent_id}").json["public_token"] == now["public_token"]
    )
    kept = stored(house, "select token, hash from public_web_calls")
    assert now["public_token"] not in kept
    assert now["public_token"].encode() not in house.api.log.read_bytes()
    posted = {**public, "public_token": "mine"}
    owner.ask("PUT", f"/v1/web-call/public-config/{agent_id}", {"public_token": "mine", "hash": "mine"})
    assert start(house.api, posted).status == 404, "an owner does not choose the token"


def test_only_listed_pages_may_begin_a_public_call(house: House, owner: Person) -> None:
    public = public_of(owner, agent_of(owner), allowed_domains=["shop.example.com"])
    path = f"/v1/web-call/public/{public['public_token']}"
    assert start(house.api, public, origin=SHOP).status == 200
    for origin in ("https://example.com", "https://shop.example.com.evil.com", "null", ""):
        reply = start(house.api, public, origin=origin)
        assert (reply.status, "access-control-allow-origin" in reply.headers) == (403, False)
    for origin, status in ((SHOP, 204), ("https://example.com", 403)):
        asked = house.api.ask("OPTIONS", f"{path}/start", headers={"Origin": origin})
        assert asked.status == status
    assert house.api.ask("GET", f"{path}/config", headers={"Origin": "https://example.com"}).status == 403


def test_a_day_has_a_limit_that_refusals_do_not_use_up(house: House, owner: Person) -> None:
    mine = agent_of(owner)
    public = public_of(owner, mine, daily_call_limit=2, target_number="+14155550123")
    assert [start(house.api, public).status for _ in range(4)] == [503] * 4
    public_of(owner, mine, target_number="")
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: start(house.api, public), range(6)))
    assert sorted(reply.status for reply in replies) == [200, 200, 429, 429, 429, 429]
    refused = next(reply for reply in replies if reply.status == 429)
    assert 0 < int(refused.headers["retry-after"]) <= 86_400
    public_of(owner, mine, daily_call_limit=3)
    assert [start(house.api, public).status for _ in range(2)] == [200, 429]


def test_the_script_draws_a_widget_that_only_talks(house: House, owner: Person) -> None:
    agent_id = agent_of(owner, agent_name="Front desk")
    public = public_of(owner, agent_id)
    path = f"/v1/web-call/public/{public['public_token']}"
    assert public["embed_code"] == f'<script src="{house.api.url}{path}/embed.js" async></script>'
    script = house.api.ask("GET", f"{path}/embed.js", headers={"Origin": SHOP})
    assert (script.status, script.headers["cross-origin-resource-policy"]) == (200, "cross-origin")
    assert b"web-call" in script.raw
    assert len(gzip.compress(script.raw, 9)) <= 15_000
    shown = house.api.ask("GET", f"{path}/config").json
    assert (shown["agent_name"], shown["voice_mode"], shown["language"]) == ("Front desk", "voice", "en-US")
    assert not {"public_token", "allowed_domains", "target_number", "owner_id"} & set(shown)


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[Api]:
    with running_api(tmp_path, CALL2ME_RATE_LIMITS="on") as api:
        yield api


def test_an_address_begins_so_many_calls_a_minute_of_each(limited: Api) -> None:
    person = limited.person()
    first = public_of(person, agent_of(person), ip_rate_per_min=2)
    second = public_of(person, agent_of(person), ip_rate_per_min=1)
    assert [start(limited, first).status for _ in range(3)] == [503, 503, 429], "no livekit-server is here"
    refused = start(limited, first)
    assert (refused.headers["x-ratelimit-limit"], "retry-after" in refused.headers) == ("2", True)
    assert [start(limited, second).status for _ in range(2)] == [503, 429]
