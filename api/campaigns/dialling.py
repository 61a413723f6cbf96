"""One look at a campaign: what ended is written down, who is due is called, all in one transaction.

Its row is locked and its beat raised in the same commit as the calls' own rows. So a process that dies has
either called and written all of it, or nothing; and nobody is called twice, however often a look is made.
"""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import service as calls
from api.calls.outcomes import ANSWERED, REACHED, UNDIALLED, outcome_of
from api.calls.schemas import OutboundCall
from api.calls.table import RUNNING as GOING_ON
from api.calls.table import CallRow
from api.campaigns.judging import judge, look_up
from api.campaigns.table import (
    CALLING,
    CANCELLED,
    COMPLETED,
    DONE,
    FAILED,
    PAUSED,
    PENDING,
    RUNNING,
    SKIPPED,
    CampaignContactRow,
    CampaignRow,
)
from api.contacts.service import MustNotCall
from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import ApiError, Unavailable
from api.webhooks import service as webhooks

_LOG = logging.getLogger(__name__)

EXAMINED = 200
"""People looked at at once: more are due only where nobody of them could be called."""
WATCH_SECONDS = 2.0
"""Between looks while calls are going on."""
NO_LINE_SECONDS = 30.0
COLLAPSE_AFTER = 20
"""So many calls in a row that reach nobody pause a campaign."""
MOST_UNDIALLED = 5
"""Calls to one person that never left this house: then it is called a failure."""
_LONGEST_SECONDS = 60.0


@dataclass(frozen=True)
class Next:
    """The look that follows."""

    beat: int
    delay_seconds: float


async def look(session: AsyncSession, campaign_id: str, beat: int) -> Next | None:
    """Make the look with this number; returns the next, None where there is nothing to look at any more."""
    row = await session.get(CampaignRow, campaign_id, with_for_update=True)
    if row is None or row.beat_at is None:
        return None
    if row.beat != beat:
        # Made before this process; whether the next was queued is not known, and asking twice is harmless.
        return Next(row.beat, _seconds_to(row.beat_at)) if row.beat > beat else None
    at = now()
    calling = await _note_ended(session, row, at)
    delay: float | None = WATCH_SECONDS if calling else None
    if row.status == RUNNING and await _has_collapsed(session, row):
        row.status, row.problem = PAUSED, f"Nobody was reached by the last {COLLAPSE_AFTER} calls"
        _LOG.warning("a campaign reaches nobody and was paused", extra={"campaign_id": row.id})
    elif row.status == RUNNING:
        delay = await _call(session, row, calling, at)
    row.beat += 1
    row.beat_at = None if delay is None else at + timedelta(seconds=delay)
    session.add(row)
    return None if delay is None else Next(row.beat, delay)


async def _has_collapsed(session: AsyncSession, row: CampaignRow) -> bool:
    """Whether the newest calls that ended reached nobody: something is wrong with the line or the list."""
    found = await session.exec(
        select(CampaignContactRow.outcome)
        .where(
            CampaignContactRow.campaign_id == row.id,
            col(CampaignContactRow.dialled_at) >= (row.running_since or row.created_at),
            col(CampaignContactRow.outcome).is_not(None),
        )
        .order_by(col(CampaignContactRow.dialled_at).desc())
        .limit(COLLAPSE_AFTER)
    )
    newest = found.all()
    return len(newest) == COLLAPSE_AFTER and not ANSWERED.intersection(newest)


async def _note_ended(session: AsyncSession, row: CampaignRow, at: datetime) -> int:
    """Write down how calls ended; returns how many go on."""
    found = await session.exec(
        select(CampaignContactRow, CallRow)
        .join(CallRow, col(CallRow.id) == col(CampaignContactRow.call_id), isouter=True)
        .where(CampaignContactRow.campaign_id == row.id, CampaignContactRow.status == CALLING)
    )
    going_on = 0
    for person, call in found.all():
        if call is not None and call.status in GOING_ON:
            going_on += 1
            continue
        person.outcome = outcome_of(call)
        person.ended_at = at if call is None or call.ended_at is None else call.ended_at
        _conclude(row, person, call, at)
        session.add(person)
    return going_on


def _conclude(row: CampaignRow, person: CampaignContactRow, call: CallRow | None, at: datetime) -> None:
    """Whether that was it, or they are called again."""
    again_at = None
    if person.outcome == UNDIALLED and person.undialled < MOST_UNDIALLED:
        # Nothing rang anywhere, so it was no attempt.
        person.undialled += 1
        person.attempts -= 1
        again_at = at + timedelta(seconds=NO_LINE_SECONDS)
    elif person.outcome in row.retry_on and person.attempts <= row.retry_count:
        again_at = at + timedelta(minutes=row.retry_delay_minutes)
    if person.outcome in REACHED:
        person.status, person.reason = DONE, None
    elif again_at is None:
        person.status, person.reason = FAILED, None if call is None else call.disconnection_reason
    elif row.status == CANCELLED:
        person.status, person.reason = SKIPPED, "cancelled"
    else:
        person.status, person.reason, person.due_at = PENDING, "called again later", again_at


async def _call(session: AsyncSession, row: CampaignRow, calling: int, at: datetime) -> float | None:
    """Call who is due, as far as the pace allows; returns the seconds to the next look."""
    room = min(row.max_concurrent - calling, await _pace(session, row, at))
    placed, held = 0, False
    due = await _due(session, row, at) if room > 0 else []
    known = await look_up(session, row, [person.phone_number for person in due], at)
    for person in due:
        verdict = judge(row, person, known, at)
        if verdict.skip:
            person.status, person.reason = SKIPPED, verdict.skip
        elif verdict.not_before is not None:
            person.due_at, person.reason = verdict.not_before, verdict.waits
        elif placed < room:
            if held := not await _place(session, row, person, at):
                break
            placed += person.status == CALLING
        else:
            break
        session.add(person)
    await session.flush()
    if row.status == PAUSED:
        return WATCH_SECONDS if calling + placed else None
    if held:
        return NO_LINE_SECONDS
    if len(due) == EXAMINED and not placed:
        return 0.0  # nobody of them may be called now; the next ones are looked at at once
    return await _until_next(session, row, calling + placed, at)


async def _place(session: AsyncSession, row: CampaignRow, person: CampaignContactRow, at: datetime) -> bool:
    """Place one call as POST /v1/calls would; False where none can be placed now, whoever it is for."""
    caller = Caller(owner_id=row.owner_id, user_id=row.owner_id, kind="user")
    try:
        wanted = OutboundCall(
            agent_id=row.agent_id,
            to_number=person.phone_number,
            from_number=row.from_number,
            dynamic_variables=variables_of(row, person),
            metadata={"campaign_id": row.id, "attempt": person.attempts + 1},
        )
        async with session.begin_nested():  # what a refused call wrote goes, what was decided stays
            call = await calls.dial(session, caller, wanted)
    except MustNotCall:
        person.status, person.reason = SKIPPED, "do_not_call"
    except calls.DestinationRefused:
        person.status, person.reason = SKIPPED, "destination_refused"
    except (Unavailable, calls.SpentToday) as error:
        row.problem = str(error)[:500]
        return False
    except ApiError as error:
        # Nobody else could be called either: no number, no agent, no balance.
        row.status, row.problem = PAUSED, str(error)[:500]
        _LOG.warning("a campaign was paused", extra={"campaign_id": row.id})
        return False
    else:
        person.status, person.reason, person.outcome = CALLING, None, None
        person.attempts += 1
        person.call_id, person.dialled_at, person.ended_at = call.id, at, None
        row.problem = None
    return True


def variables_of(row: CampaignRow, person: CampaignContactRow) -> dict[str, str]:
    """What the agent knows of this person: the columns of the file, some under other names."""
    known = {name: value for name, value in (("contact_name", person.name), ("name", person.name)) if value}
    known |= person.variables
    return known | {
        wanted: known[column] for column, wanted in row.variable_mapping.items() if column in known and wanted
    }


async def _due(session: AsyncSession, row: CampaignRow, at: datetime) -> list[CampaignContactRow]:
    found = await session.exec(
        select(CampaignContactRow)
        .where(
            CampaignContactRow.campaign_id == row.id,
            CampaignContactRow.status == PENDING,
            col(CampaignContactRow.due_at) <= at,
        )
        .order_by(col(CampaignContactRow.due_at), col(CampaignContactRow.position))
        .limit(EXAMINED)
    )
    return list(found.all())


async def _pace(session: AsyncSession, row: CampaignRow, at: datetime) -> int:
    """How many may be called now: one, when the last was long enough ago, so that a minute's are spread."""
    gap = timedelta(seconds=60 / row.calls_per_minute - 0.05)
    found = await session.exec(
        select(func.max(CampaignContactRow.dialled_at)).where(CampaignContactRow.campaign_id == row.id)
    )
    last = found.one()
    return 1 if last is None or at - last >= gap else 0


async def _until_next(session: AsyncSession, row: CampaignRow, calling: int, at: datetime) -> float | None:
    """The seconds to the next look; None, and the campaign is completed, where nobody is left."""
    found = await session.exec(
        select(func.min(CampaignContactRow.due_at)).where(
            CampaignContactRow.campaign_id == row.id, CampaignContactRow.status == PENDING
        )
    )
    soonest = found.one()
    if soonest is None and calling == 0:
        await _complete(session, row, at)
        return None
    watch = WATCH_SECONDS if calling else _LONGEST_SECONDS
    if soonest is None:
        return watch
    return min(watch, max(60.0 / row.calls_per_minute, (soonest - at).total_seconds()))


async def _complete(session: AsyncSession, row: CampaignRow, at: datetime) -> None:
    row.status, row.completed_at, row.updated_at, row.problem = COMPLETED, at, at, None
    found = await session.exec(
        select(CampaignContactRow.status, func.count())
        .where(CampaignContactRow.campaign_id == row.id)
        .group_by(col(CampaignContactRow.status))
    )
    data = {
        "campaign_id": row.id,
        "name": row.name,
        "status": row.status,
        "contacts": {status: int(count) for status, count in found.all()},
        "started_at": row.started_at.isoformat() if row.started_at else None,
        "completed_at": at.isoformat(),
    }
    await webhooks.emit(
        session, row.owner_id, "campaign.completed", f"campaign:{row.id}", data, agent_id=row.agent_id
    )
    _LOG.info("campaign completed", extra={"campaign_id": row.id})


def _seconds_to(at: datetime) -> float:
    return max(0.0, (at - now()).total_seconds())
