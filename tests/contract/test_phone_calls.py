"""Calls that come in as an exchange and the api tell each other of them; the exchange is the test's."""

import time
from typing import Any

import pytest

from tests.contract.conftest import House
from tests.support.api import AGENT, Person
from tests.support.rehearsed_exchange import bound, dialled, goes, line, numbers, owner, rings, until
from tests.support.rehearsed_worker import Script, moment

__all__ = ["line", "owner"]

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


def test_a_carrier_may_spellnumbers_as_they_are_dialled_at_home(house: House, owner: Person) -> None:
    agent_id, _, trunk_id = bound(owner)
    number = f"+4930{next(numbers)}"
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


@pytest.mark.usefixtures("line")
def test_whoever_hangs_up_while_no_process_has_their_call_has_ended_it_then(
    house: House, owner: Person
) -> None:
    _, number, trunk_id = bound(owner)
    call_id = rings(house, trunk_id, number, "left@carrier").json["call_id"]
    house.worker.brief(call_id)
    script = Script(call_id)
    house.worker.tell(script.started(), script.said("user", "I need a room.", 1, 2), script.lost(3))
    assert owner.ask("GET", f"/v1/calls/{call_id}").json["attempt"] == 2
    left_at = time.time()
    goes(house, call_id, "ended", 200, "OK")

    def over() -> dict[str, Any] | None:
        told: dict[str, Any] = owner.ask("GET", f"/v1/calls/{call_id}").json
        return told if told["end_timestamp"] else None

    call = until(over, 10)
    assert (call["call_status"], call["disconnection_reason"]) == ("completed", "user_hangup")
    # Not the half minute later when nobody waits for another process any more: that would be charged.
    assert abs(call["end_timestamp"] / 1000 - left_at) < 2


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
