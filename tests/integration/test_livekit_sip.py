"""Telephones by LiveKit's SIP API: a whole api, and LiveKit's test-server with every error it can give."""

import asyncio
import base64
import hashlib
import json
import time
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import jwt
import pytest
from livekit.protocol import sip

from api.outside.livekit_sip import LiveKitSip, NotAnswered
from pipelines.agent_config import TransferTarget
from pipelines.contract.phones import SipTrunk
from pipelines.tools.call_control import CannotDo
from tests.support.api import AGENT, Api, Person, running_api
from tests.support.livekit_sip import SipServer, running_sip_server
from tests.support.rehearsed_worker import RehearsedWorker, Script
from worker.lines.sip_transfer import SipTransfer
from worker.settings import WorkerSettings

pytestmark = pytest.mark.timeout(120)

KEY, SECRET = "key", "a-secret-of-more-than-thirty-two-letters"
TRUNK = "MOCK_SIP_TRUNK_ID"
_events = count()


def until(true: Callable[[], Any], seconds: float = 30.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def server() -> Iterator[SipServer]:
    with running_sip_server(SECRET) as running:
        yield running


@pytest.fixture(scope="module")
def api(server: SipServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    settings = {
        "CALL2ME_PHONES": "livekit",
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": KEY,
        "LIVEKIT_API_SECRET": SECRET,
    }
    with running_api(tmp_path_factory.mktemp("livekit-sip"), **settings) as running:
        yield running


@pytest.fixture(scope="module")
def worker(api: Api) -> Iterator[RehearsedWorker]:
    with RehearsedWorker(api) as running:
        yield running


@pytest.fixture(scope="module")
def owner(api: Api, worker: RehearsedWorker) -> Person:
    """Somebody with an agent, a number and a trunk that livekit-server was told of."""
    person = api.person()
    trunk = {
        "name": "Carrier",
        "sip_server": "1.2.3.4:5099",
        "sip_username": "me",
        "sip_password": "secret",
        "sip_transport": "tcp",
    }
    waits = person.made("/v1/sip-trunks", trunk)["trunk_id"]
    told = until(lambda: (h := person.ask("GET", "/v1/sip/health").json)["status"] == "degraded" and h)
    assert "does not register" in told["trunks"][0]["detail"]
    person.ask("DELETE", f"/v1/sip-trunks/{waits}")
    trunk["sip_register"] = False
    trunk_id = person.made("/v1/sip-trunks", trunk)["trunk_id"]
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    number = {"number": "+905331230001", "agent_id": agent_id, "trunk_id": trunk_id}
    person.made("/v1/phone-numbers", number)
    until(lambda: person.ask("GET", "/v1/sip/health").json["status"] == "healthy")
    return person


def calls(owner: Person, to: str, **more: Any) -> str:
    """Have somebody called. On a busy machine its worker may seem gone: 503, and nothing happened."""
    agent_id = owner.ask("GET", "/v1/agents").json[0]["agent_id"]
    body = {"agent_id": agent_id, "to_number": to, **more}
    reply = until(lambda: (r := owner.ask("POST", "/v1/calls/outbound", body)).status != 503 and r)
    assert reply.status == 201, reply.raw
    return str(reply.json["call_id"])


def call(owner: Person, call_id: str) -> dict[str, Any]:
    return dict(owner.ask("GET", f"/v1/calls/{call_id}").json)


def dispatched(server: SipServer, call_id: str) -> Any:
    return next(
        (
            one
            for one in server.of("AgentDispatchService/CreateDispatch")
            if json.loads(one.metadata)["call_id"] == call_id
        ),
        None,
    )


def test_whoever_answers_meets_an_agent_in_a_room(
    server: SipServer, owner: Person, worker: RehearsedWorker
) -> None:
    server.mock = lambda method, asked: {"delayMs": 800} if method == "SIP/CreateSIPParticipant" else {}
    call_id = calls(owner, "+14155550100", headers={"X-Account": "42"})
    until(lambda: call(owner, call_id)["call_status"] == "ringing")
    assert dispatched(server, call_id) is None, "nobody has answered"
    asked = until(lambda: server.of("SIP/CreateSIPParticipant"))[-1]
    assert (asked.sip_call_to, asked.sip_number) == ("+14155550100", "+905331230001")
    assert (asked.trunk.hostname, asked.trunk.transport) == ("1.2.3.4:5099", sip.SIP_TRANSPORT_TCP)
    assert (asked.trunk.auth_username, asked.trunk.auth_password) == ("me", "secret")
    assert asked.wait_until_answered
    assert asked.ringing_timeout.seconds == 60
    assert dict(asked.headers) == {"X-Account": "42"}
    agent = until(lambda: dispatched(server, call_id))
    assert (agent.room, agent.agent_name) == (asked.room_name, "call2me")
    brief = worker.brief(call_id).json
    assert (brief["participant_identity"], brief["caller_number"]) == (
        asked.participant_identity,
        "+14155550100",
    )
    script = Script(call_id)
    worker.tell(script.started(), script.ended(5))
    over = call(owner, call_id)
    assert (over["call_status"], over["call_type"], over["room_name"]) == (
        "completed",
        "phone_call",
        asked.room_name,
    )
    until(lambda: asked.room_name in [one.room for one in server.of("RoomService/DeleteRoom")])


def refusing(method: str, asked: Any) -> dict[str, Any]:
    """With the code that the number ends with."""
    if method != "SIP/CreateSIPParticipant":
        return {}
    return {"delayMs": 50, "sipStatus": {"code": int(asked.sip_call_to[-3:]), "status": "No"}}


async def test_every_code_that_livekit_knows_is_told(server: SipServer) -> None:
    codes = sorted(code for code in sip.SIPStatusCode.values() if code >= 400)
    assert {403, 404, 408, 480, 486, 487, 503, 600, 603} <= set(codes)
    server.mock = refusing
    trunk = SipTrunk(trunk_id="t", server="1.2.3.4")
    livekit = LiveKitSip(server.url, KEY, SECRET)

    async def heard(code: int) -> int:
        with pytest.raises(NotAnswered) as caught:
            await livekit.dial(trunk, f"+14155550{code}", "+905331230001", "room", f"p{code}", 30)
        assert caught.value.reason == "No"
        return caught.value.code

    assert await asyncio.gather(*map(heard, codes)) == codes
    await livekit.close()


def test_a_code_of_sip_is_what_came_of_the_call(server: SipServer, owner: Person) -> None:
    server.mock = refusing
    expected = {486: "busy", 600: "busy", 408: "no_answer", 480: "no_answer", 487: "no_answer"}
    expected |= {403: "failed", 503: "failed", 603: "failed"}
    placed = {code: calls(owner, f"+14155550{code}") for code in expected}
    for code, call_id in placed.items():
        over = until(lambda id_=call_id: (c := call(owner, id_))["sip_code"] and c)
        assert (over["call_status"], over["sip_code"]) == (expected[code], code)
        assert dispatched(server, call_id) is None


@pytest.mark.parametrize(
    ("mock", "reason"),
    [
        ({"failRegions": [0], "failStatus": 503}, "error: livekit-sip: unavailable"),
        ({"failRegions": [0], "failStatus": 403}, "error: livekit-sip: permission_denied"),
        ({"failRegions": [0], "failMode": "drop"}, "unsure: livekit-sip: ServerDisconnectedError"),
    ],
)
def test_a_livekit_server_that_fails_is_told_as_that(
    server: SipServer, owner: Person, mock: dict[str, Any], reason: str
) -> None:
    told = mock | {"delayMs": 50}
    server.mock = lambda method, asked: told if method == "SIP/CreateSIPParticipant" else {}
    call_id = calls(owner, "+14155550199")
    over = until(lambda: (c := call(owner, call_id))["call_status"] == "failed" and c)
    assert (over["sip_code"], over["disconnection_reason"]) == (None, reason)


def arrives(api: Api, room: str, kind: str = "SIP", **attributes: str) -> None:
    """What livekit-server tells of a telephone in a room."""
    event = {
        "id": f"EV_{next(_events)}",
        "event": "participant_joined",
        "room": {"name": room},
        "participant": {"identity": "sip_1", "kind": kind, "attributes": attributes},
    }
    body = json.dumps(event).encode()
    claims = {
        "iss": KEY,
        "exp": time.time() + 60,
        "sha256": base64.b64encode(hashlib.sha256(body).digest()).decode(),
    }
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    reply = api.ask("POST", "/v1/livekit/webhook", event, headers={"Authorization": token})
    assert reply.status == 200


def test_a_telephone_in_a_room_of_our_rule_is_a_call(
    server: SipServer, api: Api, owner: Person, worker: RehearsedWorker
) -> None:
    server.mock = lambda method, asked: {}
    trunk = server.of("SIP/CreateSIPInboundTrunk")[-1].trunk
    assert (list(trunk.numbers), list(trunk.allowed_addresses)) == (["+905331230001"], ["1.2.3.4"])
    rule = server.of("SIP/CreateSIPDispatchRule")[-1].dispatch_rule
    assert list(rule.trunk_ids) == [TRUNK]
    assert rule.rule.dispatch_rule_individual.room_prefix == "phone_in_"
    known = {
        "sip.trunkID": TRUNK,
        "sip.trunkPhoneNumber": "+905331230001",
        "sip.phoneNumber": "+14155550123",
        "sip.h.X-Order-Number": "7",
    }
    for _ in range(2):  # told twice is once
        arrives(api, "phone_in_a", **known, **{"sip.callID": "SCL_1"})
    agent = until(
        lambda: [d for d in server.of("AgentDispatchService/CreateDispatch") if d.room == "phone_in_a"]
    )
    call_id = json.loads(agent[0].metadata)["call_id"]
    brief = worker.brief(call_id).json
    assert (brief["participant_identity"], brief["caller_number"]) == ("sip_1", "+14155550123")
    assert brief["variables"]["x_order_number"] == "7"
    turned_away = {
        "phone_in_b": known | {"sip.callID": "SCL_2", "sip.trunkPhoneNumber": "+905331239999"},
        "phone_in_c": known | {"sip.callID": "SCL_3", "sip.trunkID": "somebody's"},
        "phone_in_d": {},
    }
    for room, attributes in turned_away.items():
        arrives(api, room, **attributes)
    until(lambda: set(turned_away) <= {one.room for one in server.of("RoomService/DeleteRoom")})
    arrives(api, "phone_in_e", kind="STANDARD", **known)
    arrives(api, "room_of_others", **known)
    time.sleep(1)
    assert (
        len([d for d in server.of("AgentDispatchService/CreateDispatch") if d.room.startswith("phone_in")])
        == 1
    )
    listed = owner.ask("GET", "/v1/calls?direction=inbound").json
    assert [one["call_id"] for one in listed["calls"]] == [call_id]


def test_a_telephone_is_handed_on_by_refer(server: SipServer, api: Api, owner: Person) -> None:
    server.mock = lambda method, asked: {}
    call_id = calls(owner, "+14155550177")
    settings = WorkerSettings.load(api.environment | {"CALL2ME_API_URL": api.url})

    def hands(kind: str, value: str) -> str:
        target = TransferTarget.model_validate({"name": "Desk", "kind": kind, "value": value})
        try:
            asyncio.run(SipTransfer(settings, call_id)("phone_in_a", "sip_1", target))
        except CannotDo as error:
            return str(error)
        return ""

    def mock(method: str, asked: Any) -> dict[str, Any]:
        if method != "SIP/TransferSIPParticipant":
            return {}
        code = asked.transfer_to[-3:]
        fails = code.isdigit() and code > "400"
        return {"delayMs": 50} | ({"sipStatus": {"code": int(code)}} if fails else {})

    server.mock = mock
    assert hands("phone", "+14155550100") == ""
    asked = server.of("SIP/TransferSIPParticipant")[-1]
    assert (asked.room_name, asked.participant_identity) == ("phone_in_a", "sip_1")
    assert (asked.transfer_to, asked.ringing_timeout.seconds) == ("tel:+14155550100", 30)
    (trunk,) = owner.ask("GET", "/v1/sip-trunks").json
    trunk_path = f"/v1/sip-trunks/{trunk['trunk_id']}"
    for prefix, uri in (("00", "sip:0014155550100@1.2.3.4:5099"), ("+", "tel:+14155550100")):
        assert owner.ask("PATCH", trunk_path, {"dial_prefix": prefix}).status == 200
        assert hands("phone", "+14155550100") == ""
        assert server.of("SIP/TransferSIPParticipant")[-1].transfer_to == uri
    assert hands("sip", "desk@pbx.example") == ""
    assert server.of("SIP/TransferSIPParticipant")[-1].transfer_to == "sip:desk@pbx.example"
    assert hands("phone", "+14155550486") == "The line is busy there"
    assert hands("phone", "+14155550603") == "The carrier did not do it"
    assert hands("phone", "+14155550480") == "Nobody answered there"
    assert hands("phone", "+14155550503") == "It was refused there: 503"
    before = len(server.of("SIP/TransferSIPParticipant"))
    assert hands("phone", "+881123456789"), "a number that is not called from here"
    assert len(server.of("SIP/TransferSIPParticipant")) == before
