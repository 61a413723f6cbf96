"""Calls that are to be made: what the exchange is ordered, how they end, and who is called again."""

import time

import pytest

from tests.contract.conftest import House
from tests.support.api import AGENT, Person
from tests.support.rehearsed_exchange import bound, dialled, goes, line, numbers, owner, until
from tests.support.rehearsed_worker import Script

__all__ = ["line", "owner"]


@pytest.mark.usefixtures("line")
def test_a_call_rings_as_long_as_asked_and_the_same_request_again_rings_nobody(
    house: House, owner: Person
) -> None:
    agent_id, _, _ = bound(owner)
    body = {"agent_id": agent_id, "to_number": "+14155550123", "ring_timeout_seconds": 20}
    key = {"Idempotency-Key": "ring once"}
    first = owner.ask("POST", "/v1/calls/outbound", body, headers=key)
    again = owner.ask("POST", "/v1/calls/outbound", body, headers=key)
    assert (first.status, again.status, again.json) == (201, 201, first.json)
    assert dialled(house, first.json["call_id"])["ring_seconds"] == 20
    assert owner.ask("GET", "/v1/calls").json["total"] == 1
    for wrong in (4, 181, "soon"):
        assert owner.ask("POST", "/v1/calls", {**body, "ring_timeout_seconds": wrong}).status == 422
    plain = owner.made("/v1/calls", {"agent_id": agent_id, "to_number": "+14155550123"})["call_id"]
    assert (dialled(house, plain)["ring_seconds"], dialled(house, plain)["headers"]) == (60, {})


@pytest.mark.usefixtures("line")
def test_headers_of_ones_own_go_along_and_no_others(house: House, owner: Person) -> None:
    agent_id, _, _ = bound(owner)
    body = {"agent_id": agent_id, "to_number": "+14155550123"}
    told = {"X-Account": "42", "x-name": "Ayşe"}
    call_id = owner.made("/v1/calls", {**body, "headers": told})["call_id"]
    assert dialled(house, call_id)["headers"] == told
    for wrong in (
        {"Via": "nowhere"},
        {"P-Asserted-Identity": "<sip:president@example>"},
        {"X-": "1"},
        {"X-A\r\nVia": "1"},
        {"X-A": "1\r\nRoute: <sip:elsewhere>"},
        {"X-A": ""},
        {"X-A": "1" * 201},
        {"X-A": "1", "x-a": "2"},
        {f"X-{number}": "1" for number in range(17)},
        {f"X-{number}": "1" * 200 for number in range(5)},
        {"X-A": 1},
        ["X-A"],
    ):
        assert owner.ask("POST", "/v1/calls", {**body, "headers": wrong}).status == 422, wrong
    assert owner.ask("GET", "/v1/calls").json["total"] == 1


@pytest.mark.usefixtures("line")
@pytest.mark.parametrize(
    ("code", "reason", "status"),
    [
        (486, "Busy Here", "busy"),
        (600, "Busy Everywhere", "busy"),
        (480, "Temporarily Unavailable", "no_answer"),
        (408, "Request Timeout", "no_answer"),
        (404, "Not Found", "failed"),
        (603, "Decline", "failed"),
        (0, "connection refused", "failed"),
    ],
)
def test_a_call_that_is_not_answered_says_why(
    house: House, owner: Person, code: int, reason: str, status: str
) -> None:
    agent_id, number, trunk_id = bound(owner)
    body = {"agent_id": agent_id, "to_number": "+14155550123", "topic": "the bill"}
    reply = owner.ask("POST", "/v1/calls/outbound", body)
    assert (reply.status, reply.json["call_status"]) == (201, "pending")
    call_id = reply.json["call_id"]
    order = dialled(house, call_id)
    assert (order["trunk_id"], order["to_number"], order["from_number"]) == (trunk_id, "+14155550123", number)
    goes(house, call_id, "ringing", 180, "Ringing")
    assert owner.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "ringing"
    goes(house, call_id, "ended", code, reason)
    goes(house, call_id, "ended", code, reason)
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["call_status"], call["sip_code"], call["sip_reason"]) == (status, code or None, reason)
    assert reason in call["disconnection_reason"]
    assert house.worker.brief(call_id).status == 409


@pytest.mark.usefixtures("line")
def test_an_answered_call_is_a_call_like_any_other(house: House, owner: Person) -> None:
    agent_id, number, _ = bound(owner)
    body = {"agent_id": agent_id, "to_number": "+14155550123", "topic": "the bill"}
    call_id = owner.made("/v1/calls", body)["call_id"]
    dialled(house, call_id)
    goes(house, call_id, "answered", 200, "OK")
    brief = house.worker.brief(call_id).json
    assert brief["variables"]["call_purpose"] == "the bill"
    assert brief["caller_number"] == "+14155550123"
    script = Script(call_id)
    house.worker.tell(script.started(), script.ended(9))
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["call_status"], call["direction"], call["from_number"]) == ("completed", "outbound", number)
    silent = owner.made("/v1/calls", body)["call_id"]
    dialled(house, silent)
    goes(house, silent, "answered", 200, "OK")
    goes(house, silent, "ended", 200, "")  # as while the api was away
    unheard = owner.made("/v1/calls", body)["call_id"]
    dialled(house, unheard)
    goes(house, unheard, "ended", 200, "")  # that it was answered was never told
    for call_id in (silent, unheard):
        call = owner.ask("GET", f"/v1/calls/{call_id}").json
        assert (call["call_status"], call["disconnection_reason"]) == (
            "failed",
            "error: somebody answered, and no agent was there in time",
        )


@pytest.mark.usefixtures("line")
def test_what_the_exchange_refuses_is_over_and_never_dialled_again(house: House, owner: Person) -> None:
    agent_id, _, _ = bound(owner)
    house.worker.obeys = lambda order: {"outcome": "refused", "message": "the trunk is not registered"}
    call_id = owner.made("/v1/calls", {"agent_id": agent_id, "to_number": "+14155550123"})["call_id"]
    call = until(
        lambda: (found := owner.ask("GET", f"/v1/calls/{call_id}").json)["call_status"] == "failed" and found
    )
    assert call["disconnection_reason"] == "not_dialled: the trunk is not registered"


@pytest.mark.usefixtures("line")
def test_what_cannot_be_dialled_is_refused_before_anything_is_written(house: House, owner: Person) -> None:
    agent_id = owner.made("/v1/agents", AGENT)["agent_id"]
    assert owner.ask("POST", "/v1/calls", {"agent_id": agent_id, "to_number": "+14155550123"}).status == 400
    number = f"+90533{next(numbers)}"
    owner.made("/v1/phone-numbers", {"number": number, "agent_id": agent_id})
    reply = owner.ask("POST", "/v1/calls", {"agent_id": agent_id, "to_number": "+14155550123"})
    assert (reply.status, "SIP trunk" in reply.detail) == (400, True)
    stranger = house.person()
    _, theirs, _ = bound(stranger)
    body = {"agent_id": agent_id, "to_number": "+14155550123", "from_number": theirs}
    assert owner.ask("POST", "/v1/calls", body).status == 400
    assert owner.ask("GET", "/v1/calls").json["total"] == 0


@pytest.mark.usefixtures("line")
def test_who_was_not_reached_is_called_again_as_often_as_asked_and_after_what_was_asked(
    house: House, owner: Person
) -> None:
    agent_id, _, _ = bound(owner)
    retry = {"count": 2, "delay_minutes": 0, "on": ["busy", "voicemail"]}
    wanted = {"agent_id": agent_id, "to_number": "+905331234567", "topic": "the bill", "retry": retry}
    wanted |= {"headers": {"X-Account": "42"}}
    for bad in ({"count": 0}, {"count": 6}, {"delay_minutes": -1}, {"on": []}, {"on": ["completed"]}):
        assert owner.ask("POST", "/v1/calls", {**wanted, "retry": {**retry, **bad}}).status == 422, bad
    first = owner.made("/v1/calls", wanted)
    assert (first["tries"], first["retry_of"]) == (1, None)
    dialled(house, first["call_id"])
    goes(house, first["call_id"], "ended", 486, "Busy Here")

    def next_of(call_id: str) -> str:
        listed = owner.ask("GET", "/v1/calls").json["calls"]
        told = [owner.ask("GET", f"/v1/calls/{one['call_id']}").json for one in listed]
        return str(next((one["call_id"] for one in told if one["retry_of"] == call_id), ""))

    second = until(lambda: next_of(first["call_id"]), 20)
    assert dialled(house, second)["to_number"] == wanted["to_number"]
    assert dialled(house, second)["headers"] == wanted["headers"]
    assert house.worker.brief(second).json["variables"]["call_purpose"] == "the bill"
    script = Script(second)
    house.worker.tell(script.started(), script.ended(2, "ended", "voicemail"))
    third = until(lambda: next_of(second), 20)
    dialled(house, third)
    assert owner.ask("GET", f"/v1/calls/{third}").json["tries"] == 3
    goes(house, third, "ended", 486, "Busy Here")
    other = owner.made("/v1/calls", wanted)["call_id"]
    dialled(house, other)
    goes(house, other, "ended", 480, "Not here")
    time.sleep(3)
    assert owner.ask("GET", "/v1/calls").json["total"] == 4, "three at most, and none after another outcome"
