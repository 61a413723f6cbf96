"""Placing what is due: `schedule-<id>-<number>-<when>`, each once.

    written ──queued until it is due──► execute ──► the call's row and the log's in one transaction
                                          └──► queued until the next one is due

A process that dies before that commit has called nobody, and the step runs again; after it, the log says
that the call was placed, and nothing is placed twice.
"""

import logging
from datetime import datetime, timedelta

from dbos import DBOS
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import service as calls
from api.calls.schemas import OutboundCall
from api.db.columns import now
from api.durable import engine
from api.http.callers import Caller
from api.http.errors import ApiError, Invalid
from api.schedules.recurrence import Recurrence, next_after
from api.schedules.table import COMPLETED, FAILED, SCHEDULED, ScheduleExecutionRow, ScheduleRow

_LOG = logging.getLogger(__name__)

QUEUE = "schedules"
AT_ONCE = 8
MISSED_AFTER = timedelta(minutes=15)
"""A call that could not be placed for this long is not placed any more: it would come at a bad time."""
OVERDUE_SECONDS = 30.0
Following = tuple[int, str]
"""The call that is due after this: its number, and when."""


@DBOS.workflow(name="schedule")
async def run(schedule_id: str, number: int, due: str) -> None:
    """Place one due call, then arrange the next."""
    with engine.at_work():
        if (following := await execute(schedule_id, number, due)) is not None:
            await queue(schedule_id, following[0], datetime.fromisoformat(following[1]))


@DBOS.step(name="schedule.execute", retries_allowed=True, max_attempts=5)
async def execute(schedule_id: str, number: int, due: str) -> Following | None:
    """Place the call, and write down what became of it; returns what is due after that.

    Nothing happens where the schedule was cancelled or moved, or where this very call is in the log.
    """
    async with engine.reach().database.transaction(is_durable=True) as session:
        row = await session.get(ScheduleRow, schedule_id, with_for_update=True)
        if row is None or row.status != SCHEDULED or row.next_at is None:
            return None
        if row.runs >= number:
            return row.runs + 1, row.next_at.isoformat()  # done before this process; what follows may not be
        if number != row.runs + 1 or row.next_at != datetime.fromisoformat(due):
            return None  # moved: another one is queued for that
        done = ScheduleExecutionRow(schedule_id=row.id, number=number, status=FAILED, due_at=row.next_at)
        if now() - row.next_at > MISSED_AFTER:
            done.status, done.detail = "missed", "nothing ran here when it was due"
        else:
            await _place(session, row, done)
        session.add(done)
        _advance(row, done)
        session.add(row)
        return None if row.next_at is None else (row.runs + 1, row.next_at.isoformat())


async def _place(session: AsyncSession, row: ScheduleRow, done: ScheduleExecutionRow) -> None:
    """The same call that POST /v1/calls would place; what that refuses, the log repeats."""
    caller = Caller(owner_id=row.owner_id, user_id=row.owner_id, kind="user")
    variables = {"contact_name": row.contact_name} if row.contact_name else {}
    wanted = OutboundCall(
        agent_id=row.agent_id,
        to_number=row.phone_number,
        from_number=row.from_number,
        topic=row.description[:500] or None,
        dynamic_variables={**variables, **row.variables},
        metadata={"schedule_id": row.id, "execution_id": f"{row.id}-{done.number}"},
    )
    try:
        async with session.begin_nested():  # what a refused call wrote goes, the log stays
            done.call_id = (await calls.dial(session, caller, wanted)).id
        done.status = "placed"
    except ApiError as error:
        done.detail = "the call is not valid" if isinstance(error, Invalid) else str(error)[:500]
        _LOG.warning("a scheduled call was not placed", extra={"schedule_id": row.id})


def _advance(row: ScheduleRow, done: ScheduleExecutionRow) -> None:
    """On to the next call of a series that is still to come; a single call is over."""
    row.runs, row.updated_at = done.number, now()
    row.next_at = None
    if row.recurrence is not None and row.first_at is not None:
        how = Recurrence.model_validate(row.recurrence)
        since = max(now(), done.due_at)
        row.next_at = next_after(row.first_at, row.timezone, how, since, row.recurrence_end_at)
    if row.next_at is None:
        is_good = done.status == "placed" or row.recurrence is not None
        row.status = COMPLETED if is_good else FAILED


async def queue(schedule_id: str, number: int, due: datetime) -> None:
    """Have a call placed when it is due. Twice is harmless; never raises, since the sweeper asks again."""
    delay = max(0.0, (due - now()).total_seconds())
    try:
        await engine.enqueue(
            QUEUE,
            _id(schedule_id, number, due),
            run,
            schedule_id,
            number,
            due.isoformat(),
            delay_seconds=delay,
        )
    except Exception as error:  # noqa: BLE001 - the schedule is committed; the sweeper queues what this did not
        _LOG.warning("schedule not queued", extra={"id": schedule_id, "error": type(error).__name__})


async def sweep() -> None:
    """Queue what is due and was not placed: what a crash between two commits left unqueued."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(ScheduleRow.id, ScheduleRow.runs, ScheduleRow.next_at)
            .where(
                ScheduleRow.status == SCHEDULED,
                col(ScheduleRow.next_at) < now() - timedelta(seconds=OVERDUE_SECONDS),
            )
            .order_by(col(ScheduleRow.next_at))
            .limit(500)
        )
        late = found.all()
    for schedule_id, runs, due in late:
        if due is not None:
            workflow_id = _id(schedule_id, runs + 1, due)
            await engine.enqueue_again(QUEUE, workflow_id, run, schedule_id, runs + 1, due.isoformat())


def _id(schedule_id: str, number: int, due: datetime) -> str:
    return f"schedule-{schedule_id}-{number}-{int(due.timestamp() * 1000)}"
