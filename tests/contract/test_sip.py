"""/v1/sip: what is said of the phone line, and a caller whom a gateway brings into a room."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from livekit import api as livekit

from api.calls.phoning import NoPhoneLine
from api.http.errors import sentence
from tests.contract.conftest import House
from tests.support.api import Person, Reply
from tests.support.rehearsed_exchange import bound


@pytest.fixture
def owner(house: House) -> Person:
    return house.person()


@pytest.fixture
def line(house: House) -> Iterator[dict[str, str]]:
    """The worker has an exchange; what it tells of trunks is the test's to say."""
    told: dict[str, str] = {}
    house.worker.status.update(phones_why_not="", trunks=told)
    time.sleep(0.5)
    yield told
    house.worker.status.pop("phones_why_not")
    house.worker.status.pop("trunks")
    time.sleep(0.5)


def health(person: Person) -> dict[str, Any]:
    told: dict[str, Any] = person.ask("GET", "/v1/sip/health").json
    return told


def dispatch(house: House, call_id: str, to_number: str, **more: Any) -> Reply:
    body = {"call_id": call_id, "from_number": "+14155550100", "to_number": to_number, **more}
    return house.worker._internal("POST", "/v1/sip/dispatch", body)


def test_without_an_exchange_health_says_so(house: House, owner: Person) -> None:
    _, _, trunk_id = bound(owner)
    told = health(owner)
    assert (told["status"], told["exchange"], told["detail"]) == ("unhealthy", "down", "no phone line")
    (trunk,) = told["trunks"]
    assert (trunk["trunk_id"], trunk["registers"], trunk["registered"]) == (trunk_id, True, None)
    assert house.api.ask("GET", "/v1/sip/health").status == 401
    rule = owner.ask("POST", "/v1/sip/dispatch-rule/create")
    assert (rule.status, rule.detail) == (503, sentence(NoPhoneLine))
    tried = owner.ask("POST", f"/v1/sip-trunks/{trunk_id}/test").json
    assert (tried["success"], "no phone line" in tried["message"]) == (False, True)


def test_health_and_the_test_of_a_trunk_say_what_the_exchange_told(
    house: House, owner: Person, line: dict[str, str]
) -> None:
    agent_id, number, trunk_id = bound(owner)

    def checked(name: str) -> tuple[bool, str]:
        reply = owner.ask("POST", f"/v1/sip-trunks/{trunk_id}/{name}").json
        return reply["success"], reply["message"]

    assert (health(owner)["status"], health(owner)["exchange"]) == ("degraded", "up")
    assert checked("test") == (False, "The phone line has not told of this trunk yet.")
    line[trunk_id] = "it is not registered: 403 Forbidden"
    time.sleep(0.6)
    told = health(owner)
    assert (told["status"], told["trunks"][0]["registered"]) == ("degraded", False)
    assert "403 Forbidden" in told["trunks"][0]["detail"]
    (is_good, words) = checked("test")
    assert (is_good, words.startswith("Not usable: it is not registered: 403 Forbidden: ")) == (False, True)
    assert "look at the password" in words
    for reason, means in (
        ("it is not registered: 408 Request Timeout", "a firewall on the way"),
        ("it is not registered: 405 Method Not Allowed", "set sip_register to false"),
        ("it is not registered: 499 Whatever", "499 Whatever."),
        ("it is not registered yet", "nothing has come back so far"),
        ("it is not registered: I/O error: Connection refused (os error 111)", "nobody listens"),
        (
            'it is not registered: I/O error: invalid peer certificate: certificate not valid for name "a"',
            "sip_server must be as it says there",
        ),
        ("it is not registered: I/O error: invalid peer certificate: UnknownIssuer", "CALL2ME_SIP_CA_FILE"),
        ("it is not registered: I/O error: invalid peer certificate: Expired", "out of date"),
        ("it is not registered: I/O error: received fatal alert: ProtocolVersion", "TLS 1.2 and 1.3"),
    ):
        line[trunk_id] = reason
        time.sleep(0.6)
        assert means in checked("test")[1]
    line[trunk_id] = ""
    time.sleep(0.6)
    told = health(owner)
    assert (told["status"], told["detail"], told["trunks"][0]["registered"]) == ("healthy", "", True)
    assert checked("test") == checked("sync") == (True, "Registered.")
    assert health(house.person())["trunks"] == [], "another owner's trunks are theirs"
    rules = owner.ask("POST", "/v1/sip/dispatch-rule/create").json
    expected = {"number": number, "agent_id": agent_id, "trunk_id": trunk_id, "registered": True}
    assert (rules["success"], rules["rules"]) == (True, [expected])
    # Of one that needs no registration is told whether anybody listens for its calls.
    static = {"sip_register": False, "sip_transport": "tls"}
    assert owner.ask("PATCH", f"/v1/sip-trunks/{trunk_id}", static).status == 200
    del line[trunk_id]
    time.sleep(0.6)
    assert (checked("test")[0], "CALL2ME_SIP_LISTEN" in checked("test")[1]) == (True, False)
    line[trunk_id] = "nothing here listens for calls over tls"
    time.sleep(0.6)
    assert checked("test") == checked("sync")
    (is_good, words) = checked("test")
    assert (is_good, "tls:0.0.0.0:5061 to the worker's CALL2ME_SIP_LISTEN" in words) == (True, True)
    assert "CALL2ME_SIP_CERTIFICATE" in words
    (told,) = health(owner)["trunks"]
    assert (told["registered"], "CALL2ME_SIP_LISTEN" in told["detail"]) == (None, True)
    owner.ask("PATCH", f"/v1/sip-trunks/{trunk_id}", {"active": False})
    assert owner.ask("POST", "/v1/sip/dispatch-rule/create").json["success"] is False
    assert checked("test")[0] is False
    assert health(owner)["trunks"] == []


def test_a_caller_of_a_gateway_finds_the_agent_of_the_number_in_a_room(house: House, owner: Person) -> None:
    agent_id, number, trunk_id = bound(owner)
    reply = dispatch(house, "SCL_one", number, trunk_id=trunk_id)
    assert reply.status == 200, reply.raw
    told = reply.json
    call_id = json.loads(told["metadata"])["call_id"]
    assert dispatch(house, "SCL_one", number, trunk_id=trunk_id).json == told, "told twice is one call"

    async def asked_in() -> list[tuple[str, str]]:
        secrets = house.api.secrets
        url = f"http://127.0.0.1:{house.api.environment['CALL2ME_LIVEKIT_PORT']}"
        async with livekit.LiveKitAPI(
            url, secrets["livekit_api_key"], secrets["livekit_api_secret"]
        ) as server:
            found = await server.agent_dispatch.list_dispatch(told["room_name"])
            return [(one.agent_name, one.metadata) for one in found]

    ((name, metadata),) = asyncio.run(asked_in())
    assert (name, json.loads(metadata)["call_id"]) == ("call2me", call_id)
    brief = house.worker.brief(call_id).json
    assert (brief["agent"]["agent_id"], brief["caller_number"]) == (agent_id, "+14155550100")
    assert brief["participant_identity"] == told["participant_identity"]
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["call_type"], call["direction"], call["to_number"]) == ("sip_call", "inbound", number)
    owner.ask("POST", f"/v1/calls/{call_id}/end")


def test_a_gateway_is_told_what_it_may_not_do(house: House, owner: Person) -> None:
    _, number, _ = bound(owner)
    assert dispatch(house, "SCL_two", "+14155550199").status == 404
    assert dispatch(house, "SCL_two", number, trunk_id="trunk_of_another").status == 404
    assert dispatch(house, "", number).status == 422
    body = {"call_id": "SCL_two", "from_number": "", "to_number": number}
    assert owner.ask("POST", "/v1/sip/dispatch", body).status == 401, "only with the internal key"
    assert house.api.ask("POST", "/v1/sip/dispatch", body).status == 401
    assert owner.ask("GET", "/v1/calls").json["total"] == 0
