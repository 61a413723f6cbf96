"""Rules of calls: whose they are, which are shown, when one may be ended."""

from collections.abc import Sequence

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.agents.schemas import AgentSettings
from api.calls import analysis, attempts, costs, counting, lifecycle, phoning, spending, tolls
from api.calls.costs import Prices
from api.calls.schemas import CallQuery, Known
from api.calls.settlement import events_of
from api.calls.table import RUNNING, CallActionRow, CallRow, CallUsageRow
from api.contacts import service as contacts
from api.http.callers import Caller
from api.http.errors import BadRequest, Conflict, NotFound
from pipelines.contract.events import CallEvent, CallStarted

_SPELLINGS = {
    "queued": ("pending", "ringing"),
    "active": ("ringing", "in_progress"),
    "ongoing": ("ringing", "in_progress"),
    "canceled": ("ended",),
}


class CallNotFound(NotFound):
    """Call not found"""


class NoRecording(NotFound):
    """This call has no recording"""


class CallNotOngoing(BadRequest):
    """This call is not ongoing"""


class CallOngoing(Conflict):
    """This call is still going on; end it first"""


class NoVcon(NotFound):
    """This call's agent does not allow vCon exports"""


class CallNotSettled(Conflict):
    """This call is not over yet, so there is nothing to analyse"""


async def list_calls(session: AsyncSession, caller: Caller, query: CallQuery) -> tuple[list[CallRow], int]:
    """A page of the caller's calls, newest first, and how many there are. Unused tokens are no calls."""
    asked: list[ColumnElement[bool]] = [
        col(CallRow.owner_id) == caller.owner_id,
        col(CallRow.briefed_at).is_not(None),
    ]
    if query.agent_id is not None:
        asked.append(col(CallRow.agent_id) == query.agent_id)
    statuses = None if query.status is None else _SPELLINGS.get(query.status, (query.status,))
    if statuses is not None:
        asked.append(col(CallRow.status).in_(statuses))
    if query.direction is not None:
        asked.append(col(CallRow.direction) == query.direction)
    if query.contact_id is not None:
        contact = await contacts.get(session, caller.owner_id, query.contact_id)
        number = contact.phone_number
        with_them = or_(col(CallRow.to_number) == number, col(CallRow.from_number) == number)
        asked.append(
            or_(col(CallRow.contact_id) == contact.id, and_(col(CallRow.contact_id).is_(None), with_them))
        )
    found = await session.exec(
        select(CallRow)
        .where(*asked)
        # The id decides between two of one moment, so that pages never overlap.
        .order_by(col(CallRow.created_at).desc(), col(CallRow.id).desc())
        .limit(query.limit)
        .offset(query.offset)
    )
    if query.contact_id is None:
        which = counting.Which(query.agent_id, statuses, query.direction)
        return list(found.all()), await counting.total(session, caller.owner_id, which)
    total = await session.exec(select(func.count()).select_from(CallRow).where(*asked))
    return list(found.all()), total.one()


async def get(session: AsyncSession, caller: Caller, call_id: str) -> CallRow:
    """A call of the caller."""
    found = await session.exec(
        select(CallRow).where(CallRow.id == call_id, CallRow.owner_id == caller.owner_id)
    )
    if (call := found.one_or_none()) is None:
        raise CallNotFound
    return call


async def get_told(session: AsyncSession, caller: Caller, call_id: str) -> tuple[CallRow, list[CallEvent]]:
    """A call of the caller and all that happened in it."""
    call = await get(session, caller, call_id)
    return call, await events_of(session, call_id)


async def known(session: AsyncSession, call: CallRow, events: Sequence[CallEvent], prices: Prices) -> Known:
    """What the call's settlement found out by now."""
    usage = await session.get(CallUsageRow, call.id)
    started = [event for event in events if isinstance(event, CallStarted)]
    cost = None
    if usage is not None and started:
        last = started[-1]
        cost = costs.split(usage, costs.Engines(last.stt, last.llm, last.tts), prices)
    return Known(await analysis.of_call(session, call.id), cost)


async def actions_of(session: AsyncSession, call: CallRow) -> list[CallActionRow]:
    """What became of the actions that were wanted after a call."""
    found = await session.exec(
        select(CallActionRow).where(CallActionRow.call_id == call.id).order_by(col(CallActionRow.number))
    )
    return list(found.all())


def recorded(call: CallRow) -> int:
    """How many bytes the call's recording has."""
    if call.recording_bytes is None:
        raise NoRecording
    return call.recording_bytes


async def of_room(session: AsyncSession, room_name: str) -> CallRow | None:
    """The call that a room was minted for, whoever it belongs to."""
    found = await session.exec(select(CallRow).where(CallRow.room_name == room_name))
    return found.one_or_none()


async def end(session: AsyncSession, caller: Caller, call_id: str) -> CallRow:
    """Conclude a running call and leave the order for its worker."""
    found = await session.exec(
        select(CallRow).where(CallRow.id == call_id, CallRow.owner_id == caller.owner_id).with_for_update()
    )
    if (call := found.one_or_none()) is None:
        raise CallNotFound
    status = "ended" if call.bridged_at is None else lifecycle.TRANSFERRED
    if not lifecycle.conclude(call, status, "agent_hangup"):
        raise CallNotOngoing
    call.hang_up_reason = "agent_hangup"
    session.add(call)
    return call


async def analyse_again(session: AsyncSession, caller: Caller, call_id: str) -> tuple[CallRow, int]:
    """Have a call that is over analysed anew; returns it and which time that is."""
    call = await get(session, caller, call_id)
    if call.settled_at is None:
        raise CallNotSettled
    return call, await analysis.again(session, call)


async def lose(
    session: AsyncSession, call_ids: list[str], reason: str, waited_seconds: float = 0.0
) -> tuple[list[str], list[CallRow]]:
    """The processes of these calls are gone, as it seems. Returns which wait for another now, and which
    are over: concluded as failed.
    """
    found = await session.exec(
        select(CallRow)
        .where(col(CallRow.id).in_(call_ids), col(CallRow.status).in_(RUNNING))
        .order_by(col(CallRow.id))
        .with_for_update()
    )
    waiting: list[str] = []
    over: list[CallRow] = []
    for call in found.all():
        if call.bridged_at is not None:
            # No agent would be missed; the exchange that relayed it is gone, or says more when it is back.
            lifecycle.conclude(call, lifecycle.TRANSFERRED, lifecycle.TRANSFERRED)
            session.add(call)
        elif await attempts.follow(
            session, call, call.attempt, is_presumed=True, waited_seconds=waited_seconds
        ):
            waiting.append(call.id)
        elif lifecycle.conclude(call, "failed", reason):
            over.append(call)
            session.add(call)
    return waiting, over


dial = phoning.dial
NoPhoneLine = phoning.NoPhoneLine
DestinationRefused = tolls.DestinationRefused
SpentToday = spending.SpentToday


async def delete(session: AsyncSession, caller: Caller, call_id: str) -> CallRow:
    """Forget a call that is over, with what was said and done in it."""
    found = await session.exec(
        select(CallRow).where(CallRow.id == call_id, CallRow.owner_id == caller.owner_id).with_for_update()
    )
    if (call := found.one_or_none()) is None:
        raise CallNotFound
    if not call.is_over or call.settled_at is None:
        raise CallOngoing  # until it is settled, something may still be told, billed or uploaded
    await counting.deleted(session, call)
    await session.delete(call)
    return call


async def agent_of(session: AsyncSession, call: CallRow) -> AgentSettings | None:
    """The agent of a call as it is now; None when it is gone."""
    try:
        return agents.settings_of(await agents.of_owner(session, call.owner_id, call.agent_id or ""))
    except agents.AgentNotFound:
        return None


async def counts(session: AsyncSession) -> tuple[int, int]:
    """How many calls there are that are not over, and how many that are over and not settled."""
    running = select(func.count()).select_from(CallRow).where(col(CallRow.status).in_(RUNNING))
    unsettled = (
        select(func.count())
        .select_from(CallRow)
        .where(col(CallRow.settled_at).is_(None), col(CallRow.ended_at).is_not(None))
    )
    return (await session.exec(running)).one(), (await session.exec(unsettled)).one()
