"""Tokens: who gets one, for what, and what is said where nobody could answer."""

import asyncio
import json
import time
from typing import Any

import call2me
import jwt
import pytest
from livekit import api as livekit
from livekit.protocol.room import CreateRoomRequest, ListRoomsRequest

from api.calls.phoning import NoPhoneLine
from api.http.errors import sentence
from tests.contract.conftest import ENGLISH_AGENT, House
from tests.support.api import AGENT, Person
from tests.support.rehearsed_worker import RehearsedWorker, Script


@pytest.fixture
def caller(house: House) -> Person:
    """Somebody with an agent."""
    return house.person()


def claims(house: House, token: dict[str, Any]) -> dict[str, Any]:
    """What a token says, once its signature is checked."""
    secret = house.api.secrets["livekit_api_secret"]
    found: dict[str, Any] = jwt.decode(token["token"], secret, algorithms=["HS256"])
    return found


def until(house: House, path: str, status: int, seconds: float = 5) -> Any:
    """The body once a path answers with this status."""
    deadline = time.monotonic() + seconds
    while (reply := house.api.ask("GET", path)).status != status:
        assert time.monotonic() < deadline, reply.raw
        time.sleep(0.05)
    return reply.json


def test_a_token_opens_one_room_for_a_microphone_and_dispatches_our_agent(
    house: House, caller: Person
) -> None:
    token = house.token(caller, participant_name="Ada")
    said = claims(house, token)
    assert said["video"]["room"] == token["room_name"]
    assert said["video"]["roomJoin"] is True
    assert said["video"]["canPublishSources"] == ["microphone"]
    assert not {"roomCreate", "roomAdmin", "roomList", "hidden", "agent"} & said["video"].keys()
    assert (said["sub"], said["name"]) == (token["participant_identity"], "Ada")
    assert 0 < said["exp"] - time.time() <= token["expires_in"] + 5
    assert token["expires_in"] <= 900
    (dispatch,) = said["roomConfig"]["agents"]
    assert dispatch["agentName"] == "call2me"
    assert json.loads(dispatch["metadata"]) == {"call_id": token["call_id"], "attempt": 0}
    assert token["url"].startswith("ws://127.0.0.1:")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"agent_id": None, "context": None, "room_name": None, "metadata": None},
        {"room_name": "lobby", "participant_name": "Ada", "context": {"name": "Ada", "n": 1}},
        {"user_identity": "ada", "metadata": {"plan": "pro", "nested": {"a": [1]}}, "unknown": 1},
    ],
)
def test_a_token_is_given_for_both_shapes_of_the_request(
    house: House, caller: Person, body: dict[str, Any]
) -> None:
    first, second = house.token(caller, **body), house.token(caller, **body)
    assert first["room_name"] != second["room_name"]
    assert {"token", "url", "room_name"} <= first.keys()


def test_without_an_agent_it_is_the_newest(house: House, caller: Person) -> None:
    newest = caller.made("/v1/agents", {**ENGLISH_AGENT, "agent_name": "Newest"})
    call_id = house.token(caller)["call_id"]
    brief = house.worker.brief(call_id).json
    assert brief["agent"]["agent_id"] == newest["agent_id"]


def test_what_a_token_request_brings_reaches_the_brief(house: House, caller: Person) -> None:
    token = house.token(
        caller,
        context={"city": "Ankara", "count": 3, "tags": ["a"], "none": None},
        participant_name="Ada",
        user_identity="ada-1",
        max_duration_sec=90,
    )
    brief = house.worker.brief(token["call_id"]).json
    assert brief["variables"] == {"city": "Ankara", "count": "3", "tags": '["a"]', "username": "Ada"}
    assert brief["participant_identity"] == "ada-1"
    assert brief["max_duration_seconds"] == 90
    assert brief["attempt"] == 1
    assert house.worker.brief(token["call_id"]).json["attempt"] == 1
    assert house.worker.brief(token["call_id"], "another job").json["attempt"] == 2


def test_an_agent_of_somebody_else_is_a_404(house: House, caller: Person) -> None:
    theirs = house.person().ask("GET", "/v1/agents").json[0]["agent_id"]
    for agent_id in (theirs, "agent_000000000000", "nonsense"):
        reply = caller.ask("POST", "/v1/livekit/token", {"agent_id": agent_id})
        assert (reply.status, reply.detail) == (404, "Agent not found")
    nobody = house.api.person().ask("POST", "/v1/livekit/token", {})
    assert nobody.status == 404
    assert house.api.ask("POST", "/v1/livekit/token", {}).status == 401


@pytest.mark.parametrize(
    "body",
    [
        {"agent_id": 1},
        {"context": [1]},
        {"metadata": "x"},
        {"room_name": "x" * 300},
        {"participant_name": "a\x00b"},
        {"max_duration_sec": 0},
    ],
)
def test_a_token_request_that_is_none_is_a_422(house: House, caller: Person, body: dict[str, Any]) -> None:
    assert caller.ask("POST", "/v1/livekit/token", body).status == 422


def test_the_room_of_a_running_call_is_joined_again(house: House, caller: Person) -> None:
    token = house.token(caller)
    house.worker.brief(token["call_id"])
    again = house.token(caller, room_name=token["room_name"])
    assert (again["call_id"], again["room_name"]) == (token["call_id"], token["room_name"])
    assert claims(house, again)["sub"] == token["participant_identity"]
    assert "roomConfig" not in claims(house, again)
    waiting = house.token(caller)
    assert "roomConfig" in claims(house, house.token(caller, room_name=waiting["room_name"]))


def test_a_room_of_somebody_else_is_a_404_and_an_old_one_a_label(house: House, caller: Person) -> None:
    token = house.token(caller)
    reply = house.person().ask("POST", "/v1/livekit/token", {"room_name": token["room_name"]})
    assert (reply.status, reply.detail) == (404, "Room not found")
    house.worker.brief(token["call_id"])
    script = Script(token["call_id"])
    house.worker.tell(script.started(), script.ended(1))
    assert house.token(caller, room_name=token["room_name"])["room_name"] != token["room_name"]


def test_a_call_that_is_over_gets_no_brief(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    script = Script(call_id)
    house.worker.tell(script.started(), script.ended(1))
    assert house.worker.brief(call_id, "late").status == 409
    assert house.worker.brief("call_0123456789abcdef").status == 404


def test_a_token_for_an_agent_that_is_gone_finds_nobody_and_the_call_says_so(
    house: House, caller: Person
) -> None:
    token = house.token(caller)
    (agent,) = caller.ask("GET", "/v1/agents").json
    caller.ask("DELETE", f"/v1/agents/{agent['agent_id']}")
    reply = house.worker.brief(token["call_id"])
    assert (reply.status, reply.detail) == (404, "The agent of this call is gone")
    call = caller.ask("GET", f"/v1/calls/{token['call_id']}").json
    assert (call["call_status"], call["disconnection_reason"]) == ("failed", "error: the agent is gone")


# ── what this machine can do ─────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("language", "words"),
    [("tr-TR", ["voice", "tr-TR", "Install espeak-ng."]), ("ja", ["dialog engine", "ja"])],
)
def test_a_language_that_is_not_here_is_refused_with_what_to_install(
    house: House, caller: Person, language: str, words: list[str]
) -> None:
    agent = caller.made("/v1/agents", {**AGENT, "language": language})
    reply = caller.ask("POST", "/v1/livekit/token", {"agent_id": agent["agent_id"]})
    assert reply.status == 503
    assert all(word in reply.detail for word in words), reply.detail


def test_a_provider_that_is_not_here_is_kept_and_warned_of(house: House, caller: Person) -> None:
    key = caller.made("/v1/api-keys", {"name": "sdk"})
    with call2me.Call2Me(api_key=key["api_key"], base_url=house.api.url) as sdk:
        agent = sdk.agents.create(
            agent_name="Sales", voice_id="elevenlabs-rachel", system_prompt="Sell.", language="en-US"
        )
    token = house.token(caller, agent_id=agent["agent_id"])
    assert {warning["code"] for warning in token["warnings"]} == {"llm_unavailable", "voice_unavailable"}
    assert agent["voice_id"] == "elevenlabs-rachel"
    caller.ask("PATCH", f"/v1/agents/{agent['agent_id']}", {"voice_id": "default"})
    token = house.token(caller, agent_id=agent["agent_id"])
    assert [warning["code"] for warning in token["warnings"]] == ["llm_unavailable"]


def test_a_worker_that_is_not_ready_is_a_503_that_says_why(house: House, caller: Person) -> None:
    house.worker.status = {**house.worker.status, "is_ready": False, "why_not": "all 4 lines are busy"}
    try:
        ready = until(house, "/ready", 503)
        assert "all 4 lines are busy" in ready["detail"]
        reply = caller.ask("POST", "/v1/livekit/token", {})
        assert reply.status == 503
        assert "all 4 lines are busy" in reply.detail
        assert "retry-after" in reply.headers
    finally:
        house.worker.status = {**house.worker.status, "is_ready": True, "why_not": ""}
    until(house, "/ready", 200)
    assert house.token(caller)["token"]


def test_livekit_down_is_a_503_that_recovers_by_itself(house: House, caller: Person) -> None:
    house.livekit.stop()
    try:
        until(house, "/ready", 503)
        reply = caller.ask("POST", "/v1/livekit/token", {})
        assert reply.status == 503
        assert reply.detail.startswith("livekit-server does not answer")
        health = house.api.ask("GET", "/v1/livekit/health").json
        assert (health["status"], health["livekit"]) == ("unhealthy", "down")
    finally:
        house.livekit.start()
    until(house, "/ready", 200)
    assert house.token(caller)["token"]
    assert house.api.ask("GET", "/v1/livekit/health").json["status"] == "healthy"


# ── rooms ────────────────────────────────────────────────────────────────────────────────────────
async def rooms(house: House, url: str, create: str = "") -> set[str]:
    """The rooms that livekit-server has, after making one."""
    secrets = house.api.secrets
    http = url.replace("ws://", "http://")
    async with livekit.LiveKitAPI(http, secrets["livekit_api_key"], secrets["livekit_api_secret"]) as server:
        if create:
            await server.room.create_room(CreateRoomRequest(name=create))
        return {room.name for room in (await server.room.list_rooms(ListRoomsRequest())).rooms}


def test_the_room_of_a_call_that_ended_is_closed(house: House, caller: Person) -> None:
    token = house.token(caller)
    house.worker.brief(token["call_id"])
    assert token["room_name"] in asyncio.run(rooms(house, token["url"], create=token["room_name"]))
    script = Script(token["call_id"])
    house.worker.tell(script.started(), script.ended(1))
    deadline = time.monotonic() + 5
    while token["room_name"] in asyncio.run(rooms(house, token["url"])):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_call_whose_worker_vanished_ends_when_nobody_is_in_its_room_any_more(
    house: House, caller: Person
) -> None:
    with RehearsedWorker(house.api, "worker-to-vanish") as worker:
        token = house.token(caller)
        call_id = token["call_id"]
        worker.brief(call_id, "its job")
        worker.status["call_ids"] = [call_id]
        asyncio.run(rooms(house, token["url"], create=token["room_name"]))
        worker.tell(Script(call_id).started(worker_id=worker.worker_id))
        time.sleep(max(0.0, house.started_at + 11 - time.monotonic()))  # a young api calls nobody gone
        assert caller.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "in_progress"
        worker.vanish()
    # Who is lost from the network as well may come back for a while; calls go on in tests/e2e.
    deadline = time.monotonic() + 45
    while (call := caller.ask("GET", f"/v1/calls/{call_id}").json)["call_status"] == "in_progress":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (call["call_status"], call["disconnection_reason"]) == ("completed", "user_hangup")
    late = Script(call_id)
    late.started()
    assert house.worker.tell(late.said("user", "Still here.", 1, 2)).json["accepted"] == 1
    call = caller.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["call_status"], call["transcript"]) == ("completed", "User: Still here.")


# ── the demo call ────────────────────────────────────────────────────────────────────────────────
def test_a_demo_call_waits_for_a_phone_line(house: House) -> None:
    for number in ("+90 532 123 45 67", "+14155552671", "(415) 555-2671"):
        reply = house.api.ask("POST", "/v1/demo/call", {"phone_number": number})
        assert (reply.status, reply.detail) == (503, sentence(NoPhoneLine)), number


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"phone_number": "hello"},
        {"phone_number": "+1"},
        {"phone_number": "+1 900 555 0199"},
        {"phone_number": "+14155552671", "website": "http://spam"},
        {"phone_number": 14155552671},
    ],
)
def test_a_demo_call_that_cannot_be_made_is_a_422(house: House, body: dict[str, Any]) -> None:
    assert house.api.ask("POST", "/v1/demo/call", body).status == 422


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1e999"])
def test_a_token_request_with_a_number_that_json_has_not_is_a_422(
    house: House, caller: Person, number: str
) -> None:
    for field in ("metadata", "context"):
        refused = caller.ask("POST", "/v1/livekit/token", raw=f'{{"{field}": {{"x": {number}}}}}'.encode())
        assert refused.status == 422, refused.raw
