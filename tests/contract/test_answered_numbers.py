"""How calls to a number are answered: rules that are kept, a webhook that is asked, who is refused."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.contract.conftest import House
from tests.contract.test_webhooks import receiving
from tests.support.api import AGENT, Person, running_api
from tests.support.rehearsed_exchange import bound, rings
from tests.support.rehearsed_worker import RehearsedWorker

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
    began = time.monotonic()
    assert asked(house, trunk_id, number, f"{number}-1")["agent"]["agent_id"] == own
    assert time.monotonic() - began < 15, "nobody waits for the half minute that the slow one takes"
