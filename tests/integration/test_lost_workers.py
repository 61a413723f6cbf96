"""The watch over workers: which calls are lost with them, and how they are taken up again."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from api.calls import attempts, service
from api.calls.table import CallAttemptRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.http.metrics import Metrics
from api.internal import lost as watching
from api.internal import service as events
from api.internal.resuming import Resuming
from api.internal.table import WorkerRow
from api.internal.workers import Workers
from api.outside.phones import NoPhones
from pipelines.contract.events import CallEnded, CallLost, EventBatch, UtteranceHeard
from pipelines.contract.websocket import Hello, Status
from pipelines.transcript import Utterance
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


async def test_a_call_on_the_phone_waits_longer_for_its_worker(
    database: Database, rooms: RehearsedRooms
) -> None:
    """Only the exchange of that worker could let another process have it."""
    phone = {"room_name": None, "call_type": "phone_call"}
    waits = [taken("silent", **phone), taken("silent", **phone, bridged_at=now())]
    lost = [
        taken("silent", **phone, line_ended_at=now()),
        taken("silent", **phone, hang_up_reason="asked to"),
        taken("silent", call_type="phone_call"),  # in a room: by livekit-sip
        taken("gone", **phone),
    ]
    named = [call.id for call in (*waits, *lost)]
    silent, gone = (worker(ago, id=id_, call_ids=named) for ago, id_ in ((14.0, "silent"), (15.5, "gone")))
    await add(database, *waits, *lost, silent, gone)
    assert await Workers(database, rooms).find_lost() == [lost[1].id]
    found = [await call_of(database, id_) for id_ in named]
    assert [(call.status, call.attempt) for call in found if call] == [
        ("in_progress", 1),
        ("in_progress", 1),
        ("in_progress", 2),
        ("failed", 1),
        ("in_progress", 2),
        ("in_progress", 2),
    ]
    async with database.transaction(writes=False) as session:
        asked_at = {row.call_id: row.asked_at for _, _, row in await attempts.waiting(session)}
    assert (now() - asked_at[lost[0].id]).total_seconds() < 10
    assert (now() - asked_at[lost[3].id]).total_seconds() >= 12, "that is part of its half minute"


async def test_a_call_that_was_called_lost_and_lives_goes_on_as_if_nothing_had_been(
    database: Database, rooms: RehearsedRooms
) -> None:
    """A worker that is back and did not say yet what lives has a moment; of the dead it tells at once."""
    lives, died, taken_up, sent = (taken(room_name=name) for name in ("lives", "died", "taken", "sent"))
    calls = (lives, died, taken_up, sent)
    ids = [call.id for call in calls]
    await add(database, *calls, worker(3.5, call_ids=ids), worker(id="another"))
    workers = Workers(database, rooms)
    assert await workers.find_lost() == []
    assert [(await call_of(database, id_)).attempt for id_ in ids] == [2, 2, 2, 2]  # type: ignore[union-attr]
    async with database.transaction() as session:
        row = await session.get(CallRow, taken_up.id)
        assert row is not None
        assert await attempts.take(session, row, "another", "job-2", 2) == 2
        assert await attempts.claim_dispatch(session, sent.id) is not None
    await workers._greet(Hello(worker_id="w", version="1"))
    async with database.transaction() as session:
        row = await session.get(CallRow, died.id)
        assert row is not None
        assert await attempts.follow(session, row, 1), "its supervisor says that it is dead"
    resuming = Resuming(database, rooms, NoPhones())
    await resumed(resuming)
    assert rooms.dispatched == [{"call_id": died.id, "attempt": 2}], "of the others it may still say more"
    said = Status(is_ready=True, call_ids=tuple(ids), alive=dict.fromkeys(ids, 1))
    await workers._note("another", said)
    await workers._note("w", said)
    await workers._note("w", said)
    found = [await call_of(database, id_) for id_ in ids]
    assert [(call.attempt, call.deaths) for call in found if call] == [(1, 0), (2, 1), (2, 1), (2, 1)]
    async with database.transaction(writes=False) as session:
        assert (lives.id, 1) not in await attempts.replaced(session, ids)
        assert {row.call_id for _, _, row in await attempts.waiting(session)} == {died.id, sent.id}
    assert await workers.find_lost() == []
    # Gone again: it is followed as any other, by an attempt of the same number.
    async with database.transaction() as session:
        assert await service.lose(session, [lives.id], "gone") == ([lives.id], [])
    again = await call_of(database, lives.id)
    assert again is not None
    assert (again.attempt, again.deaths) == (2, 1)


@pytest.mark.usefixtures("durable")
async def test_what_happens_in_a_call_that_was_called_lost_says_that_it_lives(
    database: Database, rooms: RehearsedRooms
) -> None:
    """Its supervisor is back, and its first delivery is quicker than its first status."""
    talks, died, over, sent = (taken(room_name=name) for name in ("talks", "died", "over", "sent"))
    calls = (talks, died, over, sent)
    ids = [call.id for call in calls]
    ended_at = now() - timedelta(seconds=1)
    await add(database, *calls, worker(3.5, call_ids=ids))
    await Workers(database, rooms).find_lost()
    async with database.transaction() as session:
        assert await attempts.claim_dispatch(session, sent.id) is not None
    said: list[Any] = [
        UtteranceHeard(
            call_id=call.id,
            attempt=1,
            sequence=number,
            at=now(),
            utterance=Utterance(
                utterance_id=f"u{number}", role="user", text="Hello?", started_at=now(), ended_at=now()
            ),
        )
        for number, call in ((1, talks), (1, died), (1, sent))
    ]
    said.append(CallLost(call_id=died.id, attempt=1, sequence=2, at=now(), reason="killed"))
    told = {"status": "completed", "reason": "user_hangup"}
    said.append(CallEnded(call_id=over.id, attempt=1, sequence=1, at=ended_at, **told))
    said.append(CallEnded(call_id=sent.id, attempt=1, sequence=2, at=now(), **told))
    resumed_soon: list[str] = []
    async with database.transaction() as session:
        batch = EventBatch(worker_id="w", events=said)
        receipt = await events.accept(session, batch, Metrics(), resumed_soon.append)
    assert (receipt.accepted, receipt.refused, receipt.replaced) == (6, {}, {sent.id: 1})
    assert resumed_soon == [died.id]
    found = [await call_of(database, id_) for id_ in ids]
    assert [(call.status, call.attempt, call.deaths) for call in found if call] == [
        ("in_progress", 1, 0),
        ("in_progress", 2, 1),
        ("completed", 1, 0),
        ("in_progress", 2, 1),  # it was put out of its room
    ]


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
