"""What runs beside the requests: sweeps, the watch over workers, and what the first start makes."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from dbos import DBOS
from sqlmodel import select

from api.agents import service as agents
from api.calls import attempts, workflows
from api.calls.table import CallAttemptRow, CallRow, CallUsageRow
from api.db import migrate
from api.db.columns import now
from api.db.engine import Database
from api.durable import engine
from api.internal import lost as watching
from api.internal import service as internal
from api.internal.resuming import Resuming
from api.internal.table import WorkerRow
from api.internal.workers import Workers
from api.knowledge_base import service as knowledge_base
from api.knowledge_base import versions
from api.outside.mail import FileMail
from api.outside.phones import NoPhones
from api.outside.rooms import RoomGone, RoomsUnavailable, Ticket
from api.outside.storage import FolderStorage
from api.seed import lay_out_functions, seed
from api.seed_data import clinic
from api.settings import Settings
from api.users.table import UserRow
from pipelines.contract.brief import BriefRequest
from pipelines.outbound import Guard
from pipelines.tools.developer import load


class RehearsedRooms:
    """Rooms that only remember what was asked of them."""

    public_url = "ws://127.0.0.1:1"

    def __init__(self) -> None:
        self.deleted: list[str] = []
        self.removed: list[str] = []
        self.dispatched: list[dict[str, Any]] = []
        self.is_empty = False
        self.is_there = True

    async def is_up(self) -> bool:
        """As the test says."""
        return self.is_there

    def token(self, ticket: Ticket) -> str:
        """Not a real one."""
        return ticket.room_name

    async def participants(self, room_name: str) -> list[str]:
        """Nobody."""
        return []

    async def remove_participant(self, room_name: str, identity: str) -> None:
        """Remember it."""
        self.removed.append(identity)

    async def dispatch(self, room_name: str, agent_name: str, metadata: str) -> None:
        """Remember it, unless the room is gone or nobody answers."""
        if not self.is_there:
            raise RoomsUnavailable
        if self.is_empty:
            raise RoomGone
        self.dispatched.append(json.loads(metadata))

    async def delete_room(self, room_name: str) -> None:
        """Remember it."""
        if not self.is_there:
            raise RoomsUnavailable
        self.deleted.append(room_name)

    async def close(self) -> None:
        """Nothing to let go of."""


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """Migrated, and closed in the end."""
    await migrate.upgrade(database_url)
    database = Database(database_url)
    yield database
    await database.close()


@pytest.fixture
def rooms() -> RehearsedRooms:
    """Rooms that a test may look into."""
    return RehearsedRooms()


@pytest.fixture
async def durable(
    database: Database, database_url: str, rooms: RehearsedRooms, tmp_path: Path
) -> AsyncIterator[None]:
    """The engine, launched on this test's loop."""
    settings = Settings.load({"CALL2ME_HOME": str(tmp_path / "home"), "CALL2ME_DATABASE_URL": database_url})
    engine.launch(
        settings,
        engine.Reach(
            database,
            rooms,
            *(FolderStorage(tmp_path / name) for name in ("r", "k")),
            Guard(),
            FileMail(tmp_path, "a@b.c"),
        ),
    )
    yield
    await engine.close()


async def add(database: Database, *rows: Any) -> None:
    """Write rows, and for each call that somebody took its attempt."""
    attempts = [
        CallAttemptRow(
            call_id=row.id,
            attempt=number,
            job_id=f"job-{number}",
            briefed_at=row.briefed_at,
            asked_at=row.briefed_at or now(),
        )
        for row in rows
        if isinstance(row, CallRow)
        for number in range(1, row.attempt + 1)
    ]
    async with database.transaction() as session:
        session.add_all(rows)
        await session.flush()
        session.add_all(attempts)


async def call_of(database: Database, call_id: str) -> CallRow | None:
    """The call as it is now."""
    async with database.transaction(writes=False) as session:
        return await session.get(CallRow, call_id)


def taken(worker_id: str = "w", **values: Any) -> CallRow:
    """A call that a worker took half a minute ago."""
    return CallRow(
        **{
            "owner_id": "u",
            "room_name": "room",
            "attempt": 1,
            "worker_id": worker_id,
            "briefed_at": now() - timedelta(seconds=30),
            "status": "in_progress",
            "started_at": now() - timedelta(seconds=29),
            **values,
        }
    )


# ── sweeps ───────────────────────────────────────────────────────────────────────────────────────
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


# ── the watch over workers ───────────────────────────────────────────────────────────────────────
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


# ── the first start ──────────────────────────────────────────────────────────────────────────────
async def test_the_first_start_makes_an_agent_that_knows_and_does_something(
    database: Database, tmp_path: Path
) -> None:
    await add(database, UserRow(id="user_1", email="a@example.com", password_hash="x"))
    async with database.transaction() as session:
        agent = await seed(session, "user_1", tmp_path)
    call = CallRow(owner_id="user_1", agent_id=agent.id, room_name="room")
    await add(database, call)
    async with database.transaction() as session:
        settings = Settings.load({"CALL2ME_HOME": str(tmp_path)})
        asked = BriefRequest(worker_id="w", job_id="j")
        brief = await internal.brief(session, call.id, asked, settings)
    (known,) = brief.knowledge
    assert known.titles == tuple(title for title, _ in clinic.KNOWLEDGE)
    assert known.version == 0, "nothing of it has been read yet"
    assert brief.agent.enable_recording
    assert brief.agent.begin_message == clinic.GREETING
    assert brief.agent.language == "en-US"
    assert [function["name"] for function in brief.agent.engine.functions] == ["book_appointment"]
    assert (tmp_path / "functions" / "dental_clinic.py").is_file()


async def test_a_folder_of_functions_that_is_somebodys_is_left_alone(
    database: Database, tmp_path: Path
) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "mine.py").write_text("")
    await add(database, UserRow(id="user_1", email="a@example.com", password_hash="x"))
    async with database.transaction() as session:
        await seed(session, "user_1", tmp_path)
    assert [path.name for path in (tmp_path / "functions").iterdir()] == ["mine.py"]


async def test_the_seeded_function_books(tmp_path: Path) -> None:
    lay_out_functions(tmp_path / "functions")
    functions = load(tmp_path / "functions")
    assert functions.broken == ()
    assert list(functions.by_name) == ["book_appointment"]
    book: Any = functions.by_name["book_appointment"]
    said = await book(None, name="Maria Lopez", service="cleaning", day="Tuesday", time="10 a.m.")
    assert said == "Maria Lopez is booked for cleaning on Tuesday at 10 a.m."
    (line,) = (tmp_path / "functions" / "appointments.jsonl").read_text().splitlines()
    booked = json.loads(line)
    assert (booked["name"], booked["service"], booked["day"], booked["time"]) == (
        "Maria Lopez",
        "cleaning",
        "Tuesday",
        "10 a.m.",
    )


# ── knowledge ────────────────────────────────────────────────────────────────────────────────────
async def test_an_agent_knows_only_what_its_owner_has(database: Database) -> None:
    async with database.transaction() as session:
        mine = await knowledge_base.texts_added(session, "me", "Mine", [("A", "one"), ("B", "two two")])
        theirs = await knowledge_base.texts_added(session, "they", "Theirs", [("C", "secret")])
        gone = await knowledge_base.texts_added(session, "me", "Gone", [("D", "old")])
        await knowledge_base.remove(session, gone)
    async with database.transaction(writes=False) as session:
        (known,) = await versions.versions(session, "me", [theirs.id, mine.id, gone.id, "kb_gone"])
        assert (known.base_id, known.name, known.titles) == (mine.id, "Mine", ("A", "B"))
        newest = await versions.newest(session, [mine.id, gone.id])
        assert [each.base_id for each in newest] == [mine.id]


async def test_agents_are_what_they_were_when_the_call_began(database: Database, tmp_path: Path) -> None:
    await add(database, UserRow(id="user_1", email="a@example.com", password_hash="x"))
    async with database.transaction() as session:
        agent = await seed(session, "user_1", tmp_path)
        config = agents.to_config(agent)
    assert config.engine.instructions == clinic.INSTRUCTIONS
    assert config.end_call_after_silence_ms == 30_000
