"""Calls: what is listed, what is told of one, and how one ends."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import call2me
import pytest

from tests.contract.conftest import House
from tests.support.api import Person
from tests.support.rehearsed_worker import START, Script

YEARS = 1e9
"""Seconds until a moment that no clock here has seen."""


@pytest.fixture
def caller(house: House) -> Person:
    """Somebody with an agent."""
    return house.person()


def talked(house: House, call_id: str) -> Script:
    """A short conversation, up to its end but without it."""
    script = Script(call_id)
    reply = house.worker.tell(
        script.started(),
        script.said("agent", "Hello.", 0.5, 1.0),
        script.said("user", "When do you open?", 2.0, 3.5),
        script.said("agent", "At nine", 4.0, 5.0, was_interrupted=True),
        script.turn("u3", 512.0, 4.0),
        script.called("book_appointment", 6.0),
        script.warned("llm_unavailable", 6.5),
    )
    assert reply.json == {"accepted": 7, "refused": {}, "replaced": {}}
    return script


def settled(person: Person, call_id: str) -> dict[str, Any]:
    """The call once its settlement has written the transcript."""
    deadline = time.monotonic() + 10
    while True:
        row = person.ask("GET", f"/v1/calls/{call_id}").json
        if row["call_status"] not in {"pending", "in_progress"}:
            return dict(row)
        assert time.monotonic() < deadline, row
        time.sleep(0.05)


def test_a_call_is_told_as_it_was_heard(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    script = talked(house, call_id)
    house.worker.tell(script.ended(10.0))
    call = settled(caller, call_id)
    assert call["call_status"] == "completed"
    assert call["disconnection_reason"] == "user_hangup"
    assert (call["call_type"], call["direction"]) == ("web_call", "web")
    assert call["duration_ms"] == 10_000
    assert call["end_timestamp"] - call["start_timestamp"] == 10_000
    assert call["transcript"] == "Agent: Hello.\nUser: When do you open?\nAgent: At nine"
    assert [
        (e["role"], e["start_ms"], e["end_ms"], e["was_interrupted"]) for e in call["transcript_object"]
    ] == [
        ("agent", 500, 1000, False),
        ("user", 2000, 3500, False),
        ("agent", 4000, 5000, True),
    ]
    assert call["turns"][0]["text"] == "At nine"
    assert call["turns"][0]["latency"]["total_ms"] == 512.0
    assert call["functions"][0]["name"] == "book_appointment"
    assert call["functions"][0]["result"] == "Booked."
    assert call["warnings"][0]["code"] == "llm_unavailable"
    assert call["recording_url"] is None


def test_a_call_says_what_it_was_about_how_quick_it_was_and_what_it_cost(
    house: House, caller: Person
) -> None:
    call_id = house.call(caller)
    script = talked(house, call_id)
    house.worker.tell(*(script.turn("u3", total_ms, 7.0) for total_ms in (300.0, 400.0, 900.0)))
    house.worker.tell(script.ended(10.0))
    deadline = time.monotonic() + 20
    while (call := settled(caller, call_id))["call_analysis"] is None or call["cost"] is None:
        assert time.monotonic() < deadline, call
        time.sleep(0.1)
    assert call["call_analysis"]["call_successful"] is True
    assert call["call_analysis"]["analysed_by"] == "rules"
    assert "Done: book_appointment." in call["call_analysis"]["call_summary"]
    assert call["answer_times"] == {"p50_ms": 400.0, "p95_ms": 900.0, "turns": 4}
    assert call["cost"]["total_usd"] == 0.0, "everything ran on this machine"

    anew = caller.ask("POST", f"/v1/calls/{call_id}/analysis")
    assert anew.status == 202
    assert anew.json["call_analysis"] == call["call_analysis"], "what is known stays until it is done"


def test_a_call_that_runs_has_nothing_to_analyse(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    talked(house, call_id)
    assert caller.ask("POST", f"/v1/calls/{call_id}/analysis").status == 409
    assert house.person().ask("POST", f"/v1/calls/{call_id}/analysis").status == 404


def test_a_running_call_shows_what_was_said_so_far(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    talked(house, call_id)
    call = caller.ask("GET", f"/v1/calls/{call_id}").json
    assert call["call_status"] == "in_progress"
    assert call["transcript"].startswith("Agent: Hello.")
    assert call["duration_ms"] is None


def test_events_delivered_again_change_nothing(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    script = Script(call_id)
    events = [script.started(), script.said("user", "Once.", 1, 2), script.ended(3)]
    assert house.worker.tell(*events).json["accepted"] == 3
    assert house.worker.tell(*events).json["accepted"] == 0
    assert house.worker.tell(*events, *events).json["accepted"] == 0
    assert settled(caller, call_id)["transcript"] == "User: Once."


def test_an_event_twice_in_one_batch_is_one_event(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    event = Script(call_id).started()
    assert house.worker.tell(event, event).json["accepted"] == 1


def test_events_of_an_attempt_that_was_replaced_are_refused(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    first = Script(call_id)
    house.worker.tell(first.started(), first.said("user", "Before.", 1, 2))
    brief = house.worker.brief(call_id, "another job").json
    assert brief["attempt"] == 2
    assert [utterance["text"] for utterance in brief["transcript"]] == ["Before."]
    in_time = house.worker.tell(first.said("user", "In time.", 3, 4))
    assert in_time.json == {"accepted": 1, "refused": {}, "replaced": {call_id: 1}}, "it only came late"
    late = house.worker.tell(first.said("user", "Too late.", YEARS, YEARS + 1))
    assert late.json == {"accepted": 0, "refused": {call_id: 1}, "replaced": {}}
    second = Script(call_id, attempt=2)
    assert house.worker.tell(second.said("user", "Again.", 5, 6)).json["accepted"] == 1
    assert (
        caller.ask("GET", f"/v1/calls/{call_id}").json["transcript"]
        == "User: Before.\nUser: In time.\nUser: Again."
    )


def test_what_a_process_says_that_was_replaced_and_lives_is_kept_until_it_hears_of_it(
    house: House, caller: Person
) -> None:
    """In the order in which it was said, once, with no second end and no second charge."""

    def in_seconds(seconds: float) -> float:
        return (datetime.now(UTC) - START).total_seconds() + seconds

    call_id = house.call(caller)
    first, second = Script(call_id), Script(call_id, attempt=2)
    house.worker.tell(first.started(in_seconds(-9)), first.said("user", "Before.", 1, in_seconds(-8)))
    assert house.worker.brief(call_id, "another job").json["attempt"] == 2
    house.worker.tell(second.started(in_seconds(0)), second.said("user", "After.", 5, in_seconds(4)))
    meanwhile = first.said("user", "Meanwhile.", 3, in_seconds(2))
    for accepted in (1, 0):
        reply = house.worker.tell(meanwhile)
        assert reply.json == {"accepted": accepted, "refused": {}, "replaced": {call_id: 1}}
    assert house.worker.tell(first.ended(in_seconds(3))).json["replaced"] == {call_id: 1}
    assert caller.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "in_progress", "it was put out"
    assert house.worker.tell(second.ended(in_seconds(6), reason="agent_hangup")).json["accepted"] == 1
    assert settled(caller, call_id)["disconnection_reason"] == "agent_hangup"
    deadline = time.monotonic() + 10
    while not (paid := caller.ask("GET", "/v1/wallet/transactions?type=usage").json["transactions"]):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    late = first.said("agent", "It was cut off for a while.", 4, in_seconds(5))
    assert house.worker.tell(late).json["accepted"] == 1
    stale = first.said("user", "To nobody.", 7, in_seconds(40))
    assert house.worker.tell(stale).json == {"accepted": 0, "refused": {call_id: 1}, "replaced": {}}
    call = caller.ask("GET", f"/v1/calls/{call_id}").json
    assert call["transcript"] == (
        "User: Before.\nUser: Meanwhile.\nAgent: It was cut off for a while.\nUser: After."
    )
    assert caller.ask("GET", "/v1/wallet/transactions?type=usage").json["transactions"] == paid
    assert [one["explanation"]["billed_seconds"] for one in paid] == [16]


def test_events_of_a_call_that_nobody_knows_are_refused_and_the_others_kept(
    house: House, caller: Person
) -> None:
    call_id = house.call(caller)
    reply = house.worker.tell(Script("call_0123456789abcdef").started(), Script(call_id).started())
    assert reply.json == {"accepted": 1, "refused": {"call_0123456789abcdef": 1}, "replaced": {}}


def test_what_a_person_typed_is_kept_without_nul(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    script = Script(call_id)
    reply = house.worker.tell(script.started(), script.said("user", "a\x00b \\u0000", 1, 2, is_typed=True))
    assert reply.json["accepted"] == 2
    entry = caller.ask("GET", f"/v1/calls/{call_id}").json["transcript_object"][0]
    assert (entry["text"], entry["is_typed"]) == ("ab \\u0000", True)


def test_an_event_of_a_kind_to_come_does_not_hold_up_the_others(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    script = Script(call_id)
    news = {**script.started(), "kind": "applause"}
    assert house.worker.tell(news, script.started()).json["accepted"] == 1


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"worker_id": "w", "events": 1}',
        b'{"worker_id": "w", "events": [{"kind": "turn"}]}',
        b"\xff",
    ],
)
def test_a_batch_that_is_none_is_a_422(house: House, body: bytes) -> None:
    headers = {"X-Internal-Key": house.api.secrets["internal_key"]}
    assert house.api.ask("POST", "/internal/events", raw=body, headers=headers).status == 422


def test_a_batch_has_a_bound(house: House, caller: Person) -> None:
    script = Script(house.call(caller))
    assert house.worker.tell(*(script.warned("x", 1) for _ in range(257))).status == 422


def test_only_a_worker_tells_what_happened(house: House, caller: Person) -> None:
    body = {"worker_id": "w", "events": []}
    assert caller.ask("POST", "/internal/events", body).status == 401
    wrong = house.api.ask("POST", "/internal/events", body, headers={"X-Internal-Key": "é" * 40})
    assert wrong.status == 401
    assert house.api.ask("GET", "/internal/worker").status == 401


def test_a_call_whose_process_died_goes_on_with_what_was_said_and_run(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    first = talked(house, call_id)
    house.worker.tell(first.began("book", 6), first.lost(7))
    call = caller.ask("GET", f"/v1/calls/{call_id}").json
    assert (call["call_status"], call["attempt"]) == ("in_progress", 2)
    assert house.worker.brief(call_id, f"job-{call_id}").status == 410, "it is dead, and was replaced"
    assert house.worker.brief(call_id, "job-2", attempt=1).status == 410
    brief = house.worker.brief(call_id, "job-2", attempt=2).json
    assert brief["attempt"] == 2
    assert [said["text"] for said in brief["transcript"]][-1] == "At nine"
    assert brief["functions"][-1]["name"] == "book"
    assert (brief["functions"][-1]["result"], brief["functions"][-1]["error"]) == (None, None)
    assert brief["started_at"]
    assert house.worker.brief(call_id, "job-2").json["attempt"] == 2, "asked again"
    assert house.worker.brief(call_id, "job-3", attempt=2).status == 410, "dispatched twice"
    second = Script(call_id, attempt=2)
    house.worker.tell(second.started(8), second.said("user", "Still there?", 9, 10), second.ended(11))
    call = settled(caller, call_id)
    assert call["call_status"] == "completed"
    assert call["transcript"].endswith("User: Still there?")
    assert [run["error"] for run in call["functions"] if run["name"] == "book"] == ["interrupted"]


def test_what_a_process_used_that_died_counts(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    first = Script(call_id)
    house.worker.tell(first.started() | {"llm": "openai/gpt-4o-mini"})
    for told in (90_000, 150_000):  # so far, each time
        said = first.said("agent", "Hello.", 1, 2) | {
            "usage": {"llm_output_tokens": told, "stt_seconds": 2.5}
        }
        assert house.worker.tell(said).status == 200
    house.worker.tell(first.said("user", "Hi.", 2, 3), first.lost(4))
    brief = house.worker.brief(call_id, "job-2", attempt=2).json
    assert (brief["used"]["llm_output_tokens"], brief["used"]["stt_seconds"]) == (150_000, 2.5)
    assert house.worker.tell(Script(call_id, 2).ended(8)).status == 200
    deadline = time.monotonic() + 10
    while (cost := settled(caller, call_id)["cost"]) is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert cost["llm_usd"] == pytest.approx(0.15 * 0.6)


def test_a_call_that_kills_every_process_fails_with_its_reason(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    house.worker.tell(*[talked(house, call_id).lost(7)])
    for attempt in (2, 3):
        assert house.worker.brief(call_id, f"job-{attempt}", attempt=attempt).json["attempt"] == attempt
        house.worker.tell(Script(call_id, attempt).lost(8))
    call = settled(caller, call_id)
    assert (call["call_status"], call["attempt"]) == ("failed", 3)
    assert call["disconnection_reason"] == "error: the process died 3 times"
    assert call["transcript"].endswith("At nine")


def test_a_call_that_is_handed_over_does_not_count_as_a_death(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    house.worker.tell(talked(house, call_id).lost(7, is_handed_over=True))
    for attempt in range(2, 6):
        assert house.worker.brief(call_id, f"job-{attempt}", attempt=attempt).json["attempt"] == attempt
        house.worker.tell(Script(call_id, attempt).lost(8, is_handed_over=True))
    assert caller.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "in_progress"


def test_events_that_come_late_are_kept(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    script = Script(call_id)
    started, late, ended = script.started(), script.said("user", "Late.", 1, 2), script.ended(3)
    house.worker.tell(started, ended)
    settled(caller, call_id)
    time.sleep(0.5)  # its settlement is over by then
    assert house.worker.tell(late).json["accepted"] == 1
    assert caller.ask("GET", f"/v1/calls/{call_id}").json["transcript"] == "User: Late."


# ── lists ────────────────────────────────────────────────────────────────────────────────────────
def test_calls_are_listed_newest_first_and_unused_tokens_are_none(house: House, caller: Person) -> None:
    ids = [house.call(caller) for _ in range(3)]
    house.token(caller)
    listed = caller.ask("GET", "/v1/calls").json
    assert [call["call_id"] for call in listed["calls"]] == ids[::-1]
    assert listed["total"] == 3
    page = caller.ask("GET", "/v1/calls?limit=1&offset=1").json
    assert [call["call_id"] for call in page["calls"]] == [ids[1]]
    assert page["total"] == 3


def test_calls_are_filtered(house: House, caller: Person) -> None:
    done, running = house.call(caller), house.call(caller)
    script = Script(done)
    house.worker.tell(script.started(), script.ended(1), Script(running).started())
    agent_id = caller.ask("GET", f"/v1/calls/{done}").json["agent_id"]

    def found(query: str) -> list[str]:
        return [call["call_id"] for call in caller.ask("GET", f"/v1/calls?{query}").json["calls"]]

    assert found("status=completed") == [done]
    assert found("status=active") == [running]
    assert found(f"agent_id={agent_id}&direction=web") == [running, done]
    assert found("agent_id=agent_000000000000") == []
    for word in ("queued", "canceled", "no_answer"):
        assert found(f"status={word}") == []
    for query in ("status=bogus", "direction=bogus", "status="):
        assert caller.ask("GET", f"/v1/calls?{query}").status == 422, query
    assert caller.ask("GET", "/v1/calls?limit=0").status == 422
    assert caller.ask("GET", "/v1/calls?limit=1001").status == 422
    assert caller.ask("GET", "/v1/calls?offset=-1").status == 422


def test_calls_of_others_are_not_there(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    house.worker.upload(call_id, b"OggS")
    stranger = house.person()
    assert stranger.ask("GET", "/v1/calls").json == {"calls": [], "total": 0}
    for method, path in (("GET", ""), ("GET", "/transcript"), ("GET", "/recording"), ("POST", "/end")):
        reply = stranger.ask(method, f"/v1/calls/{call_id}{path}")
        assert (reply.status, reply.detail) == (404, "Call not found"), path


# ── transcripts ──────────────────────────────────────────────────────────────────────────────────
def test_a_transcript_is_json_or_text_as_it_is_asked_for(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    talked(house, call_id)
    path = f"/v1/calls/{call_id}/transcript"
    as_json = caller.ask("GET", path)
    assert as_json.json["transcript"].startswith("Agent: Hello.")
    assert len(as_json.json["transcript_object"]) == 3
    as_text = caller.ask("GET", path, headers={"Accept": "text/plain"})
    assert as_text.headers["content-type"] == "text/plain; charset=utf-8"
    assert as_text.raw.decode() == as_json.json["transcript"]


# ── the official SDK ─────────────────────────────────────────────────────────────────────────────
def test_the_official_sdk_lists_gets_and_ends_calls(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    house.worker.tell(Script(call_id).started())
    house.worker.upload(call_id, b"OggS")
    key = caller.made("/v1/api-keys", {"name": "sdk"})
    with call2me.Call2Me(api_key=key["api_key"], base_url=house.api.url) as sdk:
        listed = sdk.calls.list()
        assert [call["call_id"] for call in listed["calls"]] == [call_id]
        assert sdk.calls.get(call_id)["call_status"] == "in_progress"
        assert sdk.calls.recording(call_id)["recording_url"].startswith(house.api.url)
        ended = sdk.calls.end(call_id)
        assert (ended["call_status"], ended["disconnection_reason"]) == ("ended", "agent_hangup")
        with pytest.raises(call2me.Call2MeError) as refused:
            sdk.calls.end(call_id)
        assert refused.value.status_code == 400
        assert refused.value.detail == "This call is not ongoing"
    wanted = {"kind": "hang_up", "call_id": call_id, "reason": "agent_hangup", "hands_over": False}
    deadline = time.monotonic() + 5
    while wanted not in house.worker.orders:
        assert time.monotonic() < deadline, house.worker.orders
        time.sleep(0.05)


@pytest.mark.parametrize(
    "change",
    [
        {"at": "2026-01-05T10:00:00"},
        {"at": "0001-01-01T00:00:00+14:00"},
        {"sequence": 2**70},
        {"sequence": -1},
        {"attempt": 2**40},
    ],
)
def test_an_event_that_cannot_be_kept_is_a_422_and_never_sent_again(
    house: House, caller: Person, change: dict[str, Any]
) -> None:
    call_id = house.call(caller)
    script = Script(call_id)
    assert house.worker.tell({**script.started(), **change}).status == 422
    said = script.said("user", "Hello", 1, 2)
    said["utterance"]["started_at"] = "2026-01-05T10:00:00"
    assert house.worker.tell(said).status == 422
    assert caller.ask("GET", f"/v1/calls/{call_id}").status == 200


def test_an_event_loses_only_what_no_database_keeps(house: House, caller: Person) -> None:
    call_id = house.call(caller)
    script = Script(call_id)
    turn = script.turn("u1", 512.0, 4.0)
    raw = json.dumps({"worker_id": "w", "events": [script.started(), turn]})
    total = turn["turn"]["latency"]["total_ms"]
    raw = raw.replace(f'"total_ms": {total}', '"total_ms": NaN')
    assert "NaN" in raw
    headers = {"X-Internal-Key": house.api.secrets["internal_key"]}
    reply = house.api.ask("POST", "/internal/events", raw=raw.encode(), headers=headers)
    assert reply.json["accepted"] == 2
    shown = caller.ask("GET", f"/v1/calls/{call_id}").json
    assert shown["turns"][0]["latency"]["total_ms"] is None
