"""Who is told when a call or a chat is over: really, once, and where the condition holds."""

import email
import json
import time
from collections.abc import Callable, Iterator
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from tests.contract.conftest import ENGLISH_AGENT
from tests.contract.test_webhooks import _call_of, receiving
from tests.support.api import Api, Person, running_api
from tests.support.receiver import Receiver
from tests.support.rehearsed_worker import RehearsedWorker, Script


@pytest.fixture(scope="module")
def told() -> Iterator[Receiver]:
    """Whoever is told by webhook."""
    with receiving() as receiver:
        yield receiver


@pytest.fixture(scope="module")
def own_api(told: Receiver, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """An api that may reach it."""
    allowed = {"CALL2ME_ALLOW_HOSTS": f"127.0.0.1:{told.port}"}
    with running_api(tmp_path_factory.mktemp("notifications"), "", **allowed) as api:
        yield api


def letters(home: Path, to: str) -> list[Message]:
    found = [email.message_from_bytes(path.read_bytes()) for path in sorted((home / "mail").glob("*.eml"))]
    return [letter for letter in found if letter["To"] == to]


def soon(what: Callable[[], Any], seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    return found


def target(person: Person, agent_id: str, **wanted: Any) -> dict[str, Any]:
    return person.made(f"/v1/agents/{agent_id}/notifications", wanted)


def test_a_call_that_is_over_is_told_by_webhook_and_letter(own_api: Api, told: Receiver) -> None:
    person = own_api.person()
    agent = {**ENGLISH_AGENT, "post_call_extraction": [{"name": "day", "type": "string"}]}
    agent_id = person.made("/v1/agents", agent)["agent_id"]
    hook = target(
        person,
        agent_id,
        channel="custom_url",
        destination=f"{told.url}/notify",
        template="{{shop}}: {{call_status}}, {{day}}",
        template_vars={"shop": "Bikes"},
    )
    desk = f"desk-{agent_id}@example.com"
    target(person, agent_id, channel="email", destination=desk, template="It is {{day}}.")
    target(person, agent_id, channel="email", recipient_kind="owner")
    never = {"field": "day", "operator": "==", "value": "Sunday"}
    target(person, agent_id, channel="email", destination=desk, condition=never)
    off = target(person, agent_id, channel="email", destination=desk)
    person.ask("PATCH", f"/v1/notifications/{off['target_id']}", {"active": False})
    target(person, agent_id, channel="email", recipient_kind="caller")
    with RehearsedWorker(own_api) as worker:
        call_id = _call_of(own_api, person, agent_id)
        assert worker.brief(call_id).status == 200
        script = Script(call_id)
        worker.tell(script.started(), script.said("user", "Tuesday.", 3, 4))
        worker.tell(script.called("book_appointment", 5), script.ended(6))

        def log() -> Any:
            found = person.ask("GET", f"/v1/calls/{call_id}/deliveries").json
            outcomes = sorted(one["outcome"] for one in found["notifications"])
            done = all(row["status"] == "delivered" for row in found["deliveries"])
            return (
                outcomes
                if len(outcomes) == 5 and "sent" in outcomes and done and outcomes.count("sent") == 2
                else None
            )

        assert soon(log) == ["asked", "failed", "sent", "sent", "skipped"]
    (received,) = [one for one in told.received if hook["target_id"] in one.body]
    body = json.loads(received.body)
    assert (body["event"], body["call_id"], body["data"]["message"]) == (
        "notification",
        call_id,
        "Bikes: completed, Tuesday",
    )
    assert received.headers["x-call2me-signature"].startswith("sha256=")
    (written,) = letters(own_api.home, desk)
    assert written.get_payload().strip() == "It is Tuesday."
    mine = [letter["Subject"] for letter in letters(own_api.home, person.email)]
    assert mine.count("After a call") == 1  # beside the one that verifies the address


def test_a_chat_that_is_archived_is_told_once(own_api: Api, told: Receiver) -> None:
    person = own_api.person()
    agent_id = person.made("/v1/agents", ENGLISH_AGENT)["agent_id"]
    address = f"chats-{agent_id}@example.com"
    target(
        person,
        agent_id,
        channel="email",
        destination=address,
        trigger_event="chat_ended",
        template="{{plan}}",
    )
    chat = person.ask("POST", "/v1/chats", {"agent_id": agent_id, "metadata": {"plan": "gold"}}).json[
        "chat_id"
    ]
    for status in ("archived", "active", "archived"):
        assert person.ask("PATCH", f"/v1/chats/{chat}?status={status}").status == 200
    (letter,) = soon(lambda: letters(own_api.home, address))
    assert letter.get_payload().strip() == "gold"
    time.sleep(0.5)
    assert len(letters(own_api.home, address)) == 1


def test_targets_are_kept_changed_and_removed(own_api: Api) -> None:
    person = own_api.person()
    agent_id = person.made("/v1/agents", ENGLISH_AGENT)["agent_id"]
    path = f"/v1/agents/{agent_id}/notifications"
    for channel in ("sms", "whatsapp"):
        assert person.ask("POST", path, {"channel": channel, "destination": "+905321234567"}).status == 501
    for wrong in (
        {"channel": "email"},
        {"channel": "email", "destination": "nobody"},
        {"channel": "email", "destination": "a@example.com\r\nBcc: b@example.com"},
        {"channel": "custom_url"},
        {"channel": "custom_url", "destination": "https://10.0.0.1/x"},
        {"channel": "custom_url", "destination": "http://example.com/x"},
        {"channel": "pigeon"},
        {"channel": "email", "recipient_kind": "owner", "condition": {"field": "a", "operator": "like"}},
        {"channel": "email", "recipient_kind": "owner", "template_vars": {"a": "x" * 2001}},
    ):
        assert person.ask("POST", path, wrong).status == 422, wrong
    made = target(person, agent_id, channel="email", recipient_kind="owner")
    assert person.ask("GET", path).json == [made]
    changed = person.ask("PATCH", f"/v1/notifications/{made['target_id']}", {"template": "Hi"})
    assert (changed.status, changed.json["template"], changed.json["recipient_kind"]) == (200, "Hi", "owner")
    fixed = person.ask("PATCH", f"/v1/notifications/{made['target_id']}", {"recipient_kind": "fixed"})
    assert fixed.status == 422
    assert person.ask("DELETE", f"/v1/notifications/{made['target_id']}").status == 204
    assert person.ask("GET", path).json == []
