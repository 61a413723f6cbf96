"""Attempts at a call: which job holds it, who follows a process that died, and when nobody does any more.

    attempt 1  ──briefed──► talks ──its process dies──┐ replaced
    attempt 2                                         └─ waits ──dispatched──► briefed ──► talks

    attempt 1  ──briefed──► talks ──its worker is silent──┬──────it lives──────────► talks on
    attempt 2                                             └─ waits ──withdrawn──┘

The row of a call is locked by whoever asks here, so that a call has one newest attempt.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import RUNNING, CallAttemptRow, CallRow
from api.db.columns import now
from api.http.errors import Gone

_LOG = logging.getLogger(__name__)

MOST_DEATHS = 3
"""A call that kills every process it gets must not take all of them along: at the last of these it ends."""
WAIT_SECONDS = 30.0
"""How long a caller is left in silence at most before the call is given up."""
MOST_BESIDE = 50
"""Processes that hear one call after it was put through."""
AGAIN_SECONDS = 4.0
"""A dispatch that nobody answered by then is repeated."""
LEAVING_SECONDS = 15.0
"""For a process that lives to hear that another has its call. What happens in it later belongs to no call."""


class CallTaken(Gone):
    """Another process has this call"""


@dataclass(frozen=True)
class Replaced:
    """An attempt that another follows. Its process is dead, or lives and does not know of it yet."""

    at: datetime
    followed_at: datetime | None
    """When somebody was sent in its place; until then nobody but it had the line."""
    taken_at: datetime | None
    """When that one had its brief."""

    def is_in_time(self, call: CallRow, moment: datetime) -> bool:
        """Whether what happened in it then belongs to the call: until it had to know that it is replaced."""
        ends = [at for at in (self.taken_at, call.ended_at if call.is_over else None) if at is not None]
        return moment <= self.at or not ends or moment <= min(ends) + timedelta(seconds=LEAVING_SECONDS)

    def has_the_line(self, moment: datetime) -> bool:
        """Whether it could know then how the call goes on; later it may only have been put out of it."""
        return self.followed_at is None or moment <= self.followed_at


async def take(session: AsyncSession, call: CallRow, worker_id: str, job_id: str, asked: int) -> int:
    """Give the call to a job that asks for its brief; the same job again has the same attempt.

    `asked` is the attempt that it was dispatched for. Raises `CallTaken` for a job that another has
    replaced, or was quicker than.
    """
    found = await session.exec(select(CallAttemptRow).where(CallAttemptRow.call_id == call.id))
    attempts = {row.attempt: row for row in found.all()}
    newest = attempts.get(call.attempt)
    mine = next((row for row in attempts.values() if row.job_id == job_id), None)
    if mine is None:
        if asked and (asked != call.attempt or newest is None or newest.job_id is not None):
            raise CallTaken
        # A token's dispatch is for no attempt: the first, or its room had to be made again.
        mine = newest if newest is not None and newest.job_id is None else _next(session, call, newest)
        mine.job_id = job_id
    elif mine.attempt != call.attempt:
        raise CallTaken
    mine.briefed_at = mine.briefed_at or now()
    call.worker_id = worker_id
    call.briefed_at = call.briefed_at or now()
    call.updated_at = now()
    session.add(mine)
    session.add(call)
    return mine.attempt


async def beside(session: AsyncSession, call: CallRow, worker_id: str, job_id: str) -> int:
    """An attempt for a job that hears two who were put through; the same job again has the same.

    It takes nobody's place: the attempt before may still tell how it ended. Raises `CallTaken`.
    """
    found = await session.exec(
        select(CallAttemptRow).where(CallAttemptRow.call_id == call.id, CallAttemptRow.job_id == job_id)
    )
    if (mine := found.one_or_none()) is not None:
        return mine.attempt
    if call.attempt >= MOST_BESIDE:
        raise CallTaken
    call.attempt += 1
    call.worker_id = worker_id
    call.updated_at = now()
    session.add(CallAttemptRow(call_id=call.id, attempt=call.attempt, job_id=job_id, briefed_at=now()))
    session.add(call)
    return call.attempt


async def follow(
    session: AsyncSession,
    call: CallRow,
    lost_attempt: int,
    *,
    is_death: bool = True,
    is_presumed: bool = False,
    waited_seconds: float = 0.0,
) -> bool:
    """Let another attempt follow one whose process is gone, or is presumed to be.

    False when none may: the call is over, there is no room to meet in, somebody ordered the end, or too
    many died. One that follows already goes on to. `waited_seconds` were waited for its worker before.
    """
    if lost_attempt < call.attempt:
        await _is_gone(session, call, lost_attempt)
        return True
    call.deaths += is_death
    session.add(call)
    has_line = call.room_name or call.is_phone
    may_go_on = has_line and call.hang_up_reason is None and call.deaths < MOST_DEATHS
    if call.is_over or not may_go_on:
        return False
    made = _next(session, call, await session.get(CallAttemptRow, (call.id, call.attempt)))
    made.is_presumed = is_presumed
    made.asked_at -= timedelta(seconds=waited_seconds)
    return True


async def _is_gone(session: AsyncSession, call: CallRow, attempt: int) -> None:
    """What was presumed of an attempt is known now."""
    following = await session.get(CallAttemptRow, (call.id, attempt + 1))
    if following is not None and following.is_presumed:
        following.is_presumed = False
        session.add(following)


async def withdraw(session: AsyncSession, call: CallRow, attempt: int) -> bool:
    """The process of this attempt lives: nobody follows it, unless somebody was sent already.

    The call's row must be locked. True when the attempt is the newest again.
    """
    following = await session.get(CallAttemptRow, (call.id, call.attempt))
    mine = await session.get(CallAttemptRow, (call.id, attempt))
    if following is None or mine is None or call.is_over or attempt != call.attempt - 1:
        return False
    if not following.is_presumed or following.job_id is not None or following.dispatched_at is not None:
        return False
    await session.delete(following)
    await session.flush()  # its number is free again
    mine.replaced_at = None
    call.attempt = attempt
    call.deaths = max(0, call.deaths - 1)
    call.updated_at = now()
    session.add(mine)
    session.add(call)
    _LOG.info("a call that was called lost goes on", extra={"call_id": call.id, "attempt": attempt})
    return True


def _next(session: AsyncSession, call: CallRow, replaced: CallAttemptRow | None) -> CallAttemptRow:
    if replaced is not None:
        replaced.replaced_at = now()
        session.add(replaced)
    call.attempt += 1
    call.updated_at = now()
    made = CallAttemptRow(call_id=call.id, attempt=call.attempt)
    session.add(made)
    session.add(call)
    return made


async def replaced(session: AsyncSession, call_ids: list[str]) -> dict[tuple[str, int], Replaced]:
    """Of attempts at these calls, those that others follow."""
    found = await session.exec(select(CallAttemptRow).where(col(CallAttemptRow.call_id).in_(call_ids)))
    rows = {(row.call_id, row.attempt): row for row in found.all()}
    told: dict[tuple[str, int], Replaced] = {}
    for (call_id, attempt), row in rows.items():
        if row.replaced_at is not None:
            next_ = rows.get((call_id, attempt + 1))
            taken_at = next_.briefed_at if next_ is not None else row.replaced_at
            followed_at = (next_.dispatched_at or taken_at) if next_ is not None else row.replaced_at
            told[call_id, attempt] = Replaced(row.replaced_at, followed_at, taken_at)
    return told


async def waiting(session: AsyncSession) -> list[tuple[str | None, datetime | None, CallAttemptRow]]:
    """The newest attempts of running calls that have no job, with whose they were and when the line ended."""
    found = await session.exec(
        select(CallRow.worker_id, CallRow.line_ended_at, CallAttemptRow)
        .join(CallAttemptRow, col(CallAttemptRow.call_id) == col(CallRow.id))
        .where(
            CallAttemptRow.attempt == CallRow.attempt,
            col(CallAttemptRow.job_id).is_(None),
            col(CallRow.status).in_(RUNNING),
        )
    )
    return list(found.all())


async def claim_dispatch(session: AsyncSession, call_id: str) -> tuple[CallRow, str | None, datetime] | None:
    """Note that the waiting attempt at a call is dispatched now; which job it replaces, and since when.

    None when nobody waits, or somebody else dispatched a moment ago.
    """
    found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
    call = found.one_or_none()
    if call is None or call.is_over:
        return None
    row = await session.get(CallAttemptRow, (call_id, call.attempt))
    if row is None or row.job_id is not None or not is_due(row.dispatched_at):
        return None
    row.dispatched_at = now()
    session.add(row)
    before = await session.get(CallAttemptRow, (call_id, call.attempt - 1))
    return call, before.job_id if before is not None else None, row.asked_at


def is_due(dispatched_at: datetime | None) -> bool:
    """Whether an attempt that waits may be dispatched (again)."""
    return dispatched_at is None or now() - dispatched_at > timedelta(seconds=AGAIN_SECONDS)
