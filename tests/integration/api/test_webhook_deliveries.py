"""What we promised to tell arrives, in order, once for each cause, and signed; what cannot is kept."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from sqlmodel import select
from standardwebhooks import Webhook

from api.db import migrate
from api.db.columns import now
from api.db.engine import Database
from api.db.vault import Vault
from api.durable import engine, letters
from api.durable.table import LetterRow
from api.http.callers import Caller
from api.outside.mail import FileMail
from api.outside.storage import FolderStorage
from api.secret_keys import fresh_encryption_key
from api.settings import Settings
from api.users.table import UserRow
from api.webhooks import events, service, workflows
from api.webhooks.table import WebhookDeliveryRow, WebhookEndpointRow, WebhookTryRow
from pipelines.outbound import Guard
from tests.support.receiver import Receiver, receiver
from tests.support.rehearsed_calls import RehearsedRooms

CALLER = Caller(owner_id="user_1", user_id="user_1", kind="user")


@pytest.fixture
async def told() -> AsyncIterator[Receiver]:
    """Somebody who is told."""
    async with receiver() as made:
        yield made


@pytest.fixture
async def database(database_url: str, told: Receiver, tmp_path: Path) -> AsyncIterator[Database]:
    """With an owner and the durable engine on this test's loop; tries follow without waiting."""
    await migrate.upgrade(database_url)
    settings = Settings.load({"CALL2ME_HOME": str(tmp_path / "home"), "CALL2ME_DATABASE_URL": database_url})
    database = Database(database_url, Vault([fresh_encryption_key()]))
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="owner@example.com", password_hash="x"))
    guard = Guard([f"127.0.0.1:{told.port}"])
    mail = FileMail(tmp_path / "mail", "Call2Me <call2me@example.com>")
    storage = FolderStorage(tmp_path / "recordings")
    engine.launch(settings, engine.Reach(database, RehearsedRooms(), storage, storage, guard, mail))
    await engine.open_queue(workflows.QUEUE, at_once=4)
    yield database
    await engine.close()
    await guard.close()
    await database.close()


async def endpoint(database: Database, told: Receiver, **values: Any) -> WebhookEndpointRow:
    """An address of the owner's."""
    async with database.transaction() as session:
        return await service.create(session, "user_1", url=f"{told.url}/hook", **values)


async def tell(
    database: Database, cause: str, event_type: events.EventType = "call.completed", **more: Any
) -> None:
    """Something happened."""
    async with database.transaction() as session:
        await service.emit(
            session, "user_1", event_type, cause, {"n": cause}, call_id="call_1", agent_id="agent_1", **more
        )


async def deliveries(database: Database) -> list[WebhookDeliveryRow]:
    """Every delivery, oldest first."""
    async with database.transaction(writes=False) as session:
        found = await session.exec(select(WebhookDeliveryRow).order_by(WebhookDeliveryRow.position))  # type: ignore[arg-type]
        return list(found.all())


async def tries(database: Database) -> list[WebhookTryRow]:
    """Every try."""
    async with database.transaction(writes=False) as session:
        return list((await session.exec(select(WebhookTryRow).order_by(WebhookTryRow.number))).all())  # type: ignore[arg-type]


@pytest.fixture
def by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is queued: a test makes each try itself."""

    async def nothing(*_: Any, **__: Any) -> None:
        pass

    monkeypatch.setattr(engine, "enqueue", nothing)


async def try_all(database: Database, until: int = 40) -> None:
    """Make every try that follows from another, at once, as the queue would in time."""
    for _ in range(until):
        waiting = [row for row in await deliveries(database) if row.status == "pending"]
        before = len(await tries(database))
        for row in waiting:
            await workflows.attempt(row.id, row.tries + 1)
        if len(await tries(database)) == before:
            return


# ── arriving ─────────────────────────────────────────────────────────────────────────────────────
async def test_an_event_arrives_by_itself_signed_in_both_ways(database: Database, told: Receiver) -> None:
    made = await endpoint(database, told)
    await tell(database, "c1")
    async with asyncio.timeout(20):
        while not told.received:
            await asyncio.sleep(0.05)
    (request,) = told.received
    secret = made.secret.get_secret_value()
    expected = hmac.new(secret.encode(), request.body.encode(), hashlib.sha256).hexdigest()
    assert request.headers["x-call2me-signature"] == f"sha256={expected}"
    assert Webhook(secret).verify(request.body, request.headers)
    body = json.loads(request.body)
    assert body["event"] == body["type"] == "call.completed"
    assert body["id"] == request.headers["webhook-id"]
    assert body["id"].startswith("evt_")
    assert (body["call_id"], body["agent_id"]) == ("call_1", "agent_1")
    assert body["data"] == {"call_id": "call_1", "agent_id": "agent_1", "n": "c1"}


async def test_a_failed_try_is_followed_by_another_through_the_queue(
    database: Database, told: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows, "DELAYS", (0.1, 0.1, 0.1))
    told.answers = [500, 500]
    await endpoint(database, told)
    await tell(database, "c1")
    async with asyncio.timeout(30):
        while (await deliveries(database))[0].status != "delivered":
            await asyncio.sleep(0.1)
    assert len({request.headers["webhook-id"] for request in told.received}) == 1
    assert len({request.body for request in told.received}) == 1
    assert [row.status_code for row in await tries(database)] == [500, 500, 200]


@pytest.mark.usefixtures("by_hand")
async def test_one_cause_is_told_once_however_often_it_is_reported(
    database: Database, told: Receiver
) -> None:
    await endpoint(database, told)
    await asyncio.gather(*(tell(database, "c1") for _ in range(5)))
    await try_all(database)
    assert len(told.received) == 1


@pytest.mark.usefixtures("by_hand")
async def test_a_try_made_twice_by_two_processes_is_one_try(database: Database, told: Receiver) -> None:
    await endpoint(database, told)
    await tell(database, "c1")
    (row,) = await deliveries(database)
    await asyncio.gather(*(workflows.attempt(row.id, 1) for _ in range(3)))
    assert len(await tries(database)) == 1
    assert {request.headers["webhook-id"] for request in told.received} == {row.event_id}


# ── not arriving ─────────────────────────────────────────────────────────────────────────────────
@pytest.mark.usefixtures("by_hand")
@pytest.mark.parametrize("answer", [500, 404, 301, "redirect", "cut", "garbage", "slow"])
async def test_what_is_no_2xx_is_tried_four_times_and_then_buried(
    answer: int | str, database: Database, told: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflows, "TRY_SECONDS", 0.3 if answer == "slow" else 5.0)
    told.answers = [answer] * 10
    await endpoint(database, told)
    await tell(database, "c1")
    await try_all(database)
    (row,) = await deliveries(database)
    assert (row.status, row.tries) == ("dead", 4)
    assert len(told.received) == 4
    tried = await tries(database)
    assert all(one.status_code is not None or one.error for one in tried)


@pytest.mark.usefixtures("by_hand")
async def test_an_answer_without_end_is_read_no_further_than_its_beginning(
    database: Database, told: Receiver
) -> None:
    told.answers = ["huge"]
    await endpoint(database, told)
    await tell(database, "c1")
    await try_all(database)
    (tried,) = await tries(database)
    assert tried.status_code == 200
    assert len(tried.answer) == workflows.MAX_ANSWER_BYTES


@pytest.mark.usefixtures("by_hand")
async def test_an_address_inside_is_never_asked(database: Database, told: Receiver) -> None:
    async with database.transaction() as session:
        await service.create(session, "user_1", url="http://127.0.0.1:9/hook")
    await tell(database, "c1")
    await try_all(database)
    assert (await deliveries(database))[0].status == "dead"
    assert told.received == []
    assert all(one.error and one.status_code is None for one in await tries(database))


@pytest.mark.usefixtures("by_hand")
async def test_an_endpoint_may_ask_for_a_day_of_tries(database: Database, told: Receiver) -> None:
    told.answers = [503] * 40
    await endpoint(database, told, retries_for_a_day=True)
    await tell(database, "c1")
    await try_all(database)
    (row,) = await deliveries(database)
    assert (row.status, row.tries) == ("dead", 1 + 3 + 24)


@pytest.mark.usefixtures("by_hand")
async def test_events_of_a_call_arrive_in_their_order_also_when_the_first_fails(
    database: Database, told: Receiver
) -> None:
    told.answers = [500, 500]
    await endpoint(database, told, events=["call.*"])
    for number, event_type in enumerate(("call.started", "call.ended", "call.completed")):
        await tell(database, f"c{number}", event_type)  # type: ignore[arg-type]
    second = (await deliveries(database))[1]
    assert await workflows.attempt(second.id, 1) is None, "it waits for the one before it"
    await try_all(database)
    kinds = [json.loads(request.body)["type"] for request in told.received]
    assert kinds == ["call.started", "call.started", "call.started", "call.ended", "call.completed"]


@pytest.mark.usefixtures("by_hand")
async def test_what_is_buried_lets_the_next_go(database: Database, told: Receiver) -> None:
    told.answers = [500] * 4
    await endpoint(database, told)
    await tell(database, "c1")
    await tell(database, "c2")
    await try_all(database)
    assert [row.status for row in await deliveries(database)] == ["dead", "delivered"]


# ── switching off ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.usefixtures("by_hand")
async def test_gone_switches_an_endpoint_off_and_its_owner_is_written_to(
    database: Database, told: Receiver, tmp_path: Path
) -> None:
    told.answers = [410]
    made = await endpoint(database, told)
    await tell(database, "c1")
    await try_all(database)
    await tell(database, "c2")
    assert len(told.received) == 1
    assert len(await deliveries(database)) == 1, "nothing more is written for it"
    async with database.transaction(writes=False) as session:
        row = await session.get_one(WebhookEndpointRow, made.id)
        (letter,) = (await session.exec(select(LetterRow))).all()
    assert row.disabled_why == "it answered 410 Gone"
    assert await letters.attempt(letter.id, 1) is None
    assert await letters.attempt(letter.id, 1) is None, "once"
    (written,) = (tmp_path / "mail").glob("*.eml")
    assert "To: owner@example.com" in written.read_text()
    assert "switched off" in written.read_text()


@pytest.mark.usefixtures("by_hand")
async def test_days_of_failures_switch_an_endpoint_off(database: Database, told: Receiver) -> None:
    told.answers = [500] * 9
    made = await endpoint(database, told)
    await tell(database, "c1")
    await try_all(database)
    async with database.transaction() as session:
        row = await session.get_one(WebhookEndpointRow, made.id)
        assert row.disabled_at is None
        assert row.failing_since is not None
        row.failing_since = now() - workflows.DISABLE_AFTER - timedelta(minutes=1)
    await tell(database, "c2")
    await try_all(database)
    async with database.transaction(writes=False) as session:
        row = await session.get_one(WebhookEndpointRow, made.id)
    assert row.disabled_why is not None
    assert "it has failed since" in row.disabled_why


# ── secrets ──────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.usefixtures("by_hand")
async def test_two_secrets_sign_while_one_replaces_the_other(database: Database, told: Receiver) -> None:
    made = await endpoint(database, told)
    old = made.secret.get_secret_value()
    async with database.transaction() as session:
        row = await service.endpoint(session, CALLER, made.id)
        new = service.rotate(row)
    await tell(database, "c1")
    await try_all(database)
    (request,) = told.received
    assert Webhook(old).verify(request.body, request.headers)
    assert Webhook(new).verify(request.body, request.headers)
    digest = hmac.new(new.encode(), request.body.encode(), hashlib.sha256).hexdigest()
    assert request.headers["x-call2me-signature"] == f"sha256={digest}"


@pytest.mark.usefixtures("by_hand")
async def test_an_agents_own_url_is_signed_with_the_accounts_secret(
    database: Database, told: Receiver
) -> None:
    async with database.transaction() as session:
        row = await service.default_of(session, "user_1")
        row.secret = SecretStr("a secret of the owner's own")
    await tell(database, "c1", agent_url=f"{told.url}/agent")
    await try_all(database)
    (request,) = told.received
    digest = hmac.new(b"a secret of the owner's own", request.body.encode(), hashlib.sha256).hexdigest()
    assert request.headers["x-call2me-signature"] == f"sha256={digest}"


# ── again ────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.usefixtures("by_hand")
async def test_what_was_buried_can_be_delivered_anew_alone_or_in_a_range(
    database: Database, told: Receiver
) -> None:
    told.answers = [500] * 8
    await endpoint(database, told)
    await tell(database, "c1")
    await tell(database, "c2")
    await try_all(database)
    first, second = await deliveries(database)
    assert (first.status, second.status) == ("dead", "dead")
    async with database.transaction() as session:
        await service.replay(session, CALLER, first.id)
    await try_all(database)
    async with database.transaction() as session:
        count = await service.replay_range(
            session, CALLER, now() - timedelta(hours=1), now() + timedelta(hours=1), "dead", None
        )
    assert count == 1
    await try_all(database)
    assert [(row.status, row.tries) for row in await deliveries(database)] == [
        ("delivered", 5),
        ("delivered", 5),
    ]


async def test_the_sweeper_queues_what_a_crash_left(database: Database, told: Receiver) -> None:
    await endpoint(database, told)
    async with database.transaction() as session:
        await service.emit(session, "user_1", "call.completed", "c1", {}, call_id="call_1")
        session.info.clear()  # the process dies between its commit and the queue
    async with database.transaction() as session:
        (row,) = (await session.exec(select(WebhookDeliveryRow))).all()
        row.due_at = now() - timedelta(hours=1)
    await workflows.sweep()
    async with asyncio.timeout(20):
        while not told.received:
            await asyncio.sleep(0.05)
    await workflows.sweep()
    assert len(told.received) == 1


# ── choosing ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("chosen", "told_of"),
    [
        ([], {"call.completed", "payment.succeeded"}),
        (["call.*"], {"call.started", "call.transcript", "call.completed"}),
        (["payment.succeeded"], {"payment.succeeded"}),
        (["*"], {"call.started", "call.transcript", "call.completed", "payment.succeeded"}),
    ],
)
def test_an_endpoint_is_told_of_what_it_chose(chosen: list[str], told_of: set[str]) -> None:
    everything = ("call.started", "call.transcript", "call.completed", "payment.succeeded")
    assert {event for event in everything if events.wants(chosen, event)} == told_of
