"""The watch over workers: which calls are lost with them, and how they are taken up again."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from api.calls import attempts
from api.calls.table import CallAttemptRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.internal import lost as watching
from api.internal.resuming import Resuming
from api.internal.table import WorkerRow
from api.internal.workers import Workers
from api.outside.phones import NoPhones
from tests.support.rehearsed_calls import RehearsedRooms, add, call_of, taken


def worker(seconds_ago: float = 0, **values: Any) -> WorkerRow:
    """A worker that was last heard of some seconds ago."""
    return WorkerRow(
        **{"id": "w", "is_ready": True, "seen_at": now() - timedelta(seconds=seconds_ago), **values}
    )


@pytest.mark.parametrize(
    ("seconds_ago", "said_goodbye", "is_lost"),
    [
        (0.0, False, False),
        (2.0, False, False),
        (3.5, False, True),
        (3.5, True, False),
        (16.0, True, True),
        (None, False, True),
    ],
)
async def test_a_call_is_lost_with_its_worker(
    database: Database, rooms: RehearsedRooms, seconds_ago: float | None, said_goodbye: bool, is_lost: bool
) -> None:
    call = taken()
    await add(database, call)
    if seconds_ago is not None:
        await add(database, worker(seconds_ago, said_goodbye=said_goodbye, call_ids=[call.id]))
    assert await Workers(database, rooms).find_lost() == []
    found = await call_of(database, call.id)
    assert found is not None
    assert (found.status, found.attempt) == ("in_progress", 2 if is_lost else 1), "another may take it up"


async def test_a_call_that_lost_too_many_processes_is_over(database: Database, rooms: RehearsedRooms) -> None:
    call = taken(attempt=3, deaths=2)
    await add(database, call)
    assert await Workers(database, rooms).find_lost() == [call.id]
    assert rooms.deleted == ["room"]
    found = await call_of(database, call.id)
    assert found is not None
    assert (found.status, found.is_presumed) == ("failed", True)


async def resumed(resuming: Resuming, *, can_dispatch: bool = True) -> None:
    """One look, and all that follows from it."""
    await resuming.look(can_dispatch=can_dispatch)
    await asyncio.gather(*resuming._tasks)


async def test_a_call_that_waits_is_dispatched_once_with_its_ghost_removed(
    database: Database, rooms: RehearsedRooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = taken()
    await add(database, call)
    await Workers(database, rooms).find_lost()
    first, second = (Resuming(database, rooms, NoPhones()) for _ in range(2))
    await resumed(first, can_dispatch=False)
    assert rooms.dispatched == [], "nobody would take it"
    await asyncio.gather(resumed(first), resumed(second))
    assert rooms.removed == ["agent-job-1"]
    assert rooms.dispatched == [{"call_id": call.id, "attempt": 2}]
    await resumed(second)
    assert len(rooms.dispatched) == 1
    monkeypatch.setattr(attempts, "AGAIN_SECONDS", -1.0)
    await resumed(second)
    assert len(rooms.dispatched) == 2, "nobody answered"
    await add(database, worker(call_ids=[call.id]))
    async with database.transaction() as session:
        row = await session.get(CallRow, call.id)
        assert row is not None
        assert await attempts.take(session, row, "w", "job-2", 2) == 2
    await resumed(second)
    assert len(rooms.dispatched) == 2, "it has a process"
    assert await Workers(database, rooms).find_lost() == []


@pytest.mark.usefixtures("durable")
@pytest.mark.parametrize(
    ("seconds", "is_empty", "ending"),
    [
        (31, False, ("failed", "error: its process died and no other took it up")),
        (16, True, ("completed", "user_hangup")),
        (10, True, ("in_progress", None)),
    ],
)
async def test_a_call_waits_for_a_process_only_so_long(
    database: Database,
    rooms: RehearsedRooms,
    seconds: float,
    is_empty: bool,
    ending: tuple[str, str | None],
) -> None:
    call = taken(attempt=2)
    await add(database, call)
    async with database.transaction() as session:
        row = await session.get(CallAttemptRow, (call.id, 2))
        assert row is not None
        row.job_id, row.briefed_at, row.asked_at = None, None, now() - timedelta(seconds=seconds)
        session.add(row)
    rooms.is_empty = is_empty
    await resumed(Resuming(database, rooms, NoPhones()))
    found = await call_of(database, call.id)
    assert found is not None
    assert (found.status, found.disconnection_reason) == ending


async def test_a_call_that_its_worker_does_not_name_is_lost_after_a_while(
    database: Database, rooms: RehearsedRooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, young = taken(), taken(room_name="young", briefed_at=now())
    await add(database, old, young, worker(call_ids=[]))
    workers = Workers(database, rooms)
    assert await workers.find_lost() == []
    monkeypatch.setattr(watching, "MISSING_SECONDS", -1.0)
    assert await workers.find_lost() == []
    assert [(await call_of(database, one.id)).attempt for one in (old, young)] == [2, 1]  # type: ignore[union-attr]


async def test_who_could_answer_is_known_to_every_process(database: Database, rooms: RehearsedRooms) -> None:
    workers = Workers(database, rooms)
    assert await workers.why_not() == "no worker is connected"
    await add(database, worker(is_ready=False, why_not="models are loading"))
    assert await workers.why_not() == "models are loading"
    await add(database, worker(id="second"))
    assert await workers.why_not() == ""
    assert [row.id for row in await workers.present()] == ["second", "w"]
