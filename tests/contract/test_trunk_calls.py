"""A test call over a trunk is made by the rules of any other call; the exchange is the test's."""

from typing import Any

import pytest

from api.calls.phoning import NoPhoneLine
from api.http.errors import sentence
from tests.contract.conftest import House
from tests.support.api import Person
from tests.support.rehearsed_exchange import bound, dialled, goes, line, until

__all__ = ["line"]
TO = "+14155550123"


@pytest.fixture
def owner(house: House) -> Person:
    return house.person()


def trunk_of(owner: Person, **more: Any) -> str:
    wanted = {"name": "T", "sip_server": "9.9.9.9", **more}
    return str(owner.made("/v1/sip-trunks", wanted)["trunk_id"])


def tried(owner: Person, trunk_id: str, headers: dict[str, str] | None = None, **more: Any) -> Any:
    body = {"to_number": TO, "wait": False, **more}
    return owner.ask("POST", f"/v1/sip-trunks/{trunk_id}/test-call", body, headers=headers)


@pytest.mark.usefixtures("line")
def test_a_test_call_is_dialled_once_and_told_of_where_its_answer_says(house: House, owner: Person) -> None:
    trunk_id = trunk_of(owner, outbound_caller_id="+14155550100", dial_prefix="")
    first = tried(owner, trunk_id, {"Idempotency-Key": "once"}, ring_timeout_seconds=7)
    assert first.status == 202, first.raw
    call_id, where = first.json["call_id"], first.headers["location"]
    order = dialled(house, call_id)
    assert (order["to_number"], order["from_number"], order["ring_seconds"]) == (
        "14155550123",
        "+14155550100",
        7,
    )
    again = tried(owner, trunk_id, {"Idempotency-Key": "once"}, ring_timeout_seconds=7)
    assert (again.json, again.headers["location"]) == (first.json, where)
    assert goes(house, call_id, "ringing", 180) == goes(house, call_id, "ended", 403, "Forbidden") == 204
    told = until(lambda: (seen := owner.ask("GET", where).json)["is_over"] and seen)
    assert (told["success"], told["sip_code"], told["call_status"]) == (False, 403, "failed")
    assert told["seconds_to_ring"] is not None
    assert "+14155550100 was sent" in told["advice"][0]
    assert owner.ask("GET", f"/v1/calls/{call_id}").json["sip_code"] == 403
    assert [o["call_id"] for o in house.worker.orders if o.get("kind") == "dial"].count(call_id) == 1


@pytest.mark.usefixtures("line")
def test_what_refuses_any_call_refuses_a_test_call_and_nothing_is_written(owner: Person) -> None:
    trunk_id, stranger = trunk_of(owner), owner.api.person()
    _, theirs, _ = bound(stranger)
    owner.made("/v1/do-not-call", {"phone_number": "+14155550155"})
    asleep = trunk_of(owner)
    owner.ask("PATCH", f"/v1/sip-trunks/{asleep}", {"active": False})
    refused = [
        tried(stranger, trunk_id).status,
        tried(owner, asleep).status,
        tried(owner, trunk_id, to_number="+19002345678").status,
        tried(owner, trunk_id, to_number="+14155550155").status,
        tried(owner, trunk_id, from_number=theirs).status,
        tried(owner, trunk_id, agent_id="agent_none").status,
        tried(owner, trunk_id, to_number="four").status,
        tried(owner, trunk_id, say="").status,
        tried(owner, trunk_id, ring_timeout_seconds=4).status,
    ]
    assert refused == [404, 409, 403, 403, 400, 404, 422, 422, 422]
    assert owner.ask("GET", "/v1/calls").json["total"] == 0


def test_without_a_phone_line_it_says_so(owner: Person) -> None:
    reply = tried(owner, trunk_of(owner))
    assert (reply.status, reply.detail) == (503, sentence(NoPhoneLine))


@pytest.mark.usefixtures("line")
def test_a_number_that_is_bound_there_is_shown_where_the_trunk_shows_none(
    house: House, owner: Person
) -> None:
    trunk_id = trunk_of(owner)
    number = owner.made("/v1/phone-numbers", {"number": "+905331230001", "trunk_id": trunk_id})["number"]
    call_id = tried(owner, trunk_id).json["call_id"]
    assert dialled(house, call_id)["from_number"] == number
