"""Who may listen to a running call, with what token, and what the record tells of a call taken over."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import jwt
import pytest

from tests.contract.conftest import House
from tests.support.api import Person
from tests.support.rehearsed_exchange import bound, goes, rings
from tests.support.rehearsed_worker import Script, moment


@pytest.fixture
def owner(house: House) -> Person:
    return house.person()


@pytest.fixture
def call_id(house: House, owner: Person) -> Iterator[str]:
    """A telephone is talking with an agent, and the shard does as it is told."""
    _, number, trunk_id = bound(owner)
    made = str(rings(house, trunk_id, number, f"sip-{number}").json["call_id"])
    house.worker.brief(made)
    house.worker.tell(Script(made).started())
    house.worker.obeys = lambda order: {"outcome": "done"}
    yield made
    house.worker.obeys = lambda order: None


def test_a_token_lets_somebody_hear_a_telephone_and_only_speak_when_they_may(
    house: House, owner: Person, call_id: str
) -> None:
    for may_speak in (False, True):
        body = {"name": "Ann", "may_speak": may_speak}
        token = owner.ask("POST", f"/v1/calls/{call_id}/listen", body).json
        claims = jwt.decode(token["token"], options={"verify_signature": False})
        grants = claims["video"]
        assert (claims["sub"], claims["name"]) == (token["participant_identity"], "Ann")
        assert (grants["room"], grants["roomJoin"]) == (f"listen_{call_id}", True)
        assert grants["canSubscribe"]
        assert grants["canPublish"] is may_speak
        assert grants["canPublishData"] is may_speak
        order = [one for one in list(house.worker.orders) if one.get("call_id") == call_id][-1]
        assert order["action"] == {
            "action": "listen",
            "room_name": f"listen_{call_id}",
            "identity": token["participant_identity"],
            "name": "Ann",
        }


def test_without_the_shards_word_there_is_no_token(house: House, owner: Person, call_id: str) -> None:
    house.worker.obeys = lambda order: {"outcome": "refused", "message": "Too many"}
    refused = owner.ask("POST", f"/v1/calls/{call_id}/listen", {})
    assert (refused.status, refused.detail) == (409, "Too many")
    assert house.person().ask("POST", f"/v1/calls/{call_id}/listen", {}).status == 404
    house.worker.tell(Script(call_id).ended(5))
    assert owner.ask("POST", f"/v1/calls/{call_id}/listen", {}).status == 409


def test_a_key_listens_only_where_its_permissions_say_so(house: House, owner: Person, call_id: str) -> None:
    def asks(path: str, body: dict[str, object], **key: object) -> int:
        made = owner.made("/v1/api-keys", {"name": "k", **key})["api_key"]
        return int(house.api.ask("POST", f"/v1/calls/{call_id}/{path}", body, token=made).status)

    taken = {"participant_identity": "l1"}
    assert asks("listen", {}, read_only=True) == 403
    assert asks("listen", {}, permissions=["calls:read"]) == 403
    assert asks("listen", {}, permissions=["listening:read"]) == 200
    assert asks("take-over", taken, permissions=["listening:read"]) == 403
    assert asks("take-over", taken, permissions=["listening:write"]) == 200


def test_the_transcript_says_who_took_the_call_over(house: House, owner: Person, call_id: str) -> None:
    script = Script(call_id)
    script.started()
    ann = {"action": "take_over", "identity": "l1", "name": "Ann"}
    house.worker.tell(
        script.said("agent", "Hello.", 0, 1),
        script.steered(ann, 2),
        script.steered({"action": "give_back"}, 5),
        script.said("agent", "I am back.", 6, 7),
        script.steered(ann, 8),
        script.steered({"action": "give_back", "identity": "l1", "has_left": True}, 9),
        script.ended(10),
    )
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert call["transcript"].splitlines() == [
        "Agent: Hello.",
        "Note: Ann took the call over.",
        "Note: Ann gave the call back.",
        "Agent: I am back.",
        "Note: Ann took the call over.",
        "Note: Ann left, and the agent has the call.",
    ]
    assert [(entry["role"], entry["start_ms"]) for entry in call["transcript_object"]][:3] == [
        ("agent", 0),
        ("note", 2000),
        ("note", 5000),
    ]


def test_a_call_in_a_browser_is_listened_to_in_a_room_of_its_own(house: House, owner: Person) -> None:
    call_id = house.call(owner)
    assert owner.ask("POST", f"/v1/calls/{call_id}/listen", {}).status == 409
    script = Script(call_id)
    house.worker.tell(script.started())
    house.worker.obeys = lambda order: {"outcome": "done"}
    try:
        token = owner.ask("POST", f"/v1/calls/{call_id}/listen", {"may_speak": True}).json
        taken = {"participant_identity": token["participant_identity"], "name": "Ann"}
        assert owner.ask("POST", f"/v1/calls/{call_id}/take-over", taken).status == 200
    finally:
        house.worker.obeys = lambda order: None
    grants = jwt.decode(token["token"], options={"verify_signature": False})["video"]
    assert (token["room_name"], grants["room"]) == (f"listen_{call_id}", f"listen_{call_id}")
    assert grants["canPublish"] is True
    orders = [one["action"]["action"] for one in list(house.worker.orders) if one.get("call_id") == call_id]
    assert orders == ["listen", "take_over"]
    house.worker.tell(
        script.steered({"action": "take_over", "identity": "l1", "name": "Ann"}, 1),
        script.said("user", "Are you a human?", 2, 3),
        script.said("supervisor", "Yes, this is Ann.", 4, 6),
        script.ended(7),
    )
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert call["transcript"].splitlines() == [
        "Note: Ann took the call over.",
        "User: Are you a human?",
        "Supervisor: Yes, this is Ann.",
    ]


def test_two_who_were_put_through_can_be_listened_to_and_joined(
    house: House, owner: Person, call_id: str
) -> None:
    script = Script(call_id)
    script.started()
    house.worker.tell(
        script.said("agent", "I put you through.", 0, 1),
        {**script.ended(2, "transferred", "transferred"), "is_bridged": True},
    )
    house.worker.status["call_ids"] = [call_id]
    assert owner.ask("POST", f"/v1/calls/{call_id}/listen", {"name": "Ann"}).status == 200
    other = house.person()
    for path, body in (("listen", {}), ("take-over", {"participant_identity": "l1"}), ("give-back", None)):
        assert other.ask("POST", f"/v1/calls/{call_id}/{path}", body).status == 404
    house.worker.obeys = lambda order: {"outcome": "refused", "message": "Nobody to whisper to"}
    refused = owner.ask("POST", f"/v1/calls/{call_id}/whisper", {"text": "Be kind."})
    assert (refused.status, refused.detail) == (409, "Nobody to whisper to")

    ann = {"action": "take_over", "identity": "l1", "name": "Ann"}
    back = {"action": "give_back", "identity": "l1", "name": "Ann", "has_left": True}
    ahead = (datetime.now(UTC) + timedelta(seconds=20)).isoformat()
    for at, action in ((moment(5), ann), (moment(5), ann), (moment(9), back), (ahead, ann), (ahead, ann)):
        goes(house, call_id, "steered", at=at, action=action)
    goes(house, call_id, "ended", 200, "OK", at=moment(12))
    house.worker.status["call_ids"] = []
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    assert call["transcript"].splitlines() == [
        "Agent: I put you through.",
        "Note: Ann joined the two who were put through.",
        "Note: Ann left the call.",
        "Note: Ann joined the two who were put through.",
    ], "each once, also by a clock that is ahead"
