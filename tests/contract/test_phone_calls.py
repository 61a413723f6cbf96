"""Calls on telephones as an exchange and the api tell each other of them; the exchange is the test's."""

import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from typing import Any

import pytest

from tests.contract.conftest import House
from tests.support.api import AGENT, Person
from tests.support.rehearsed_worker import Script, moment

_numbers = count(7_000_000)
QUALITY = {
    "codec": "PCMU",
    "packets_received": 1000,
    "packets_lost": 10,
    "packets_late": 1,
    "packets_dropped": 0,
    "packets_sent": 1000,
    "jitter_ms": 4.2,
    "mos": 4.1,
}


def until(true: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def exchange_is(house: House, wanted: str) -> None:
    """Wait until the api knows what the worker's status says of its telephones."""
    anybody = house.api.person()
    until(lambda: anybody.ask("GET", "/v1/sip/health").json["exchange"] == wanted, 30)


@pytest.fixture
def owner(house: House) -> Person:
    return house.person()


@pytest.fixture
def line(house: House) -> Iterator[None]:
    """The worker has phones, and does as it is told."""
    house.worker.status["phones_why_not"] = ""
    house.worker.obeys = lambda order: {"outcome": "done"}
    exchange_is(house, "up")
    yield
    house.worker.status.pop("phones_why_not")
    house.worker.obeys = lambda order: None
    exchange_is(house, "down")


def bound(owner: Person) -> tuple[str, str, str]:
    """An agent, its number, and the trunk of that."""
    agent_id = owner.made("/v1/agents", AGENT)["agent_id"]
    trunk = {
        "name": "Carrier",
        "sip_server": "1.2.3.4:5099",
        "sip_username": "me",
        "sip_password": "secret",
    }
    trunk_id = owner.made("/v1/sip-trunks", trunk)["trunk_id"]
    number = f"+90533{next(_numbers)}"
    owner.made("/v1/phone-numbers", {"number": number, "agent_id": agent_id, "trunk_id": trunk_id})
    return agent_id, number, trunk_id


def rings(house: House, trunk_id: str, number: str, sip_call_id: str, **more: Any) -> Any:
    """A call comes in."""
    told = {
        "worker_id": house.worker.worker_id,
        "sip_call_id": sip_call_id,
        "trunk_id": trunk_id,
        "to_number": number,
        "from_number": "+14155550100",
        **more,
    }
    return house.worker._internal("POST", "/internal/phones/calls", told)


def goes(
    house: House, call_id: str, state: str, code: int = 0, reason: str = "", at: str | None = None
) -> int:
    told = {"worker_id": house.worker.worker_id, "state": state, "sip_code": code, "sip_reason": reason}
    told |= {"at": at} if at is not None else {}
    return int(house.worker._internal("POST", f"/internal/phones/calls/{call_id}", told).status)


def dialled(house: House, call_id: str) -> dict[str, Any]:
    """The order to dial."""
    return until(
        lambda: next(
            (o for o in list(house.worker.orders) if o.get("kind") == "dial" and o["call_id"] == call_id),
            None,
        )
    )


def test_an_exchange_is_told_the_trunks_with_what_signs_us_in(house: House, owner: Person) -> None:
    _, _, trunk_id = bound(owner)
    trunks = house.worker._internal("GET", "/internal/phones/trunks").json["trunks"]
    mine = next(one for one in trunks if one["trunk_id"] == trunk_id)
    assert (mine["server"], mine["username"], mine["password"], mine["registers"]) == (
        "1.2.3.4:5099",
        "me",
        "secret",
        True,
    )
    assert not mine["asserts_identity"]
    path = f"/v1/sip-trunks/{trunk_id}"
    assert owner.ask("PATCH", path, {"sip_assert_identity": True}).json["sip_assert_identity"]
    assert owner.ask("PATCH", path, {"sip_assert_identity": None}).status < 500
    trunks = house.worker._internal("GET", "/internal/phones/trunks").json["trunks"]
    assert next(one for one in trunks if one["trunk_id"] == trunk_id)["asserts_identity"]
    assert owner.ask("GET", "/internal/phones/trunks").status in {401, 403}


def test_a_call_that_comes_in_is_for_the_agent_of_its_number(house: House, owner: Person) -> None:
    agent_id, number, trunk_id = bound(owner)
    reply = rings(house, trunk_id, number, "abc@carrier", headers={"X-Order-Number": "7"})
    call_id = reply.json["call_id"]
    assert rings(house, trunk_id, number, "abc@carrier").json["call_id"] == call_id, "told twice is once"
    brief = house.worker.brief(call_id).json
    assert (brief["agent"]["agent_id"], brief["caller_number"]) == (agent_id, "+14155550100")
    assert brief["variables"]["x_order_number"] == "7"
    script = Script(call_id)
    house.worker.tell(script.started(), script._event("media", 5, quality=QUALITY), script.ended(5))
    assert goes(house, call_id, "ended", 200, "OK") == 204
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["call_type"], call["direction"], call["call_status"]) == (
        "phone_call",
        "inbound",
        "completed",
    )
    assert (call["from_number"], call["to_number"], call["sip_code"]) == ("+14155550100", number, 200)
    assert call["media_quality"]["mos"] == 4.1
    assert call["disconnection_reason"] == "user_hangup", "the agent's word stands"


@pytest.mark.usefixtures("line")
def test_agents_with_functions_share_no_process_and_one_that_blocks_has_one_for_each_call(
    house: House, owner: Person
) -> None:
    agent_id, number, trunk_id = bound(owner)
    asked = {"agent_id": agent_id, "to_number": "+905339876543"}
    assert rings(house, trunk_id, number, f"{number}-1").json["apart"] == ""
    engine = {**AGENT["response_engine"], "functions": [{"type": "python", "name": "book"}]}
    assert owner.ask("PATCH", f"/v1/agents/{agent_id}", {"response_engine": engine}).status == 200
    call_id = rings(house, trunk_id, number, f"{number}-2").json["call_id"]
    assert rings(house, trunk_id, number, f"{number}-2").json["apart"] == agent_id
    assert dialled(house, owner.made("/v1/calls", asked)["call_id"])["apart"] == agent_id
    assert house.worker.brief(call_id).status == 200
    script = Script(call_id)
    house.worker.tell(script.started(), script.warned("function_blocks", 1))
    assert rings(house, trunk_id, number, f"{number}-3").json["apart"].startswith("call_")


@pytest.mark.parametrize("number", ["+905339999999", "", "0", "sip:x@y", "+1" * 40])
def test_a_number_that_nobody_answers_is_a_404_and_no_call(house: House, owner: Person, number: str) -> None:
    _, _, trunk_id = bound(owner)
    assert rings(house, trunk_id, number, f"x{number}").status == 404
    assert owner.ask("GET", "/v1/calls").json["total"] == 0


def test_a_number_takes_calls_of_its_own_trunk_only(house: House, owner: Person) -> None:
    _, number, _ = bound(owner)
    _, _, another = bound(owner)
    assert rings(house, another, number, "other@carrier").status == 404


def test_a_carrier_may_spell_numbers_as_they_are_dialled_at_home(house: House, owner: Person) -> None:
    agent_id, _, trunk_id = bound(owner)
    number = f"+4930{next(_numbers)}"
    owner.made("/v1/phone-numbers", {"number": number, "agent_id": agent_id, "trunk_id": trunk_id})
    contact = {"name": "Ada", "phone_number": "+491711234567", "variables": {"plan": "gold"}}
    owner.made("/v1/contacts", contact)
    for nth, (to, caller) in enumerate(
        [(number.replace("+49", "0"), "01711234567"), (number, "+491711234567"), (number, "1711234567")]
    ):
        reply = rings(house, trunk_id, to, f"{number}-{nth}", from_number=caller)
        assert reply.status == 200, to
        brief = house.worker.brief(reply.json["call_id"]).json
        assert (brief["variables"]["plan"], brief["caller_number"]) == ("gold", "+491711234567"), caller
    told = owner.ask("GET", f"/v1/calls/{reply.json['call_id']}").json
    assert (told["from_number"], told["to_number"]) == ("+491711234567", number)
    inside = rings(house, trunk_id, number, f"{number}-9", from_number="1001").json["call_id"]
    assert house.worker.brief(inside).json["caller_number"] == "1001", "an extension stays one"
    assert rings(house, trunk_id, number[-5:], f"{number}-8").status == 404


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
def test_an_order_without_an_answer_is_withdrawn_and_dialled_again_only_where_nobody_was_called(
    house: House, owner: Person
) -> None:
    agent_id, _, _ = bound(owner)
    lost, unsure, rang = (f"+1415555013{nth}" for nth in range(3))
    to: dict[str, str] = {}
    asked: Counter[str] = Counter()

    def obeys(order: dict[str, Any]) -> dict[str, Any] | None:
        call_id = order["call_id"]
        if order["kind"] == "dial":
            is_again = order["to_number"] in to.values()
            to[call_id] = order["to_number"]
            return {"outcome": "done"} if is_again else None
        asked[to[call_id]] += 1
        if to[call_id] == lost:
            return {"outcome": "not_here" if asked[lost] == 1 else "done"}
        return {"outcome": "refused"}

    house.worker.obeys = obeys
    body = {"agent_id": agent_id, "retry": {"count": 1, "delay_minutes": 0, "on": ["failed"]}}
    with ThreadPoolExecutor(3) as pool:
        for number in (lost, unsure, rang):
            more = {} if number == lost else {"retry": None}
            pool.submit(owner.made, "/v1/calls", {**body, "to_number": number, **more})
        ringing = until(lambda: next((id_ for id_, number in dict(to).items() if number == rang), None))
        goes(house, ringing, "ringing", 180, "Ringing")

    def calls(number: str) -> list[tuple[str, str | None]]:
        found = [one for one in owner.ask("GET", "/v1/calls").json["calls"] if one["to_number"] == number]
        return [(one["call_status"], one["disconnection_reason"]) for one in found]

    assert until(lambda: len(found := calls(lost)) == 2 and found, 20) == [
        ("pending", None),
        ("failed", "not_dialled: the order was lost on its way to the exchange"),
    ]
    assert calls(unsure) == [
        ("failed", "error: The worker did not answer: the call may or may not have been dialled")
    ]
    assert calls(rang) == [("ringing", None)], "what is told of goes on"
    until(lambda: list(to.values()).count(lost) == 2)
    goes(house, ringing, "ended", 486, "Busy Here")
    goes(house, ringing, "ended", 0, "the exchange was restarted")
    assert owner.ask("GET", f"/v1/calls/{ringing}").json["sip_code"] == 486
    assert Counter(to.values()) == {lost: 2, unsure: 1, rang: 1}
    assert asked == {lost: 2, unsure: 1, rang: 1}


@pytest.mark.usefixtures("line")
def test_what_cannot_be_dialled_is_refused_before_anything_is_written(house: House, owner: Person) -> None:
    agent_id = owner.made("/v1/agents", AGENT)["agent_id"]
    assert owner.ask("POST", "/v1/calls", {"agent_id": agent_id, "to_number": "+14155550123"}).status == 400
    number = f"+90533{next(_numbers)}"
    owner.made("/v1/phone-numbers", {"number": number, "agent_id": agent_id})
    reply = owner.ask("POST", "/v1/calls", {"agent_id": agent_id, "to_number": "+14155550123"})
    assert (reply.status, "SIP trunk" in reply.detail) == (400, True)
    stranger = house.person()
    _, theirs, _ = bound(stranger)
    body = {"agent_id": agent_id, "to_number": "+14155550123", "from_number": theirs}
    assert owner.ask("POST", "/v1/calls", body).status == 400
    assert owner.ask("GET", "/v1/calls").json["total"] == 0


@pytest.mark.usefixtures("line")
def test_a_call_whose_process_died_is_taken_up_by_the_exchange(house: House, owner: Person) -> None:
    _, number, trunk_id = bound(owner)
    call_id = rings(house, trunk_id, number, "lost@carrier").json["call_id"]
    house.worker.status["call_ids"] = [call_id]
    house.worker.brief(call_id)
    script = Script(call_id)
    house.worker.tell(script.started(), script.said("user", "I need a room.", 1, 2), script.lost(3))
    order = until(
        lambda: next(
            (o for o in list(house.worker.orders) if o.get("kind") == "take_up" and o["call_id"] == call_id),
            None,
        )
    )
    assert order["attempt"] == 2
    assert house.worker.brief(call_id, "job-3", attempt=1).status == 410
    brief = house.worker.brief(call_id, "job-2", attempt=2).json
    assert brief["transcript"][0]["text"] == "I need a room."
    assert owner.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "in_progress"
    house.worker.status["call_ids"] = []


def test_a_call_that_was_handed_to_a_person_says_so(house: House, owner: Person) -> None:
    _, number, trunk_id = bound(owner)
    owner.made(
        "/v1/webhooks/endpoints", {"url": "https://hooks.example.com/a", "events": ["call.transferred"]}
    )
    call_id = rings(house, trunk_id, number, "handed@carrier").json["call_id"]
    house.worker.brief(call_id)
    script = Script(call_id)
    house.worker.tell(script.started(), script.ended(5, "transferred", "transferred"))
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["call_status"], call["disconnection_reason"]) == ("transferred", "transferred")
    told = until(lambda: owner.ask("GET", "/v1/webhooks/deliveries").json["deliveries"], 20)
    assert [(one["event"], one["call_id"]) for one in told] == [("call.transferred", call_id)]
    goes(house, call_id, "ended", 200, "OK")
    assert owner.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "transferred"


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


def test_a_call_that_was_put_through_lasts_until_the_two_have_talked(house: House, owner: Person) -> None:
    _, number, trunk_id = bound(owner)
    hook = {"url": "https://hooks.example.com/b", "events": ["call.*"]}
    owner.made("/v1/webhooks/endpoints", hook)

    def over(call_id: str) -> dict[str, Any]:
        def settled() -> dict[str, Any] | None:
            call: dict[str, Any] = owner.ask("GET", f"/v1/calls/{call_id}").json
            return call if call["call_analysis"] is not None else None

        return until(settled, 20)

    def told_of(call_id: str) -> list[str]:
        deliveries = owner.ask("GET", "/v1/webhooks/deliveries").json["deliveries"]
        return [one["event"] for one in deliveries if one["call_id"] == call_id]

    # First a transfer that fails, then one that is put through.
    call_id = rings(house, trunk_id, number, "bridged@carrier").json["call_id"]
    house.worker.brief(call_id)
    script = Script(call_id)
    house.worker.tell(
        script.started(),
        script.tried(2, "failed", why_not="They cannot take the call now"),
        script.tried(5, "bridged", duration_ms=2500),
        {**script.ended(5, "transferred", "transferred"), "is_bridged": True},
    )
    house.worker.status["call_ids"] = [call_id]
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["call_status"], call["duration_ms"]) == ("in_progress", None), "they talk"
    assert [(one["outcome"], one["talked_ms"]) for one in call["transfers"]] == [
        ("failed", None),
        ("bridged", None),
    ]
    goes(house, call_id, "ended", 200, "OK", at=moment(65))
    goes(house, call_id, "ended", 200, "OK", at=moment(90))
    call = over(call_id)
    assert (call["call_status"], call["disconnection_reason"]) == ("transferred", "transferred")
    assert call["duration_ms"] == 65_000
    assert call["transfers"][1] | {"at": ""} == {
        "target": "Desk",
        "to": "+14155550177",
        "mode": "warm",
        "outcome": "bridged",
        "why_not": "",
        "at": "",
        "took_ms": 2500.0,
        "talked_ms": 60_000.0,
    }
    paid = owner.ask("GET", "/v1/wallet/transactions").json
    (line,) = [one for one in paid["transactions"] if one["call_id"] == call_id]
    assert line["explanation"]["seconds"] == 65, "what they talked then is charged like what was before"
    assert line["explanation"]["agent_seconds"] == 5, "but for what only an agent does"
    assert "nothing was recorded in 60 s without the agent" in line["description"]
    until(lambda: "call.transferred" in told_of(call_id), 20)
    told = sorted(told_of(call_id))
    assert told == ["call.ended", "call.started", "call.transfer", "call.transfer", "call.transferred"]
    # The exchange may be quicker than the worker's last event.
    quick = rings(house, trunk_id, number, "quick@carrier").json["call_id"]
    house.worker.brief(quick)
    script = Script(quick)
    house.worker.tell(script.started())
    goes(house, quick, "ended", 200, "OK", at=moment(30))
    assert owner.ask("GET", f"/v1/calls/{quick}").json["call_status"] == "in_progress"
    house.worker.tell({**script.ended(5, "transferred", "transferred"), "is_bridged": True})
    call = owner.ask("GET", f"/v1/calls/{quick}").json
    assert (call["call_status"], call["duration_ms"]) == ("transferred", 30_000)
    # Its owner may end it meanwhile.
    ended = rings(house, trunk_id, number, "ended@carrier").json["call_id"]
    house.worker.brief(ended)
    script = Script(ended)
    house.worker.tell(script.started(), {**script.ended(5, "transferred", "transferred"), "is_bridged": True})
    assert owner.ask("POST", f"/v1/calls/{ended}/end").status == 200
    until(
        lambda: any(o.get("kind") == "hang_up" and o["call_id"] == ended for o in list(house.worker.orders))
    )
    goes(house, ended, "ended", 200, "OK", at=moment(40))
    call = over(ended)
    assert (call["call_status"], call["disconnection_reason"]) == ("transferred", "agent_hangup")
    assert call["duration_ms"] == 40_000
    house.worker.status["call_ids"] = []
