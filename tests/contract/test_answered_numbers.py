"""How calls to a number are answered: rules that are kept, a webhook that is asked, who is refused."""

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.contract.conftest import House
from tests.contract.test_webhooks import receiving
from tests.support.api import AGENT, Person, running_api
from tests.support.rehearsed_exchange import bound, goes, rings, until
from tests.support.rehearsed_worker import RehearsedWorker, Script, moment

CALLER = "+14155550100"
ALWAYS = {"timezone": "UTC", "windows": [{"start": "00:00", "end": "23:59"}]}


def keep(owner: Person, number: str, **rules: Any) -> Any:
    return owner.ask("PATCH", f"/v1/phone-numbers/{number}", {"answering": rules})


def asked(house: Any, trunk_id: str, number: str, name: str, **more: Any) -> Any:
    """The brief of a call that comes in now, or how it was refused."""
    reply = rings(house, trunk_id, number, name, **more)
    return house.worker.brief(reply.json["call_id"]).json if reply.status == 200 else reply.status


def test_rules_are_kept_whole_and_taken_away(house: House) -> None:
    owner = house.person()
    agent_id, number, _ = bound(owner)
    rules = {
        "blocked": ["+1 900*"],
        "hours": {"timezone": "Europe/Berlin", "windows": [{"weekdays": ["Monday"], "start": "09:00"}]},
        "closed": {"agent_id": agent_id},
        "menu": {"say": "Press one.", "choices": [{"key": "1", "forward_to": "+1 415 555 0177"}]},
        "when_busy": "callback",
    }
    kept = keep(owner, number, **rules)
    assert kept.status == 200, kept.raw
    found = owner.ask("GET", f"/v1/phone-numbers/{number}").json["answering"]
    assert found == kept.json["answering"]
    assert (found["blocked"], found["hours"]["windows"][0]) == (
        ["+1900*"],
        {"weekdays": ["mo"], "start": "09:00", "end": "20:00"},
    )
    assert found["menu"]["choices"][0]["forward_to"] == "+14155550177"
    assert owner.ask("PATCH", f"/v1/phone-numbers/{number}", {"display_name": "X"}).json["answering"] == found
    assert owner.ask("PATCH", f"/v1/phone-numbers/{number}", {"answering": {}}).json["answering"] is None


def test_what_can_never_work_is_refused_and_names_its_field(house: House) -> None:
    owner, stranger = house.person(), house.person()
    _, number, _ = bound(owner)
    theirs = stranger.made("/v1/agents", AGENT)["agent_id"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"closed": {"agent_id": theirs}}, "closed"),
        ({"fallback_agent_id": "agent_none"}, "fallback_agent_id"),
        ({"rules": [{"to": {"agent_id": theirs}}]}, "rules"),
        ({"menu": {"say": "x", "choices": [{"key": "1", "agent_id": theirs}]}}, "menu"),
        ({"webhook_url": "http://169.254.169.254/latest"}, "answering.webhook_url"),
        ({"webhook_url": "ftp://example.com"}, "answering.webhook_url"),
        ({"hours": {"timezone": "Mars/Base", "windows": [{}]}}, "timezone"),
        ({"closed": {"refuse": False}}, "closed"),
    ]
    for rules, field in wrong:
        reply = keep(owner, number, **rules)
        assert reply.status == 422, rules
        assert field in json.dumps(reply.json["detail"]), rules
    assert owner.ask("GET", f"/v1/phone-numbers/{number}").json["answering"] is None
    assert keep(stranger, number, blocked=[]).status == 404


def test_a_call_goes_where_its_numbers_rules_say(house: House) -> None:
    owner = house.person()
    own, number, trunk_id = bound(owner)
    night, vip = (owner.made("/v1/agents", {**AGENT, "name": name})["agent_id"] for name in ("Night", "VIP"))
    shut = {**ALWAYS, "closed_on": [f"{datetime.now(UTC):%Y-%m-%d}"]}
    rules = {
        "rules": [{"callers": ["+4930*"], "to": {"agent_id": vip}}],
        "hours": shut,
        "closed": {"agent_id": night, "forward_to": "+14155550177"},
        "blocked": ["+1900*"],
        "blocks_anonymous": True,
    }
    assert keep(owner, number, **rules).status == 200
    brief = asked(house, trunk_id, number, f"{number}-1")
    assert (brief["agent"]["agent_id"], brief["reception"]["forward_to"]) == (night, "+14155550177")
    brief = asked(house, trunk_id, number, f"{number}-2", from_number="+4930123456")
    assert (brief["agent"]["agent_id"], brief["reception"]) == (vip, None)
    for name, caller in (("3", "+19005550123"), ("4", ""), ("5", "anonymous")):
        assert asked(house, trunk_id, number, f"{number}-{name}", from_number=caller) == 403
    # Its agent is gone: the fallback answers, with the menu.
    menu = {"say": "Press one.", "choices": [{"key": "1", "agent_id": vip, "label": "VIP"}]}
    assert keep(owner, number, fallback_agent_id=night, menu=menu, hours=ALWAYS).status == 200
    assert owner.ask("DELETE", f"/v1/agents/{own}").status == 204
    brief = asked(house, trunk_id, number, f"{number}-6")
    assert brief["agent"]["agent_id"] == night
    assert brief["reception"]["choices"] == [{"key": "1", "label": "VIP", "kind": "agent", "value": vip}]
    assert owner.ask("GET", "/v1/calls").json["total"] == 3, "who is refused makes no call"


def test_a_caller_who_rings_too_often_is_refused(house: House) -> None:
    owner = house.person()
    _, number, trunk_id = bound(owner)
    assert keep(owner, number, most_calls_per_caller=2).status == 200
    found = [rings(house, trunk_id, number, f"{number}-{n}").status for n in range(3)]
    assert found == [200, 200, 403]
    assert rings(house, trunk_id, number, f"{number}-1").status == 200, "the same INVITE is no other call"
    assert rings(house, trunk_id, number, f"{number}-4", from_number="+14155550101").status == 200


def test_a_caller_for_whom_no_line_is_free_is_on_record_and_noted_for_a_callback(house: House) -> None:
    owner = house.person()
    agent_id, number, trunk_id = bound(owner)
    assert rings(house, trunk_id, number, f"{number}-1", is_busy=True).status == 409
    assert owner.ask("GET", "/v1/schedules").json["schedules"] == []
    assert keep(owner, number, when_busy="callback").status == 200
    for _ in range(2):
        assert rings(house, trunk_id, number, f"{number}-2", is_busy=True, from_name="Ada").status == 409
    missed = owner.ask("GET", "/v1/calls").json["calls"]
    assert [one["call_status"] for one in missed] == ["busy", "busy"]
    assert missed[0]["disconnection_reason"] == "no line was free"
    (noted,) = owner.ask("GET", "/v1/schedules").json["schedules"]
    assert (noted["status"], noted["phone_number"], noted["agent_id"]) == ("pending_review", CALLER, agent_id)


class _Desk:
    """As much of a house as a call that comes in needs."""

    def __init__(self, worker: RehearsedWorker) -> None:
        self.worker = worker


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Any, Person]]:
    with receiving() as told:
        allowed = {"CALL2ME_ALLOW_HOSTS": f"127.0.0.1:{told.port}"}
        with (
            running_api(tmp_path_factory.mktemp("desk"), "", **allowed) as api,
            RehearsedWorker(api) as worker,
        ):
            yield _Desk(worker), told, api.person()


def test_a_webhook_is_asked_who_answers_and_proves_who_asks(desk: tuple[Any, Any, Person]) -> None:
    house, told, owner = desk
    own, number, trunk_id = bound(owner)
    secret = "a secret of my own"
    kept = {"webhook_url": "https://hooks.example.com", "webhook_secret": secret}
    assert owner.ask("PUT", "/v1/webhooks", kept).status == 200
    other = owner.made("/v1/agents", AGENT)["agent_id"]
    contact = {"name": "Ada", "phone_number": CALLER, "variables": {"tier": "gold"}}
    owner.made("/v1/contacts", contact)
    assert keep(owner, number, webhook_url=told.url).status == 200
    told.answers = [{"agent_id": other, "variables": {"order": "7"}}]
    brief = asked(house, trunk_id, number, f"{number}-1", headers={"X-Order": "1"})
    assert brief["agent"]["agent_id"] == other
    assert (brief["variables"]["order"], brief["variables"]["tier"]) == ("7", "gold")
    sent = told.received.pop()
    body = json.loads(sent.body)
    assert (body["event"], body["from_number"], body["to_number"]) == ("call.inbound", CALLER, number)
    assert (body["agent_id"], body["contact"]["name"]) == (own, "Ada")
    Webhook(base64.b64encode(secret.encode()).decode()).verify(sent.body, sent.headers)
    told.answers = [{"refuse": True}, {"forward_to": "+1 415 555 0177"}]
    assert asked(house, trunk_id, number, f"{number}-2") == 403
    assert asked(house, trunk_id, number, f"{number}-3")["reception"]["forward_to"] == "+14155550177"
    assert rings(house, trunk_id, number, f"{number}-1").status == 200
    assert len(told.received) == 2, "the same INVITE asks nobody again"


@pytest.mark.parametrize(
    "answer",
    [
        "slow",
        500,
        204,
        "cut",
        "huge",
        "garbage",
        "redirect",
        {"agent_id": "agent_of_nobody"},
        {"variables": 7},
    ],
)
def test_a_webhook_that_does_not_help_costs_no_call(desk: tuple[Any, Any, Person], answer: Any) -> None:
    house, told, owner = desk
    own, number, trunk_id = bound(owner)
    assert keep(owner, number, webhook_url=told.url).status == 200
    told.answers = [answer]
    assert asked(house, trunk_id, number, f"{number}-1")["agent"]["agent_id"] == own
    if answer == "slow":
        (waited,) = until(lambda: told.waited_for, 35)
        assert 1 < waited < 8, "somebody hears it ring meanwhile: it has a second and a half"


def test_callers_queue_where_their_number_says_so_and_their_place_is_on_record(house: House) -> None:
    owner = house.person()
    _, number, trunk_id = bound(owner)
    hook = {"url": "https://hooks.example.com/queue", "events": ["call.queued"]}
    owner.made("/v1/webhooks/endpoints", hook)
    assert rings(house, trunk_id, number, f"{number}-0", queued=0).status == 425, "it rings"
    unheld = {"is_busy": True, "is_unheld": True}
    assert rings(house, trunk_id, number, f"{number}-0", **unheld).status == 425, "another worker may have it"
    assert owner.ask("GET", "/v1/calls").json["total"] == 0
    terms = {"most": 2, "longest_seconds": 60, "every_seconds": 20, "then": "callback"}
    assert keep(owner, number, when_busy="queue", queue=terms).status == 200
    for wrong in ({"most": 0}, {"most": 101}, {"longest_seconds": 3601}, {"every_seconds": 9}, {"then": "x"}):
        assert keep(owner, number, when_busy="queue", queue=wrong).status == 422
    taken = rings(house, trunk_id, number, f"{number}-1", queued=1)
    assert taken.json["queue"] == {"is_answered": True}
    assert rings(house, trunk_id, number, f"{number}-1", queued=1).json == taken.json
    call_id = taken.json["call_id"]

    def shown() -> Any:
        call = owner.ask("GET", f"/v1/calls/{call_id}").json
        return call["call_status"], call["queue"]["position"], call["queue"]["outcome"]

    for place in (2, 2, 1):
        assert goes(house, call_id, "queued", place=place) == 204
        assert shown() == ("ringing", place, "waiting")
    brief = house.worker.brief(call_id).json
    assert (brief["queue"]["every_seconds"], brief["queue"]["offers_callback"]) == (20, True)
    assert goes(house, call_id, "queued", place=0) == 204
    script = Script(call_id)
    house.worker.tell(script.started())
    assert shown() == ("in_progress", None, "answered")
    house.worker.tell(script.ended(5))
    queue = owner.ask("GET", f"/v1/calls/{call_id}").json["queue"]
    assert queue["waited_ms"] >= 0
    told = until(
        lambda: len(d := owner.ask("GET", "/v1/webhooks/deliveries").json["deliveries"]) == 2 and d, 20
    )
    assert {one["event"] for one in told} == {"call.queued"}

    # One who hangs up, one who hides their number, and one too many.
    gone = rings(house, trunk_id, number, f"{number}-2", queued=0).json["call_id"]
    assert goes(house, gone, "queued", place=1) == 204
    house.worker.brief(gone)
    house.worker.tell(Script(gone).ended(3, "ended", "queue_abandoned"))
    left = owner.ask("GET", f"/v1/calls/{gone}").json
    assert (left["call_status"], left["queue"]["outcome"], left["duration_ms"]) == ("ended", "abandoned", 0)
    assert goes(house, gone, "queued", place=2) == 204
    assert len(owner.ask("GET", "/v1/webhooks/deliveries").json["deliveries"]) == 3, "of nobody who is gone"
    hidden = rings(house, trunk_id, number, f"{number}-3", queued=0, from_number="anonymous").json["call_id"]
    moved = {gone: 2, "call_of_nobody": 3, hidden: 1}
    many = {
        "worker_id": house.worker.worker_id,
        "places": [{"call_id": one, "place": place} for one, place in moved.items()],
    }
    for _ in range(2):
        assert house.worker._internal("POST", "/internal/phones/places", many).status == 204
    assert owner.ask("GET", f"/v1/calls/{hidden}").json["queue"]["position"] == 1
    assert len(owner.ask("GET", "/v1/webhooks/deliveries").json["deliveries"]) == 4
    too_many = many | {"places": many["places"] * 9}
    assert house.worker._internal("POST", "/internal/phones/places", too_many).status == 422
    assert owner.ask("POST", "/internal/phones/places", many).status in {401, 403}
    assert house.worker.brief(hidden).json["queue"]["offers_callback"] is False
    assert owner.ask("GET", "/v1/schedules").json["schedules"] == []
    assert rings(house, trunk_id, number, f"{number}-4", queued=2).status == 409
    (noted,) = owner.ask("GET", "/v1/schedules").json["schedules"]
    assert (noted["status"], noted["phone_number"]) == ("pending_review", CALLER)


PERSON = "+14155550177"


def test_where_no_agent_is_there_a_number_is_rung_instead(house: House) -> None:
    owner, stranger = house.person(), house.person()
    own, number, trunk_id = bound(owner)
    _, theirs, _ = bound(stranger)
    for wrong in ("nobody", number, theirs):
        refused = keep(owner, number, fallback_number=wrong)
        assert refused.status == 422, wrong
        assert "fallback_number" in json.dumps(refused.json["detail"])
    assert (
        keep(owner, number, fallback_number="+1 415 555 0177").json["answering"]["fallback_number"] == PERSON
    )
    assert rings(house, trunk_id, number, f"{number}-0").json["forward"] is None, "its agent is there"
    # No line, outside the hours, and at last without its agent: each is forwarded, and by the same rules.
    shut = {**ALWAYS, "closed_on": [f"{datetime.now(UTC):%Y-%m-%d}"]}
    busy = rings(house, trunk_id, number, f"{number}-1", is_busy=True, is_unheld=True)
    assert busy.json["forward"]["to_number"] == PERSON
    assert keep(owner, number, fallback_number=PERSON, hours=shut).status == 200
    assert rings(house, trunk_id, number, f"{number}-2").json["forward"]["from_number"] == number
    assert keep(owner, number, fallback_number=PERSON, hours=shut, closed={"refuse": True}).status == 200
    assert rings(house, trunk_id, number, f"{number}-3").status == 403
    rules = {"fallback_number": PERSON, "when_busy": "queue", "queue": {"most": 1}}
    assert keep(owner, number, **rules).status == 200
    assert rings(house, trunk_id, number, f"{number}-4", queued=0).json["forward"] is None
    assert rings(house, trunk_id, number, f"{number}-5", queued=1).json["forward"]["to_number"] == PERSON
    assert owner.ask("DELETE", f"/v1/agents/{own}").status == 204
    taken = rings(house, trunk_id, number, f"{number}-6").json
    assert rings(house, trunk_id, number, f"{number}-6").json == taken

    call_id = taken["call_id"]
    assert owner.ask("GET", f"/v1/calls/{call_id}").json["call_status"] == "ringing"
    for _ in range(2):
        assert goes(house, call_id, "answered", 200, "OK", at=moment(0)) == 204
    house.worker.status["call_ids"] = [call_id]
    call = owner.ask("GET", f"/v1/calls/{call_id}").json
    (tried,) = call["transfers"]
    assert (call["call_status"], tried["to"], tried["outcome"]) == ("in_progress", PERSON, "bridged")
    goes(house, call_id, "ended", 200, "OK", at=moment(60))
    house.worker.status["call_ids"] = []
    call = until(lambda: (c := owner.ask("GET", f"/v1/calls/{call_id}").json)["call_analysis"] and c, 30)
    assert (call["call_status"], call["duration_ms"]) == ("transferred", 60_000)
    paid = owner.ask("GET", "/v1/wallet/transactions").json["transactions"]
    (line,) = [one for one in paid if one["call_id"] == call_id]
    assert (line["explanation"]["seconds"], line["explanation"]["agent_seconds"]) == (60, 0)

    for code, status in ((486, "busy"), (480, "no_answer"), (487, "ended")):
        call_id = rings(house, trunk_id, number, f"{number}-{code}").json["call_id"]
        assert goes(house, call_id, "ended", code, "They cannot") == 204
        call = owner.ask("GET", f"/v1/calls/{call_id}").json
        assert (call["call_status"], call["transfers"][0]["outcome"]) == (status, "failed")


def test_a_forwarded_call_goes_in_no_circle_and_nowhere_that_is_not_called(house: House) -> None:
    owner = house.person()
    own, number, trunk_id = bound(owner)
    _, other, _ = bound(owner)
    assert keep(owner, number, fallback_number=PERSON).status == 200
    assert owner.ask("DELETE", f"/v1/agents/{own}").status == 204
    circles: list[dict[str, Any]] = [
        {"from_number": number},
        {"from_number": other},
        {"from_number": PERSON},
        {"diverted_by": [PERSON, number]},
    ]
    for n, more in enumerate(circles):
        assert rings(house, trunk_id, number, f"{number}-{n}", **more).status == 404, more
    calls = owner.ask("GET", "/v1/calls").json["calls"]
    assert {one["call_status"] for one in calls} == {"failed"}
    assert all("circle" in one["disconnection_reason"] for one in calls)
    assert rings(house, trunk_id, number, f"{number}-x", diverted_by=[CALLER]).status == 200
    assert keep(owner, number, fallback_number="+19005550123").status == 200
    assert rings(house, trunk_id, number, f"{number}-y").status == 404, "a premium number"
    (last, *_) = owner.ask("GET", "/v1/calls").json["calls"]
    assert "Premium" in last["disconnection_reason"]
