"""People with numbers: kept, found, told to the agent that calls them, left alone where they ask for it."""

import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from tests.support.api import AGENT, Api, Person
from tests.support.rehearsed_worker import Script
from tests.support.waiting_calls import brief, tell, waiting_call

_numbers = count(6_000_000)


def _new() -> str:
    return f"+90535{next(_numbers)}"


def _sheet(
    text: str, encoding: str = "utf-8", *, kind: str = "multipart/form-data; boundary=b"
) -> dict[str, Any]:
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="people.csv"\r\n\r\n'
    return {"raw": head + text.encode(encoding) + b"\r\n--b--\r\n", "headers": {"Content-Type": kind}}


def eventually(look: Callable[[], Any]) -> Any:
    """What becomes true within twenty seconds."""
    deadline = time.monotonic() + 20
    while not (seen := look()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return seen


def test_a_contact_is_kept_changed_found_and_forgotten(person: Person) -> None:
    number = _new()
    spaced = f"{number[:3]} {number[3:6]} {number[6:]}"
    asked = {
        "phone_number": spaced,
        "name": "Ada Lovelace",
        "tags": ["vip", "vip"],
        "variables": {"plan": "gold"},
    }
    made = person.made("/v1/contacts", {**asked, "consent": "granted", "timezone": "Europe/London"})
    path = f"/v1/contacts/{made['contact_id']}"
    assert (made["phone_number"], made["tags"], made["source"]) == (number, ["vip"], "api")
    assert made["consent_at"] is not None
    changed = person.ask("PATCH", path, {"company": "Engines", "tags": ["new"], "name": None}).json
    assert (changed["name"], changed["company"], changed["tags"]) == ("Ada Lovelace", "Engines", ["new"])
    assert person.ask("GET", path).json == changed
    for query in ("search=love", f"phone_number={number.replace('+', '%2B')}", "tag=new", "consent=granted"):
        found = person.ask("GET", f"/v1/contacts?{query}").json
        assert (found["total"], found["contacts"]) == (1, [changed]), query
    for query in ("search=%25", "tag=vip", "consent=denied", "search=babbage"):
        assert person.ask("GET", f"/v1/contacts?{query}").json["total"] == 0, query
    assert person.ask("DELETE", path).status == 204
    assert person.ask("GET", path).status == 404


def test_a_number_is_one_contact_of_an_owner(api: Api, person: Person) -> None:
    first = person.made("/v1/contacts", {"phone_number": _new()})
    second = person.made("/v1/contacts", {"phone_number": _new()})
    taken = {"phone_number": first["phone_number"]}
    assert person.ask("POST", "/v1/contacts", taken).status == 409
    assert person.ask("PATCH", f"/v1/contacts/{second['contact_id']}", taken).status == 409
    assert api.person().made("/v1/contacts", taken)["contact_id"] != first["contact_id"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("phone_number", "12"),
        ("phone_number", "5321234567"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../../etc/passwd"),
        ("consent", "perhaps"),
        ("email", "nobody"),
        ("variables", {"a{{b": "c"}),
        ("variables", {"": "c"}),
        ("variables", {"a": 1}),
        ("tags", [str(n) for n in range(51)]),
        ("tags", [" "]),
    ],
)
def test_a_contact_with_something_wrong_is_refused(person: Person, field: str, value: Any) -> None:
    reply = person.ask("POST", "/v1/contacts", {"phone_number": _new(), field: value})
    assert (reply.status, reply.detail[0]["loc"][:2]) == (422, ["body", field])
    assert person.ask("GET", "/v1/contacts").json["total"] == 0


# ── calls ────────────────────────────────────────────────────────────────────────────────────────
def test_an_agent_is_told_whom_it_calls(api: Api, person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    number = _new()
    contact = person.made(
        "/v1/contacts",
        {"phone_number": number, "name": "Ada King Lovelace", "variables": {"plan": "gold", "company": "X"}},
    )
    call_id = waiting_call(
        person, agent_id, direction="outbound", to_number=number, variables={"plan": "silver"}
    )
    told = brief(api, call_id).json["variables"]
    assert told == {
        "contact_name": "Ada King Lovelace",
        "name": "Ada King Lovelace",
        "username": "Ada King Lovelace",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "company": "X",
        "plan": "silver",
    }
    history = person.ask("GET", f"/v1/contacts/{contact['contact_id']}/calls").json
    assert [(call["call_id"], call["contact_id"]) for call in history["calls"]] == [
        (call_id, contact["contact_id"])
    ]
    person.ask("DELETE", f"/v1/contacts/{contact['contact_id']}")
    assert person.ask("GET", "/v1/calls").json["total"] == 1, "the call still happened"


def test_a_caller_is_recognised_and_a_web_call_names_its_contact(api: Api, person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    number = _new()
    made = person.made("/v1/contacts", {"phone_number": number, "name": "Ada"})
    inbound = waiting_call(person, agent_id, direction="inbound", from_number=number)
    named = waiting_call(person, agent_id, contact_id=made["contact_id"])
    unknown = waiting_call(person, agent_id, direction="inbound", from_number=_new())
    assert brief(api, inbound).json["variables"]["contact_name"] == "Ada"
    assert brief(api, named).json["variables"]["contact_name"] == "Ada"
    assert brief(api, unknown).json["variables"] == {}
    stranger = api.person()
    theirs = waiting_call(stranger, stranger.made("/v1/agents", AGENT)["agent_id"], from_number=number)
    assert brief(api, theirs).json["variables"] == {}


def test_a_token_for_somebody_elses_contact_is_refused(api: Api, person: Person) -> None:
    theirs = api.person().made("/v1/contacts", {"phone_number": _new()})["contact_id"]
    person.made("/v1/agents", AGENT)
    assert person.ask("GET", f"/v1/calls?contact_id={theirs}").status == 404
    assert person.ask("GET", f"/v1/contacts/{theirs}/calls").status == 404


def test_a_call_tags_whom_it_was_with(api: Api, person: Person) -> None:
    actions = [
        {
            "type": "tag_contact",
            "condition": "day == Tuesday",
            "config": {"tag": "booked", "use_field": "day"},
        },
        {"type": "tag_contact", "config": {}},
    ]
    extraction = [{"name": "day", "type": "string"}]
    agent = person.made(
        "/v1/agents", {**AGENT, "post_call_extraction": extraction, "post_call_actions": actions}
    )
    number = _new()
    call_id = waiting_call(person, agent["agent_id"], direction="inbound", from_number=number)
    assert brief(api, call_id).status == 200
    script = Script(call_id)
    tell(
        api,
        script.started(),
        script.said("user", "Tuesday.", 1, 2),
        script.called("book", 3),
        script.ended(6),
    )
    log = eventually(lambda: person.ask("GET", f"/v1/calls/{call_id}/deliveries").json["actions"])
    assert [(action["outcome"], action["detail"]) for action in log] == [
        ("done", ""),
        ("failed", "the action has no tag"),
    ]
    (contact,) = person.ask("GET", "/v1/contacts?tag=booked").json["contacts"]
    assert (contact["phone_number"], set(contact["tags"]), contact["source"]) == (
        number,
        {"booked", "Tuesday"},
        "call",
    )


def test_a_number_on_the_list_is_not_called(api: Api, person: Person) -> None:
    agent_id = person.made("/v1/agents", AGENT)["agent_id"]
    number = _new()
    contact = person.made("/v1/contacts", {"phone_number": number})
    person.made("/v1/do-not-call", {"phone_number": number, "reason": "asked for it"})
    assert (
        person.made("/v1/do-not-call", {"phone_number": number, "reason": "again"})["reason"]
        == "asked for it"
    )
    wanted = {"agent_id": agent_id, "to_number": number}
    refused = person.ask("POST", "/v1/calls/outbound", wanted)
    assert (refused.status, refused.detail) == (403, "This number is on your do-not-call list")
    assert person.ask("GET", f"/v1/contacts/{contact['contact_id']}").json["on_do_not_call_list"] is True
    assert person.ask("GET", "/v1/do-not-call").json["total"] == 1
    assert api.person().ask("GET", "/v1/do-not-call").json["total"] == 0
    assert person.ask("DELETE", f"/v1/do-not-call/{number}").status == 204
    assert person.ask("DELETE", f"/v1/do-not-call/{number}").status == 404
    assert person.ask("POST", "/v1/calls/outbound", wanted).status == 503


# ── files ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("sheet", "encoding"),
    [
        ("phone,name,plan\n{0},Ada,gold\nnonsense,Bob,\n{0},Ada,\n\n", "utf-8"),
        ("\ufeffTelefon;Ad;plan\r\n{0};Ada;gold\r\n12;;\r\n{0};;\r\n", "utf-8"),
        ("plan\tphone_number\tisim\ngold\t'{0}\tAda\n\t\tBob\n\t{0}\t\n", "latin-1"),
    ],
)
def test_a_sheet_is_read_however_it_was_written(person: Person, sheet: str, encoding: str) -> None:
    number = _new()
    reply = person.ask(
        "POST", "/v1/contacts/upload?tag=fair&consent=granted", **_sheet(sheet.format(number), encoding)
    )
    assert reply.status == 201, reply.raw
    assert [reply.json[name] for name in ("inserted", "updated", "skipped")] == [1, 0, 2]
    assert [warning["line"] for warning in reply.json["warnings"]] == [3, 4]
    (contact,) = person.ask("GET", "/v1/contacts").json["contacts"]
    assert (contact["phone_number"], contact["name"], contact["variables"]) == (
        number,
        "Ada",
        {"plan": "gold"},
    )
    assert (contact["tags"], contact["consent"], contact["source"]) == (["fair"], "granted", "csv")


def test_a_sheet_again_adds_to_what_is_known(person: Person) -> None:
    number = _new()
    person.made("/v1/contacts", {"phone_number": number, "name": "Ada", "variables": {"a": "1", "b": "2"}})
    bare = number.removeprefix("+")
    again = person.ask(
        "POST", "/v1/contacts/upload", **_sheet(f"phone,name,b\n{bare},,3\n", kind="application/json")
    )
    assert (again.status, again.json["updated"]) == (201, 1)
    (contact,) = person.ask("GET", "/v1/contacts").json["contacts"]
    assert (contact["name"], contact["variables"]) == ("Ada", {"a": "1", "b": "3"})


@pytest.mark.parametrize(
    ("sheet", "status"),
    [
        ("", 400),
        ("name,age\nAda,36\n", 400),
        ("phone\n" + "x" * 200_000, 400),
        ("phone\n\0\n", 400),
        ("phone," * 200 + "x\n", 400),
        ("phone\n" + "+905350000001\n" * 400_000, 413),
    ],
)
def test_a_file_that_is_no_list_changes_nothing(person: Person, sheet: str, status: int) -> None:
    assert person.ask("POST", "/v1/contacts/upload", **_sheet(sheet)).status == status
    assert person.ask("GET", "/v1/contacts").json["total"] == 0


def test_a_file_that_is_sent_twice_under_one_key_is_read_once(person: Person) -> None:
    sheet = _sheet(f"phone,name\n{_new()},Ada\n", kind="application/json")
    sheet["headers"]["Idempotency-Key"] = "people-1"
    first = person.ask("POST", "/v1/contacts/upload", **sheet)
    assert (first.status, first.json["inserted"]) == (201, 1)
    second = person.ask("POST", "/v1/contacts/upload", **sheet)
    assert (second.json, second.headers["idempotency-replayed"]) == (first.json, "true")


def test_a_form_without_a_file_says_what_is_missing(person: Person) -> None:
    form = {"Content-Type": "multipart/form-data; boundary=b"}
    for raw in (
        b"--b--\r\n",
        b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n1\r\n--b--\r\n',
        b"junk",
    ):
        reply = person.ask("POST", "/v1/contacts/upload", raw=raw, headers=form)
        assert (reply.status, reply.detail[0]["loc"]) == (422, ["body", "file"])
    assert person.ask("POST", "/v1/contacts/upload", {"file": "x"}).status == 415
    csv = person.ask(
        "POST", "/v1/contacts/upload", raw=f"phone\n{_new()}\n".encode(), headers={"Content-Type": "text/csv"}
    )
    assert (csv.status, csv.json["inserted"]) == (201, 1)
