"""Calls at a time: made, moved, looked at, placed when they are due, and cancelled."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from call2me import Call2Me, Call2MeError

from api.calls.phoning import NoPhoneLine
from api.http.errors import sentence
from tests.support.api import AGENT, Api, Person
from tests.support.rehearsed_worker import Script
from tests.support.waiting_calls import brief, tell, waiting_call

_numbers = count(7_000_000)


def _new() -> str:
    return f"+90536{next(_numbers)}"


def _in(**ahead: float) -> str:
    return (datetime.now(UTC) + timedelta(**ahead)).isoformat()


def _wanted(person: Person, **more: Any) -> dict[str, Any]:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    return {"agent_id": agent_id, "phone_number": _new(), "scheduled_at": _in(hours=2), **more}


def eventually(look: Callable[[], Any], seconds: float = 20) -> Any:
    """What becomes true within some seconds."""
    deadline = time.monotonic() + seconds
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return seen


def test_a_schedule_is_kept_on_its_own_clock(person: Person) -> None:
    wanted = _wanted(person, scheduled_at="2027-03-27T09:00:00", timezone="Europe/Berlin", contact_name="Ada")
    made = person.made("/v1/schedules", {**wanted, "recurrence": "daily"})
    assert (made["scheduled_at"], made["status"], made["recurrence"]) == (
        "2027-03-27T09:00:00+01:00",
        "scheduled",
        "daily",
    )
    assert person.ask("GET", f"/v1/schedules/{made['schedule_id']}").json == made
    listed = person.ask("GET", "/v1/schedules?search=ada&status=scheduled").json
    assert (listed["total"], listed["schedules"]) == (1, [made])
    assert person.ask("GET", "/v1/schedules?status=cancelled").json["total"] == 0
    path = f"/v1/schedules/{made['schedule_id']}"
    moved = person.ask("PATCH", path, {"scheduled_at": "2027-03-27T10:30:00", "recurrence": "none"}).json
    assert (moved["scheduled_at"], moved["recurrence"], moved["contact_name"]) == (
        "2027-03-27T10:30:00+01:00",
        None,
        "Ada",
    )


def test_the_other_spelling_of_a_schedule_is_understood(person: Person) -> None:
    wanted = _wanted(person)
    body = {
        "agent_id": wanted["agent_id"],
        "to_number": wanted["phone_number"],
        "dynamic_variables": {"plan": "gold"},
        "scheduled_at": "2027-01-04T10:00:00+03:00",
        "recurrence": {"type": "weekly", "days": ["Monday", "Friday"], "until": "2027-01-31T00:00:00"},
    }
    made = person.made("/v1/schedules", body)
    assert (made["phone_number"], made["variables"]) == (wanted["phone_number"], {"plan": "gold"})
    assert made["recurrence_rule"]["weekdays"] == ["mo", "fr"]
    assert made["recurrence_end_at"] == "2027-01-30T21:00:00Z"


def test_upcoming_calls_of_series_stand_each_by_itself(person: Person) -> None:
    daily = person.made("/v1/schedules", _wanted(person, recurrence="daily"))
    once = person.made("/v1/schedules", _wanted(person, scheduled_at=_in(hours=30)))
    person.made("/v1/schedules", _wanted(person, scheduled_at=_in(days=20)))
    due = person.ask("GET", "/v1/schedules/upcoming?days=3").json
    ids = [one["schedule_id"] for one in due["upcoming"]]
    a, b = daily["schedule_id"], once["schedule_id"]
    assert ids == [a, a, b, a]
    times = [datetime.fromisoformat(one["scheduled_at"]) for one in due["upcoming"]]
    assert times == sorted(times)


def test_what_is_due_is_tried_and_the_log_says_what_came_of_it(person: Person) -> None:
    wanted = _wanted(person, scheduled_at=_in(seconds=2))
    made = person.made("/v1/schedules", wanted)
    path = f"/v1/schedules/{made['schedule_id']}"
    (done,) = eventually(lambda: person.ask("GET", f"{path}/executions").json["executions"])
    assert (done["status"], done["detail"], done["call_id"]) == ("failed", sentence(NoPhoneLine), None)
    assert datetime.fromisoformat(done["scheduled_at"]) == datetime.fromisoformat(made["scheduled_at"])
    after = person.ask("GET", path).json
    assert (after["status"], after["execution_count"], after["next_run_at"]) == ("failed", 1, None)
    assert person.ask("PATCH", path, {"description": "x"}).status == 400
    assert person.ask("POST", f"{path}/cancel").status == 400
    assert person.ask("GET", "/v1/calls").json["total"] == 0


def test_a_series_goes_on_after_a_call_that_failed(person: Person) -> None:
    made = person.made("/v1/schedules", _wanted(person, scheduled_at=_in(seconds=1), recurrence="daily"))
    path = f"/v1/schedules/{made['schedule_id']}"
    eventually(lambda: person.ask("GET", f"{path}/executions").json["total"] == 1)
    after = person.ask("GET", path).json
    assert after["status"] == "scheduled"
    ahead = datetime.fromisoformat(after["next_run_at"]) - datetime.fromisoformat(made["scheduled_at"])
    assert timedelta(hours=23) <= ahead <= timedelta(hours=25)


def test_a_number_that_must_not_be_called_is_not(person: Person) -> None:
    wanted = _wanted(person, scheduled_at=_in(seconds=1))
    person.made("/v1/do-not-call", {"phone_number": wanted["phone_number"]})
    path = f"/v1/schedules/{person.made('/v1/schedules', wanted)['schedule_id']}"
    (done,) = eventually(lambda: person.ask("GET", f"{path}/executions").json["executions"])
    assert (done["status"], done["detail"]) == ("failed", "This number is on your do-not-call list")


def test_what_was_moved_is_not_called_at_its_old_time(person: Person) -> None:
    made = person.made("/v1/schedules", _wanted(person, scheduled_at=_in(seconds=2)))
    path = f"/v1/schedules/{made['schedule_id']}"
    person.ask("PATCH", path, {"scheduled_at": _in(hours=1)})
    cancelled = person.made("/v1/schedules", _wanted(person, scheduled_at=_in(seconds=2)))
    person.ask("DELETE", f"/v1/schedules/{cancelled['schedule_id']}")
    time.sleep(5)
    assert person.ask("GET", f"{path}/executions").json["total"] == 0
    assert person.ask("GET", path).json["status"] == "scheduled"
    log = person.ask("GET", f"/v1/schedules/{cancelled['schedule_id']}/executions").json
    assert log["total"] == 0


def test_delete_cancels_and_of_a_cancelled_one_removes(person: Person) -> None:
    path = f"/v1/schedules/{person.made('/v1/schedules', _wanted(person))['schedule_id']}"
    first = person.ask("DELETE", path)
    assert (first.status, first.json["status"]) == (200, "cancelled")
    assert person.ask("GET", path).json["status"] == "cancelled"
    assert person.ask("POST", f"{path}/cancel").status == 200
    assert person.ask("DELETE", path).json["status"] == "deleted"
    assert person.ask("GET", path).status == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scheduled_at", "2020-01-01T00:00:00Z"),
        ("scheduled_at", "0001-01-01T00:00:00+14:00"),
        ("scheduled_at", "9999-12-31T23:59:59"),
        ("scheduled_at", "soon"),
        ("timezone", "Nowhere/Land"),
        ("recurrence", "hourly"),
        ("recurrence", {"frequency": "weekly", "weekdays": ["xx"]}),
        ("recurrence", {"frequency": "daily", "interval": 0}),
        ("phone_number", "12"),
        ("variables", {"a": {"b": 1}}),
    ],
)
def test_a_schedule_with_something_wrong_is_refused(person: Person, field: str, value: Any) -> None:
    reply = person.ask("POST", "/v1/schedules", {**_wanted(person), field: value})
    assert (reply.status, reply.detail[0]["loc"][:2]) == (422, ["body", field])
    if isinstance(value, str):
        assert reply.detail[0]["input"] == value  # also where a service sees it, not the types
    assert person.ask("GET", "/v1/schedules").json["total"] == 0


def test_a_series_that_ends_before_it_begins_is_refused(person: Person) -> None:
    wanted = _wanted(person, recurrence="daily", recurrence_end_at=_in(minutes=1))
    assert person.ask("POST", "/v1/schedules", wanted).status == 422


def test_only_ones_own_agent_calls(api: Api, person: Person) -> None:
    theirs = api.person().made("/v1/agents", AGENT)["agent_id"]
    assert person.ask("POST", "/v1/schedules", {**_wanted(person), "agent_id": theirs}).status == 404


# ── what calls ask for ───────────────────────────────────────────────────────────────────────────
def test_a_request_for_a_callback_waits_for_a_person(api: Api, person: Person) -> None:
    agent_id = person.made("/v1/agents", {**AGENT, "time_zone": "Europe/London"})["agent_id"]
    number = _new()
    call_id = waiting_call(person, agent_id, direction="inbound", from_number=number)
    brief(api, call_id)
    script = Script(call_id)
    asked = {"phone_number": "the usual one", "when": "tomorrow morning", "reason": "a refund"}
    events = [script.started(), script.called("request_callback", 2, asked)]
    assert tell(api, *events).status == 200
    tell(api, *events)  # delivered twice
    (request,) = person.ask("GET", "/v1/schedules?status=pending_review").json["schedules"]
    assert (request["phone_number"], request["source"], request["call_id"]) == (number, "callback", call_id)
    assert request["description"] == "About: a refund\nWhen: tomorrow morning"
    assert (request["timezone"], request["scheduled_at"]) == ("Europe/London", None)
    path = f"/v1/schedules/{request['schedule_id']}"
    approved = person.ask("POST", f"{path}/approve", {"scheduled_at": _in(hours=1)})
    assert (approved.status, approved.json["status"]) == (200, "scheduled")
    assert person.ask("POST", f"{path}/approve").status == 400
    assert person.ask("GET", "/v1/schedules/upcoming").json["total"] == 1


def test_an_approval_without_a_time_calls_now(api: Api, person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    call_id = waiting_call(person, agent_id)
    brief(api, call_id)
    script = Script(call_id)
    tell(api, script.started(), script.called("request_callback", 2, {"phone_number": "call me"}))
    (request,) = person.ask("GET", "/v1/schedules").json["schedules"]
    assert (request["phone_number"], request["description"]) == ("", "Number as it was said: call me")
    path = f"/v1/schedules/{request['schedule_id']}"
    assert person.ask("POST", f"{path}/approve").status == 400
    assert person.ask("PATCH", path, {"phone_number": _new()}).status == 200
    assert person.ask("POST", f"{path}/approve", raw=b"").status == 200
    eventually(lambda: person.ask("GET", f"{path}/executions").json["total"] == 1)


@pytest.mark.parametrize(
    ("config", "outcome", "hours"),
    [
        ({"delay_minutes": 120}, "done", 2),
        ({"use_field": "time", "fallback_delay_minutes": 60}, "done", 1),
        ({"use_field": "time"}, "failed", 0),
        ({}, "failed", 0),
    ],
)
def test_a_call_schedules_another(
    api: Api, person: Person, config: dict[str, Any], outcome: str, hours: int
) -> None:
    actions = [{"type": "schedule_call", "name": "Ask again", "config": config}]
    agent = person.made("/v1/agents", {**AGENT, "post_call_actions": actions})
    number = _new()
    call_id = waiting_call(person, agent["agent_id"], direction="inbound", from_number=number)
    brief(api, call_id)
    script = Script(call_id)
    tell(api, script.started(), script.said("user", "Call me later.", 1, 2), script.ended(6))
    (action,) = eventually(lambda: person.ask("GET", f"/v1/calls/{call_id}/deliveries").json["actions"])
    assert action["outcome"] == outcome, action
    schedules = person.ask("GET", "/v1/schedules").json["schedules"]
    assert len(schedules) == (outcome == "done")
    if schedules:
        assert (schedules[0]["phone_number"], schedules[0]["source"], schedules[0]["description"]) == (
            number,
            "action",
            "Ask again",
        )
        ahead = datetime.fromisoformat(schedules[0]["scheduled_at"]) - datetime.now(UTC)
        assert abs(ahead - timedelta(hours=hours)) < timedelta(minutes=2)


# ── the official SDK, and the page ───────────────────────────────────────────────────────────────
def test_the_sdk_makes_moves_and_cancels_schedules(api: Api, person: Person) -> None:
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    with Call2Me(api_key=key, base_url=api.url) as client:
        made = client.schedules.create(agent_id, _new(), "2027-01-01T10:00:00", timezone="Europe/Istanbul")
        schedule_id = made["schedule_id"]
        assert client.schedules.get(schedule_id) == made
        assert client.schedules.list()["total"] == 1
        assert client.schedules.update(schedule_id, description="New")["description"] == "New"
        assert client.schedules.cancel(schedule_id)["status"] == "cancelled"
        assert client.schedules.delete(schedule_id) is True
        with pytest.raises(Call2MeError, match="Schedule not found"):
            client.schedules.get(schedule_id)
