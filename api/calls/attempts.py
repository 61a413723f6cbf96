"""Attempts at a call: which job holds it, who follows a process that died, and when nobody does any more.

    attempt 1  ──briefed──► talks ──its process dies──┐ replaced
    attempt 2                                         └─ waits ──dispatched──► briefed ──► talks

The row of a call is locked by whoever asks here, so that a call has one newest attempt.
"""

from datetime import datetime, timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import RUNNING, CallAttemptRow, CallRow
from api.db.columns import now
from api.http.errors import Gone

MOST_DEATHS = 3
"""A call that kills every process it gets must not take all of them along: at the last of these it ends."""
WAIT_SECONDS = 30.0
"""How long a caller is left in silence at most before the call is given up."""
MOST_BESIDE = 50
"""Processes that hear one call after it was put through."""
AGAIN_SECONDS = 4.0
"""A dispatch that nobody answered by then is repeated."""


class CallTaken(Gone):
    """Another process has this call"""


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


async def follow(session: AsyncSession, call: CallRow, lost_attempt: int, *, is_death: bool = True) -> bool:
    """Let another attempt follow one whose process is gone.

    False when none may: the call is over, there is no room to meet in, somebody ordered the end, or too
    many died. Nothing happens when one follows already.
    """
    if lost_attempt < call.attempt:
        return True
    call.deaths += is_death
    session.add(call)
    has_line = call.room_name or call.is_phone
    may_go_on = has_line and call.hang_up_reason is None and call.deaths < MOST_DEATHS
    if call.is_over or not may_go_on:
        return False
    _next(session, call, await session.get(CallAttemptRow, (call.id, call.attempt)))
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


async def replaced_at(session: AsyncSession, call_ids: list[str]) -> dict[tuple[str, int], datetime]:
    """When attempts at these calls were replaced, those that were."""
    found = await session.exec(
        select(CallAttemptRow.call_id, CallAttemptRow.attempt, CallAttemptRow.replaced_at).where(
            col(CallAttemptRow.call_id).in_(call_ids), col(CallAttemptRow.replaced_at).is_not(None)
        )
    )
    return {(call_id, attempt): at for call_id, attempt, at in found.all() if at is not None}


async def waiting(session: AsyncSession) -> list[tuple[datetime | None, CallAttemptRow]]:
    """The newest attempts of running calls that have no job, and when the lines ended that did."""
    found = await session.exec(
        select(CallRow.line_ended_at, CallAttemptRow)
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
