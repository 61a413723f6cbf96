"""A running call, steered from outside: an order is sent once and answered, or known not to be."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.conftest import House
from tests.support.api import Api, Person, running_api
from tests.support.rehearsed_worker import Script

MUTE = {"action": "mute", "side": "agent", "is_on": True, "by": "order", "until": None}
HOLD = {
    "action": "hold",
    "is_on": True,
    "sound": "music",
    "max_seconds": 600,
    "at_limit": "resume",
    "by": "order",
    "until": None,
}
ORDERS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("say", {"text": "One moment."}, {"action": "say", "text": "One moment.", "interrupts": False}),
    ("say", {"text": "Stop!", "interrupt": True}, {"action": "say", "text": "Stop!", "interrupts": True}),
    ("context", {"text": "He is a member."}, {"action": "context", "text": "He is a member."}),
    ("transfer", {"target": "Front desk"}, {"action": "transfer", "target": "Front desk"}),
    ("hold", {}, HOLD),
    ("hold", {"sound": "none", "max_seconds": 60}, HOLD | {"sound": "none", "max_seconds": 60}),
    ("hold", {"at_limit": "end"}, HOLD | {"at_limit": "end"}),
    ("resume", {}, HOLD | {"is_on": False}),
    ("mute", {"side": "caller"}, MUTE | {"side": "caller"}),
    ("unmute", {}, MUTE | {"is_on": False}),
    ("whisper", {"text": "Be kind."}, {"action": "whisper", "text": "Be kind.", "name": "Supervisor"}),
    (
        "whisper",
        {"participant_identity": "l1", "is_on": False},
        {"action": "whisper_aloud", "identity": "l1", "name": "Supervisor", "is_on": False},
    ),
    (
        "take-over",
        {"participant_identity": "l1", "name": "Ann", "when_left": "end"},
        {"action": "take_over", "identity": "l1", "name": "Ann", "when_left": "end"},
    ),
    ("give-back", {}, {"action": "give_back", "identity": "", "name": "", "has_left": False}),
]


@pytest.fixture
def caller(house: House) -> Person:
    """Somebody with an agent."""
    return house.person()


@pytest.fixture
def call_id(house: House, caller: Person) -> Iterator[str]:
    """A call that has begun; its worker does what it is told."""
    made = house.call(caller)
    house.worker.tell(Script(made).started())
    house.worker.obeys = lambda order: {"outcome": "done"}
    yield made
    house.worker.obeys = lambda order: None


def given(house: House, call_id: str) -> list[dict[str, Any]]:
    """The orders that the worker got for this call."""
    return [one for one in list(house.worker.orders) if one["kind"] == "order" and one["call_id"] == call_id]


@pytest.mark.parametrize(("path", "body", "action"), ORDERS)
def test_an_order_reaches_the_call_once_and_is_answered(
    house: House, caller: Person, call_id: str, path: str, body: dict[str, Any], action: dict[str, Any]
) -> None:
    reply = caller.ask("POST", f"/v1/calls/{call_id}/{path}", body)
    assert (reply.status, reply.json) == (200, {"call_id": call_id, "status": "done"})
    (order,) = given(house, call_id)
    assert order["action"] == action


def test_what_the_call_cannot_do_is_a_409_with_its_reason(house: House, caller: Person, call_id: str) -> None:
    house.worker.obeys = lambda order: {"outcome": "refused", "message": "Nobody can be transferred"}
    reply = caller.ask("POST", f"/v1/calls/{call_id}/transfer", {"target": "x"})
    assert (reply.status, reply.json["detail"]) == (409, "Nobody can be transferred")
    house.worker.obeys = lambda order: {"outcome": "not_here"}
    assert caller.ask("POST", f"/v1/calls/{call_id}/hold").status == 409


def test_a_worker_that_does_not_answer_is_a_504_and_is_not_asked_again(
    house: House, caller: Person, call_id: str
) -> None:
    house.worker.obeys = lambda order: None
    assert caller.ask("POST", f"/v1/calls/{call_id}/say", {"text": "Hello?"}).status == 504
    assert len(given(house, call_id)) == 1


def test_a_call_that_is_over_or_not_begun_is_a_409(house: House, caller: Person, call_id: str) -> None:
    waiting = house.call(caller)
    assert caller.ask("POST", f"/v1/calls/{waiting}/hold").status == 409
    assert caller.ask("POST", f"/v1/calls/{call_id}/end").status == 200
    assert caller.ask("POST", f"/v1/calls/{call_id}/say", {"text": "Hello?"}).status == 409
    assert given(house, call_id) == given(house, waiting) == []


@pytest.fixture(scope="session")
def another(house: House) -> Iterator[Api]:
    """A second api process on the same database, to which no worker is connected."""
    kept = ("CALL2ME_LIVEKIT_PORT", "CALL2ME_LIVEKIT_UDP_PORT")
    environment = house.api.environment
    shared = {name: environment[name] for name in kept}
    with running_api(house.api.home, environment["CALL2ME_DATABASE_URL"], **shared) as running:
        yield running


def test_an_order_reaches_a_worker_that_another_process_holds(
    house: House, caller: Person, call_id: str, another: Api
) -> None:
    elsewhere = Person(another, caller.email, caller.credentials)
    for path, body, action in ORDERS:
        reply = elsewhere.ask("POST", f"/v1/calls/{call_id}/{path}", body)
        assert (reply.status, reply.json) == (200, {"call_id": call_id, "status": "done"})
        assert given(house, call_id)[-1]["action"] == action
    assert len(given(house, call_id)) == len(ORDERS), "each once"
    house.worker.obeys = lambda order: {"outcome": "refused", "message": "Not now"}
    assert elsewhere.ask("POST", f"/v1/calls/{call_id}/hold").status == 409
    house.worker.obeys = lambda order: None
    assert elsewhere.ask("POST", f"/v1/calls/{call_id}/hold").status == 504
    assert len(given(house, call_id)) == len(ORDERS) + 2, "what was not answered is not sent again"
    stranger = another.person()
    assert stranger.ask("POST", f"/v1/calls/{call_id}/hold").status == 404


def test_a_worker_that_is_not_connected_is_a_503(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    house.worker.tell(Script(call_id).started(worker_id="elsewhere"))
    assert caller.ask("POST", f"/v1/calls/{call_id}/hold").status == 503


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("say", {}),
        ("say", {"text": ""}),
        ("say", {"text": "x" * 2_001}),
        ("context", {"text": 1}),
        ("mute", {"side": "both"}),
        ("hold", {"sound": "jazz"}),
        ("hold", {"max_seconds": 0}),
        ("hold", {"max_seconds": 3601}),
        ("transfer", {"target": ""}),
        ("whisper", {}),
        ("whisper", {"text": "x", "participant_identity": "l1"}),
        ("take-over", {}),
        ("take-over", {"participant_identity": "l1", "when_left": "never"}),
    ],
)
def test_an_order_that_says_nothing_is_a_422(
    house: House, caller: Person, call_id: str, path: str, body: dict[str, Any]
) -> None:
    assert caller.ask("POST", f"/v1/calls/{call_id}/{path}", body).status == 422
    assert given(house, call_id) == []


def test_another_owners_call_is_a_404(house: House, call_id: str) -> None:
    stranger = house.person()
    for path, body, _ in ORDERS:
        assert stranger.ask("POST", f"/v1/calls/{call_id}/{path}", body).status == 404
    assert given(house, call_id) == []


def test_what_lasts_is_told_to_the_process_that_takes_a_call_up(
    house: House, caller: Person, call_id: str
) -> None:
    script = Script(call_id)
    script.started()
    known = {"action": "context", "text": "He is a member."}
    held = HOLD | {"until": "2036-01-01T00:00:00Z"}
    house.worker.tell(
        script.steered(known, 2),
        script.steered(HOLD | {"by": "caller"}, 3),
        script.steered(held, 4),
        script.steered(HOLD | {"by": "caller", "is_on": False}, 5),
        script.lost(6),
    )
    brief = house.worker.brief(call_id, "job-2", attempt=2).json
    assert brief["steered"][0] == known
    assert brief["steered"][2] == held
    theirs, ours = caller.ask("GET", f"/v1/calls/{call_id}").json["holds"]
    assert (theirs["by"], theirs["sound"], theirs["ended_by"]) == ("caller", None, "caller")
    assert (ours["by"], ours["sound"], ours["ended_at"]) == ("order", "music", None)
