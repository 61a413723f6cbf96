"""Campaigns as they are made, filled, looked at before, run and looked at after."""

import csv
import io
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import pytest
from call2me import Call2Me, Call2MeError

from api.calls.phoning import NoPhoneLine
from api.http.errors import sentence
from tests.support.api import AGENT, Api, Person

_numbers = count(8_000_000)
_FORM = {"Content-Type": "multipart/form-data; boundary=b"}


def _new() -> str:
    return f"+90537{next(_numbers)}"


def _sheet(text: str) -> dict[str, Any]:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\n\r\n'
    return {"raw": head + text.encode() + b"\r\n--b--\r\n", "headers": _FORM}


def _draft(person: Person, *numbers: str, **more: Any) -> str:
    """The path of a campaign of this person's, with these people."""
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    made = person.made("/v1/campaigns", {"agent_id": agent_id, "name": "Fair", **more})
    path = f"/v1/campaigns/{made['campaign_id']}"
    if numbers:
        person.made(f"{path}/contacts", {"contacts": [{"phone_number": number} for number in numbers]})
    return path


def eventually(look: Callable[[], Any]) -> Any:
    """What becomes true within twenty seconds."""
    deadline = time.monotonic() + 20
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return seen


def test_a_campaign_is_made_changed_found_and_deleted(person: Person) -> None:
    hours = {"start": "09:00", "end": "18:00", "weekdays": ["mo", "fr"]}
    path = _draft(person, calling_hours=hours, from_number="+90 532 123 45 67", retry_count=3)
    made = person.ask("GET", path).json
    assert (made["status"], made["max_concurrent"], made["calls_per_minute"]) == ("draft", 20, 10)
    assert (made["calling_hours"], made["from_number"]) == (hours, "+905321234567")
    assert made["stats"]["contacts"] == 0
    changed = person.ask("PATCH", path, {"name": "New", "retry_count": 5, "calling_hours": "any"}).json
    assert (changed["name"], changed["retry_count"], changed["calling_hours"]) == ("New", 5, None)
    assert person.ask("GET", "/v1/campaigns?search=new&status=draft").json["campaigns"] == [changed]
    assert person.ask("GET", "/v1/campaigns?status=running").json["total"] == 0
    assert person.ask("DELETE", path).status == 200
    assert person.ask("GET", path).status == 404


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("max_concurrent", 101),
        ("calls_per_minute", 0),
        ("retry_count", 4),
        ("retry_delay_minutes", 1441),
        ("from_number", "12"),
        ("timezone", "Moon/Base"),
        ("calling_hours", {"start": "20:00", "end": "09:00"}),
        ("retry_on", ["completed"]),
    ],
)
def test_a_campaign_with_something_wrong_is_refused(person: Person, field: str, value: Any) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    reply = person.ask("POST", "/v1/campaigns", {"agent_id": agent_id, "name": "Fair", field: value})
    assert (reply.status, reply.detail[0]["loc"][:2]) == (422, ["body", field])
    assert person.ask("GET", "/v1/campaigns").json["total"] == 0


def test_only_ones_own_agent_calls(api: Api, person: Person) -> None:
    theirs = api.person().made("/v1/agents", AGENT)["agent_id"]
    assert person.ask("POST", "/v1/campaigns", {"agent_id": theirs, "name": "x"}).status == 404


# ── people ───────────────────────────────────────────────────────────────────────────────────────
def test_people_come_once_from_lists_and_files(person: Person) -> None:
    first, second, third = _new(), _new(), _new()
    path = _draft(person)
    given = {"contacts": [{"phone_number": first, "name": "Ada"}, {"phone_number": first}]}
    assert person.made(f"{path}/contacts", given)["inserted"] == 1
    text = f"telefon;isim;şehir\n{second};Bob;Ankara\n{first};;\nnobody;;\n{third.removeprefix('+')};;\n"
    reply = person.ask("POST", f"{path}/upload-csv", **_sheet(text))
    assert reply.status == 201, reply.raw
    assert reply.json == {
        "inserted": 2,
        "skipped": 2,
        "warnings": [{"line": 4, "reason": "not a telephone number"}],
        "total_contacts": 3,
    }
    listed = person.ask("GET", f"{path}/contacts").json
    assert [(one["phone_number"], one["name"]) for one in listed["contacts"]] == [
        (first, "Ada"),
        (second, "Bob"),
        (third, ""),
    ]
    assert listed["contacts"][1]["variables"] == {"şehir": "Ankara"}
    assert person.ask("GET", f"{path}/contacts?limit=1&offset=2").json["contacts"][0]["phone_number"] == third
    assert person.ask("DELETE", f"{path}/contacts").json == {"deleted": 3}
    assert person.ask("GET", path).json["total_contacts"] == 0


@pytest.mark.parametrize("sheet", ["", "name\nAda\n", "phone\n\0\n"])
def test_a_file_that_is_no_list_changes_nothing(person: Person, sheet: str) -> None:
    path = _draft(person)
    assert person.ask("POST", f"{path}/upload", **_sheet(sheet)).status == 400
    assert person.ask("GET", path).json["total_contacts"] == 0


def test_a_file_that_is_too_large_is_refused(person: Person) -> None:
    path = _draft(person)
    big = "phone\n" + "+905370000001\n" * 400_000
    assert person.ask("POST", f"{path}/upload", **_sheet(big)).status == 413
    assert person.ask("GET", path).json["total_contacts"] == 0


@pytest.mark.slow
def test_a_hundred_thousand_people_come_in_ten_seconds_and_little_memory(api: Api, person: Person) -> None:
    path = _draft(person)
    lines = "".join(f"+90538{n:07},Person {n},city {n % 81},note {n:010}\n" for n in range(100_000))
    sheet = _sheet("phone,name,city,note\n" + lines)
    assert 4_900_000 < len(sheet["raw"]) <= 5 * 1024 * 1024
    serving = _serving(api)
    before, began = serving.memory_info().rss, _worked(serving)
    reply = person.ask("POST", f"{path}/upload-csv", **sheet)
    # Of the processor: on a machine that does nothing else that is how long it takes.
    seconds, grown = _worked(serving) - began, serving.memory_info().rss - before
    assert (reply.status, reply.json["inserted"]) == (201, 100_000)
    assert seconds <= 10, seconds
    assert grown <= 150 * 2**20, grown
    assert person.ask("GET", path).json["total_contacts"] == 100_000
    again = person.ask("POST", f"{path}/upload-csv", **sheet)
    assert (again.json["inserted"], again.json["skipped"]) == (0, 100_000)


def _worked(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _serving(api: Api) -> psutil.Process:
    for process in psutil.process_iter(["cmdline"]):
        if "serve" in (process.info["cmdline"] or []):
            try:
                if process.environ().get("CALL2ME_HOME") == str(api.home):
                    return process
            except psutil.Error:
                continue
    raise AssertionError("no api serves from this folder")


# ── running ──────────────────────────────────────────────────────────────────────────────────────
def test_a_campaign_moves_only_as_it_may(person: Person) -> None:
    path = _draft(person)
    empty = person.ask("POST", f"{path}/start")
    assert (empty.status, empty.detail) == (400, "The campaign has no contacts yet")
    person.made(f"{path}/contacts", {"contacts": [{"phone_number": _new()}]})
    assert person.ask("POST", f"{path}/pause").status == 400
    assert person.ask("POST", f"{path}/action", {"action": "resume"}).status == 400
    assert person.ask("POST", f"{path}/action", {"action": "explode"}).status == 422
    assert person.ask("POST", f"{path}/action", {"action": "start"}).json["status"] == "running"
    assert person.ask("POST", f"{path}/start").status == 400
    assert person.ask("DELETE", path).status == 400
    for method, place in (("POST", "contacts"), ("DELETE", "contacts")):
        body = {"contacts": [{"phone_number": _new()}]} if method == "POST" else None
        assert person.ask(method, f"{path}/{place}", body).status == 400
    assert person.ask("POST", f"{path}/upload", **_sheet(f"phone\n{_new()}\n")).status == 400
    assert person.ask("POST", f"{path}/pause").json["status"] == "paused"
    assert person.ask("POST", f"{path}/resume").json["status"] == "running"
    assert person.ask("POST", f"{path}/cancel").json["status"] == "cancelled"
    assert person.ask("PATCH", path, {"name": "x"}).status == 400
    after = person.ask("GET", path).json
    assert (after["status"], after["stats"]["skipped"]) == ("cancelled", 1)
    assert person.ask("DELETE", path).status == 200


def test_without_a_line_a_running_campaign_says_so_and_calls_nobody(person: Person) -> None:
    number = _new()
    path = _draft(person, number)
    person.ask("POST", f"{path}/start")
    told = eventually(lambda: (got := person.ask("GET", path).json)["problem"] and got)
    assert (told["status"], told["problem"]) == ("running", sentence(NoPhoneLine))
    assert told["stats"]["pending"] == 1
    assert person.ask("GET", "/v1/calls").json["total"] == 0
    person.ask("POST", f"{path}/cancel")


def test_a_campaign_of_people_who_must_not_be_called_is_completed_at_once(person: Person) -> None:
    barred = _new()
    person.made("/v1/do-not-call", {"phone_number": barred})
    path = _draft(person, barred, "+15550100200")
    preview = person.ask("GET", f"{path}/preview").json
    assert preview["skipped"] == {"do_not_call": 1, "invalid_number": 1}
    assert [one["reason"] for one in preview["examples"]] == ["do_not_call", "invalid_number"]
    assert (preview["total"], preview["callable_now"]) == (2, 0)
    assert person.ask("GET", path).json["stats"]["skipped"] == 0, "a preview changes nothing"
    person.ask("POST", f"{path}/start")
    done = eventually(lambda: (got := person.ask("GET", path).json)["status"] == "completed" and got)
    assert (done["stats"]["skipped"], done["completed_at"] is not None) == (2, True)
    results = person.ask("GET", f"{path}/results").json
    assert results["skipped_reasons"] == {"do_not_call": 1, "invalid_number": 1}
    assert (results["total_attempts"], results["success_rate"]) == (0, None)


def test_results_are_a_sheet_that_no_spreadsheet_runs(person: Person) -> None:
    number = _new()
    path = _draft(person)
    text = f'phone,name,note\n{number},=1+1,"@SUM(A1)"\n'
    person.ask("POST", f"{path}/upload", **_sheet(text))
    reply = person.ask("GET", f"{path}/results", headers={"Accept": "text/csv"})
    assert reply.headers["content-type"] == "text/csv; charset=utf-8"
    (line,) = csv.DictReader(io.StringIO(reply.raw.decode()))
    assert (line["phone_number"], line["name"], line["note"]) == (f"'{number}", "'=1+1", "'@SUM(A1)")
    assert line["status"] == "pending"
    assert person.ask("GET", f"{path}/results?format=csv").raw == reply.raw
    assert person.ask("GET", f"{path}/results").json["stats"]["contacts"] == 1


def test_hours_say_who_is_called_later(person: Person) -> None:
    never_now = {"start": "00:00", "end": "00:01"}
    path = _draft(person, _new(), "+18005550100", calling_hours=never_now)
    preview = person.ask("GET", f"{path}/preview").json
    assert preview["skipped"] == {"no_common_hour": 1}
    assert preview["callable_later"] == 1
    assert preview["next_opening_at"] is not None


# ── the official SDK, and the page ───────────────────────────────────────────────────────────────
def test_the_sdk_makes_fills_and_moves_campaigns(api: Api, person: Person, tmp_path: Path) -> None:
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    sheet = tmp_path / "people.csv"
    sheet.write_text(f"phone,first_name,custom_field\n{_new()},Ada,x\n{_new()},Bob,y\n")
    with Call2Me(api_key=key, base_url=api.url) as client:
        made = client.campaigns.create("Fair", agent_id, "+905321234567", calls_per_minute=5)
        campaign_id = made["campaign_id"]
        assert client.campaigns.get(campaign_id) == made
        assert client.campaigns.upload_csv(campaign_id, str(sheet))["inserted"] == 2
        assert client.campaigns.contacts(campaign_id)["contacts"][0]["variables"]["first_name"] == "Ada"
        assert client.campaigns.update(campaign_id, name="New")["name"] == "New"
        assert client.campaigns.list()["campaigns"][0]["name"] == "New"
        assert client.campaigns.start(campaign_id)["status"] == "running"
        assert client.campaigns.pause(campaign_id)["status"] == "paused"
        assert client.campaigns.resume(campaign_id)["status"] == "running"
        assert client.campaigns.cancel(campaign_id)["status"] == "cancelled"
        assert client.campaigns.delete(campaign_id) is True
        with pytest.raises(Call2MeError, match="Campaign not found"):
            client.campaigns.get(campaign_id)
