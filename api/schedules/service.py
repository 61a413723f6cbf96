"""Rules of schedules: whose they are, when they call next, and what ends them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement
from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import after_commit
from api.http.callers import Caller
from api.http.errors import BadRequest, Conflict, Invalid, NotFound
from api.schedules import workflows
from api.schedules.recurrence import Recurrence, following, moment
from api.schedules.schemas import ScheduleCreate, ScheduleQuery, ScheduleUpdate
from api.schedules.table import (
    CANCELLED,
    OPEN,
    PENDING_REVIEW,
    SCHEDULED,
    ScheduleExecutionRow,
    ScheduleRow,
)

MAX_OPEN = 10_000
MAX_UPCOMING = 500
_JUST_NOW = timedelta(minutes=1)
_FARTHEST = timedelta(days=3660)


class ScheduleNotFound(NotFound):
    """Schedule not found"""


class ScheduleOver(BadRequest):
    """This schedule is over"""


class NotForReview(BadRequest):
    """This schedule does not wait for a review"""


class NoNumberGiven(BadRequest):
    """Whoever asked to be called back named no number: set phone_number first"""


class TooManySchedules(Conflict):
    """There are 10,000 schedules waiting already"""


async def create(session: AsyncSession, caller: Caller, wanted: ScheduleCreate) -> ScheduleRow:
    """One more schedule."""
    await agents.get(session, caller, wanted.agent_id)
    counted = await session.exec(
        select(func.count())
        .select_from(ScheduleRow)
        .where(ScheduleRow.owner_id == caller.owner_id, col(ScheduleRow.status).in_(OPEN))
    )
    if counted.one() >= MAX_OPEN:
        raise TooManySchedules
    values = wanted.model_dump(exclude={"scheduled_at", "recurrence", "recurrence_end_at"})
    row = ScheduleRow(owner_id=caller.owner_id, **values)
    _recur(row, wanted.recurrence, wanted.recurrence_end_at)
    begin(row, _when(wanted.scheduled_at, row.timezone))
    return await keep(session, row)


async def keep(session: AsyncSession, row: ScheduleRow) -> ScheduleRow:
    """Write a schedule, and have its next call placed when it is due."""
    row.updated_at = now()
    session.add(row)
    await session.flush()
    if row.status == SCHEDULED and row.next_at is not None:
        after_commit(session, partial(workflows.queue, row.id, row.runs + 1, row.next_at))
    return row


def begin(row: ScheduleRow, at: datetime) -> None:
    """Let a schedule call at this time first; a series, at the first time that is one of its days."""
    row.first_at = row.next_at = at
    if row.recurrence is not None:
        how = Recurrence.model_validate(row.recurrence)
        row.next_at = next(following(at, row.timezone, how, at - timedelta(seconds=1)), None)
        if row.next_at is None or (row.recurrence_end_at is not None and row.next_at > row.recurrence_end_at):
            raise Invalid.at("body", "recurrence_end_at", msg="The series would end before its first call")
    row.status = SCHEDULED


async def page(
    session: AsyncSession, caller: Caller, query: ScheduleQuery
) -> tuple[Sequence[ScheduleRow], int]:
    """A page of the caller's schedules, newest first, and how many there are."""
    asked: list[ColumnElement[bool]] = [col(ScheduleRow.owner_id) == caller.owner_id]
    if query.status:
        asked.append(col(ScheduleRow.status) == query.status)
    if query.agent_id:
        asked.append(col(ScheduleRow.agent_id) == query.agent_id)
    if query.search:
        texts = (ScheduleRow.contact_name, ScheduleRow.phone_number, ScheduleRow.description)
        asked.append(or_(*(col(text).icontains(query.search, autoescape=True) for text in texts)))
    total = await session.exec(select(func.count()).select_from(ScheduleRow).where(*asked))
    found = await session.exec(
        select(ScheduleRow)
        .where(*asked)
        .order_by(col(ScheduleRow.created_at).desc(), col(ScheduleRow.id).desc())
        .limit(query.limit)
        .offset(query.offset)
    )
    return found.all(), total.one()


async def get(session: AsyncSession, caller: Caller, schedule_id: str) -> ScheduleRow:
    """One of the caller's schedules."""
    found = await session.exec(
        select(ScheduleRow)
        .where(ScheduleRow.id == schedule_id, ScheduleRow.owner_id == caller.owner_id)
        .with_for_update()
    )
    if (row := found.one_or_none()) is None:
        raise ScheduleNotFound
    return row


async def change(
    session: AsyncSession, caller: Caller, schedule_id: str, changes: ScheduleUpdate
) -> ScheduleRow:
    """Change what was sent of a schedule that is not over."""
    row = await get(session, caller, schedule_id)
    if row.status not in OPEN:
        raise ScheduleOver
    sent: dict[str, Any] = changes.model_dump(
        exclude_unset=True, include={"timezone", "phone_number", "contact_name", "description", "variables"}
    )
    for name, value in sent.items():
        setattr(row, name, value)
    if changes.recurrence == "none":
        row.recurrence = row.recurrence_end_at = None
    elif changes.recurrence is not None or changes.recurrence_end_at is not None:
        how = changes.recurrence
        if how is None and row.recurrence is not None:
            how = Recurrence.model_validate(row.recurrence)
        _recur(row, how, changes.recurrence_end_at or row.recurrence_end_at)
    is_moved = changes.scheduled_at is not None or "timezone" in sent or changes.recurrence is not None
    if row.status == SCHEDULED and row.next_at is not None and is_moved:
        at = row.next_at if changes.scheduled_at is None else _when(changes.scheduled_at, row.timezone)
        begin(row, at)
    elif changes.scheduled_at is not None:
        row.first_at = _when(changes.scheduled_at, row.timezone)
    return await keep(session, row)


async def cancel(session: AsyncSession, caller: Caller, schedule_id: str) -> ScheduleRow:
    """Call nobody any more; what was done stays in the log. Of a cancelled one it does nothing."""
    row = await get(session, caller, schedule_id)
    if row.status not in (*OPEN, CANCELLED):
        raise ScheduleOver
    row.status, row.next_at, row.updated_at = CANCELLED, None, now()
    session.add(row)
    return row


async def remove(session: AsyncSession, caller: Caller, schedule_id: str) -> ScheduleRow:
    """Cancel a schedule; one that calls nobody any more is forgotten with its log."""
    row = await get(session, caller, schedule_id)
    if row.status in OPEN:
        return await cancel(session, caller, schedule_id)
    await session.delete(row)
    return row


async def approve(
    session: AsyncSession, caller: Caller, schedule_id: str, at: datetime | None
) -> ScheduleRow:
    """Have somebody called who asked for it; without a time, now."""
    row = await get(session, caller, schedule_id)
    if row.status != PENDING_REVIEW:
        raise NotForReview
    if not row.phone_number:
        raise NoNumberGiven
    begin(row, now() if at is None else _when(at, row.timezone))
    return await keep(session, row)


async def upcoming(session: AsyncSession, caller: Caller, days: int) -> list[tuple[ScheduleRow, datetime]]:
    """Calls that are due within some days, those of series each by itself, the next one first."""
    until = now() + timedelta(days=days)
    found = await session.exec(
        select(ScheduleRow)
        .where(
            ScheduleRow.owner_id == caller.owner_id,
            ScheduleRow.status == SCHEDULED,
            col(ScheduleRow.next_at) <= until,
        )
        .order_by(col(ScheduleRow.next_at))
        .limit(MAX_UPCOMING)
    )
    series = [_due(row, until) for row in found.all()]
    due = merge(*series, key=lambda one: (one[1], one[0].id))
    return list(islice(due, MAX_UPCOMING))


async def executions(
    session: AsyncSession, row: ScheduleRow, limit: int
) -> tuple[list[tuple[ScheduleExecutionRow, str | None]], int]:
    """What became of a schedule's newest calls and how each stands, and how many there were."""
    mine = col(ScheduleExecutionRow.schedule_id) == row.id
    total = await session.exec(select(func.count()).select_from(ScheduleExecutionRow).where(mine))
    found = await session.exec(
        select(ScheduleExecutionRow, CallRow.status)
        .join(CallRow, col(CallRow.id) == col(ScheduleExecutionRow.call_id), isouter=True)
        .where(mine)
        .order_by(col(ScheduleExecutionRow.number).desc())
        .limit(limit)
    )
    return list(found.all()), total.one()


def _due(row: ScheduleRow, until: datetime) -> list[tuple[ScheduleRow, datetime]]:
    if row.next_at is None:
        return []
    if row.recurrence is None or row.first_at is None:
        return [(row, row.next_at)]
    how = Recurrence.model_validate(row.recurrence)
    due: list[tuple[ScheduleRow, datetime]] = []
    last = until if row.recurrence_end_at is None else min(until, row.recurrence_end_at)
    for at in following(row.first_at, row.timezone, how, row.next_at - timedelta(seconds=1)):
        if at > last or len(due) == MAX_UPCOMING:
            break
        due.append((row, at))
    return due


def _when(given: datetime, zone: str) -> datetime:
    """The moment that somebody named, unless it is past, or so far away that it is a mistake."""
    try:
        at = moment(given, zone)
    except (OverflowError, ValueError):
        raise Invalid.at("body", "scheduled_at", msg="Not a time that can be kept") from None
    if at < now() - _JUST_NOW:
        raise Invalid.at("body", "scheduled_at", msg="This time is past")
    if at > now() + _FARTHEST:
        raise Invalid.at("body", "scheduled_at", msg="This is more than ten years away")
    return at


def _recur(row: ScheduleRow, how: str | Recurrence | None, end_at: datetime | None) -> None:
    if how is None:
        row.recurrence = row.recurrence_end_at = None
        return
    kept = how if isinstance(how, Recurrence) else Recurrence.model_validate({"frequency": how})
    ends = end_at or kept.end_at
    try:
        row.recurrence_end_at = None if ends is None else moment(ends, row.timezone)
    except (OverflowError, ValueError):
        raise Invalid.at("body", "recurrence_end_at", msg="Not a time that can be kept") from None
    row.recurrence = kept.model_dump(mode="json", exclude={"end_at"})
