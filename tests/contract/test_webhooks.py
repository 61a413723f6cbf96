"""Webhooks: set, kept secret, told of calls, and logged."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import pytest
from call2me import Call2Me
from standardwebhooks import Webhook

from api.webhooks.events import EventType
from tests.contract.conftest import ENGLISH_AGENT
from tests.support.api import Api, Person, running_api
from tests.support.receiver import Receiver, receiver
from tests.support.rehearsed_worker import RehearsedWorker, Script


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver in a thread of its own."""
    ready, leave = threading.Event(), asyncio.Event()
    kept: list[Any] = []

    async def serve() -> None:
        async with receiver() as made:
            kept.extend((made, asyncio.get_running_loop()))
            ready.set()
            await leave.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield kept[0]
    finally:
        kept[1].call_soon_threadsafe(leave.set)
        thread.join(5)


def eventually(look: Any, timeout: float = 25) -> Any:
    """What `look` returns, once it is something."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"it did not happen: {look.__name__}"
        time.sleep(0.05)
    return found


def test_the_sdk_sets_and_reads_the_accounts_webhook(api: Api, person: Person) -> None:
    key = person.made("/v1/api-keys", {"name": "SDK"})["api_key"]
    with Call2Me(api_key=key, base_url=api.url) as client:
        assert client.webhooks.get()["webhook_url"] is None
        made = client.webhooks.set("https://hooks.example.com/call2me")
        assert made["webhook_secret"].startswith("whsec_")
        assert client.webhooks.get() == {
            "webhook_url": "https://hooks.example.com/call2me",
            "has_secret": True,
            "webhook_secret": None,
            "endpoint_id": made["endpoint_id"],
        }
        chosen = client.webhooks.set("https://hooks.example.com/other", "a-secret-of-my-own")
        assert chosen["webhook_secret"] == "a-secret-of-my-own"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/x",
        "http://[::1]/x",
        "http://10.0.0.1/x",
        "ftp://example.com/x",
        "http://localhost/x",
        "http://hooks.example.com/x",
        "x",
    ],
)
def test_an_address_that_may_never_be_reached_is_refused_when_it_is_set(person: Person, url: str) -> None:
    reply = person.ask("PUT", "/v1/webhooks", {"webhook_url": url})
    assert reply.status == 422
    assert reply.detail[0]["loc"] == ["body", "webhook_url"]
    reply = person.ask("POST", "/v1/webhooks/endpoints", {"url": url})
    assert (reply.status, reply.detail[0]["loc"]) == (422, ["body", "url"])
    assert person.ask("GET", "/v1/webhooks").json["webhook_url"] is None


def test_an_event_that_nobody_would_ever_be_told_of_is_refused(person: Person) -> None:
    url = "https://hooks.example.com/a"
    kinds = sorted({f"{name.partition('.')[0]}.*" for name in get_args(EventType)})
    kept = person.made("/v1/webhooks/endpoints", {"url": url, "events": [*kinds, *get_args(EventType), "*"]})
    for wrong in ("call.complete", "calls.*", "call", "*.completed"):
        body = {"url": url, "events": ["call.completed", wrong]}
        reply = person.ask("POST", "/v1/webhooks/endpoints", body)
        assert (reply.status, reply.detail[0]["loc"]) == (422, ["body", "events", 1])
        assert "'call.completed'" in reply.detail[0]["msg"]
        path = f"/v1/webhooks/endpoints/{kept['endpoint_id']}"
        assert person.ask("PATCH", path, {"events": [wrong]}).status == 422
    assert person.ask("GET", path).json["events"] == kept["events"]


def test_an_agents_own_addresses_are_refused_as_well(person: Person) -> None:
    url = "https://10.0.0.1/x"
    action = {"type": "webhook", "config": {"url": url}}
    for sent, place in (
        ({"webhook_url": url}, ["body", "webhook_url"]),
        ({"post_call_actions": [action]}, ["body", "post_call_actions", 0, "config", "url"]),
    ):
        reply = person.ask("POST", "/v1/agents", {**ENGLISH_AGENT, **sent})
        assert (reply.status, reply.detail[0]["loc"]) == (422, place)
    assert person.ask("GET", "/v1/agents").json == []


def test_a_secret_is_shown_once_and_an_endpoint_can_be_switched_off(person: Person) -> None:
    made = person.made("/v1/webhooks/endpoints", {"url": "https://hooks.example.com/a", "events": ["call.*"]})
    path = f"/v1/webhooks/endpoints/{made['endpoint_id']}"
    assert made["secret"]
    assert person.ask("GET", path).json["secret"] is None
    rotated = person.ask("POST", f"{path}/rotate-secret").json
    assert rotated["secret"] != made["secret"]
    assert rotated["previous_secret_until"] is not None
    off = person.ask("PATCH", path, {"is_enabled": False}).json
    assert (off["is_enabled"], off["disabled_why"]) == (False, "switched off")
    assert person.ask("POST", f"{path}/test").status == 409
    assert person.ask("PATCH", path, {"is_enabled": True}).json["is_enabled"] is True
    assert person.ask("DELETE", path).status == 204
    assert person.ask("GET", path).status == 404


def test_there_is_an_end_to_endpoints(person: Person) -> None:
    for number in range(20):
        person.made("/v1/webhooks/endpoints", {"url": f"https://hooks.example.com/{number}"})
    reply = person.ask("POST", "/v1/webhooks/endpoints", {"url": "https://hooks.example.com/one-more"})
    assert reply.status == 409


@pytest.mark.slow
def test_a_call_is_told_in_order_and_what_follows_it_is_done(tmp_path: Path) -> None:
    with receiving() as told:
        allowed = {"CALL2ME_ALLOW_HOSTS": f"127.0.0.1:{told.port}"}
        with running_api(tmp_path / "home", "", **allowed) as api, RehearsedWorker(api) as worker:
            person = api.person()
            agent = person.made(
                "/v1/agents",
                {
                    **ENGLISH_AGENT,
                    "webhook_url": f"{told.url}/agent",
                    "post_call_extraction": [{"name": "day", "type": "string"}],
                    "post_call_actions": [
                        {
                            "type": "webhook",
                            "condition": "day == Tuesday",
                            "config": {"url": f"{told.url}/act"},
                        },
                        {"type": "webhook", "condition": "day == null", "config": {"url": f"{told.url}/no"}},
                        {"type": "email", "condition": "day", "config": {"to": "desk@example.com"}},
                    ],
                },
            )
            secret = person.ask("PUT", "/v1/webhooks", {"webhook_url": f"{told.url}/account"}).json
            call_id = _call_of(api, person, agent["agent_id"])
            assert worker.brief(call_id).status == 200
            script = Script(call_id)
            worker.tell(
                script.started(), script.said("agent", "Hi.", 1, 2), script.said("user", "Tuesday.", 3, 4)
            )
            worker.tell(script.called("book_appointment", 5), script.ended(6))

            def deliveries() -> Any:
                log = person.ask("GET", f"/v1/calls/{call_id}/deliveries").json
                rows = log["deliveries"]
                return log if len(rows) == 5 and all(row["status"] == "delivered" for row in rows) else None

            log = eventually(deliveries)
            bodies = [json.loads(request.body) for request in told.received]
            agents_own = [body["type"] for body in bodies if body["type"] != "call.action"]
            assert agents_own.count("call.completed") == 2, "to the agent's URL and to the account's"
            assert [kind for kind in agents_own if kind != "call.completed"] == ["call.started", "call.ended"]
            completed = next(body for body in bodies if body["type"] == "call.completed")
            assert completed["data"]["extracted"] == {"day": "Tuesday"}
            assert completed["data"]["transcript"] == "Agent: Hi.\nUser: Tuesday."
            assert completed["data"]["duration_seconds"] == 6.0
            for request in told.received:
                assert Webhook(secret["webhook_secret"]).verify(request.body, request.headers)
            assert [(a["type"], a["outcome"]) for a in log["actions"]] == [
                ("webhook", "asked"),
                ("webhook", "skipped"),
                ("email", "asked"),
            ]
            letter = eventually(lambda: list((tmp_path / "home" / "mail").glob("*desk@example.com.eml")))[0]
            assert "day: Tuesday" in letter.read_text()
            detail = person.ask("GET", f"/v1/webhooks/deliveries/{log['deliveries'][0]['delivery_id']}").json
            assert detail["attempts"][0]["status_code"] == 200


def _call_of(api: Api, person: Person, agent_id: str) -> str:
    """A call that waits for its worker; what a token would have made."""
    from api.calls.table import CallRow
    from api.db.engine import Database
    from api.settings import Settings

    row = CallRow(owner_id=person.credentials["user"]["user_id"], agent_id=agent_id)

    async def write() -> None:
        database = Database(Settings.load(api.environment).database_url)
        async with database.transaction() as session:
            session.add(row)
        await database.close()

    asyncio.run(write())
    return row.id
