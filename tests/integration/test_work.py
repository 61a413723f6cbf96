"""What runs beside the requests: sweeps that settle and forget."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

import pytest
from dbos import DBOS
from sqlmodel import select

from api.calls import workflows
from api.calls.table import CallRow, CallUsageRow
from api.db.columns import now
from api.db.engine import Database
from tests.support.rehearsed_calls import RehearsedRooms, add, call_of, taken


async def test_a_token_that_was_never_used_is_forgotten(database: Database, durable: None) -> None:
    expired = CallRow(owner_id="u", room_name="a", token_expires_at=now() - timedelta(seconds=61))
    waiting = CallRow(owner_id="u", room_name="b", token_expires_at=now() - timedelta(seconds=30))
    used = taken(room_name="c", token_expires_at=now() - timedelta(days=1))
    await add(database, expired, waiting, used)
    await workflows.sweep_unused()
    async with database.transaction(writes=False) as session:
        left = {call.id for call in (await session.exec(select(CallRow))).all()}
    assert left == {waiting.id, used.id}


async def test_a_recording_and_its_parts_stay_as_long_as_their_call(
    database: Database, durable: None, tmp_path: Path
) -> None:
    living, forgotten = taken(attempt=2), taken(room_name="b", forgotten_at=now())
    await add(database, living, forgotten)
    kept = {f"{living.id}.ogg", f"{living.id}-1.ogg"}
    gone = {"call_0123456789abcdef.ogg", "call_0123456789abcdef-2.ogg", f"{forgotten.id}-1.ogg"}
    (tmp_path / "r").mkdir(exist_ok=True)
    for name in kept | gone:
        (tmp_path / "r" / name).write_bytes(b"sound")
        os.utime(tmp_path / "r" / name, (0, 0))
    await workflows.sweep_orphans()
    assert {path.name for path in (tmp_path / "r").iterdir()} == kept


async def test_the_sweeper_settles_what_nobody_settled(
    database: Database, durable: None, rooms: RehearsedRooms
) -> None:
    ended = taken(status="completed", ended_at=now() - timedelta(seconds=9))
    presumed = taken(room_name="b", status="failed", ended_at=now(), is_presumed=True)
    running = taken(room_name="c")
    await add(database, ended, presumed, running)
    await workflows.sweep_unsettled()
    await settled(database, ended.id)
    assert rooms.deleted == ["room"]
    for other in (presumed, running):
        found = await call_of(database, other.id)
        assert found is not None
        assert found.settled_at is None
    async with database.transaction() as session:
        late = await session.get_one(CallRow, presumed.id)
        late.ended_at = now() - timedelta(seconds=31)
        session.add(late)
    await workflows.sweep_unsettled()
    await settled(database, presumed.id)
    async with database.transaction(writes=False) as session:
        usages = (await session.exec(select(CallUsageRow))).all()
    assert {usage.call_id for usage in usages} == {ended.id, presumed.id}


async def test_a_call_that_a_wrong_clock_makes_a_year_long_is_settled(
    database: Database, durable: None
) -> None:
    long = taken(
        status="completed", started_at=now() - timedelta(days=365), ended_at=now() - timedelta(seconds=9)
    )
    await add(database, long)
    await workflows.sweep_unsettled()
    await settled(database, long.id)
    async with database.transaction(writes=False) as session:
        (usage,) = (await session.exec(select(CallUsageRow))).all()
    assert usage.duration_ms > 2**31


async def test_a_settlement_that_gave_up_is_begun_again(
    database: Database, durable: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = taken(status="completed", ended_at=now() - timedelta(seconds=400))
    await add(database, call)

    async def failing(call_id: str) -> None:
        raise OSError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(workflows, "close_room", failing)
        await workflows.start_settlement(call.id)
        await failed(f"settle-{call.id}")
    await workflows.sweep_unsettled()
    await settled(database, call.id)


async def test_a_call_is_settled_though_livekit_is_down(
    database: Database, durable: None, rooms: RehearsedRooms
) -> None:
    rooms.is_there = False
    call = taken(status="completed", ended_at=now())
    await add(database, call)
    await workflows.start_settlement(call.id)
    await settled(database, call.id)


async def settled(database: Database, call_id: str) -> None:
    """Wait for it."""
    async with asyncio.timeout(10):
        while (found := await call_of(database, call_id)) is None or found.settled_at is None:
            await asyncio.sleep(0.02)


async def failed(workflow_id: str) -> None:
    """Wait until a workflow has given up."""
    async with asyncio.timeout(10):
        while (
            status := await DBOS.get_workflow_status_async(workflow_id)
        ) is None or status.status != "ERROR":
            await asyncio.sleep(0.05)
