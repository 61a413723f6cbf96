"""Calls on telephones: placed and taken by an exchange, which tells how they go.

outbound   row (pending) ──Dial──► exchange ──ringing──► answered: a brief is asked for, as in any call
                └─ `placing`               └─ ended: busy · no_answer · failed, with SIP's code and reason
inbound    `ringing`
"""

import re
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.calls import bridged, forwarding, lifecycle, outbox, queueing, spending, tolls, workflows
from api.calls.outcomes import UNSURE
from api.calls.schemas import OutboundCall
from api.calls.table import CallRow
from api.contacts import service as contacts
from api.db.columns import new_id, now
from api.db.engine import after_commit
from api.durable import engine
from api.http.callers import Caller
from api.http.errors import BadRequest, NotFound, Unavailable
from api.outside.phones import NO_LINE
from api.phone_numbers import routing
from api.phone_numbers import service as numbers
from api.sip_trunks.table import SipTrunkRow
from pipelines.contract.phones import PhoneOnward, PhoneTold, PlacesTold

RING_SECONDS = 60
LEAST_RING_SECONDS, MOST_RING_SECONDS = 5, 180
BLOCKS_FOR = timedelta(days=1)
"""An agent whose function held up a process has one for each call so long."""
_BUSY = (486, 600)
_CANCELLED = 487
_NOBODY = (408, 480, 487)


class NoPhoneLine(Unavailable):
    """no phone line: whoever runs this server builds one with `make phones`, and `call2me doctor` says what
    is missing"""

    def __init__(self, why_not: str = "") -> None:
        known = why_not if why_not != NO_LINE else ""
        super().__init__(f"{known}; `call2me doctor` says what is missing" if known else "")


class NoTrunk(BadRequest):
    """The number to call from is bound to no active SIP trunk"""


class PhoneCallGone(NotFound):
    """This phone call is gone"""


async def dial(
    session: AsyncSession,
    caller: Caller,
    wanted: OutboundCall,
    *,
    call_id: str | None = None,
    longest_seconds: int | None = None,
) -> CallRow:
    """Write the row of a call that an agent shall make.

    It is dialled once that is committed, by `placing.place` at once or by whoever watches within a second.
    Without a phone line nothing is written.
    """
    await agents.get(session, caller, wanted.agent_id)
    await may_dial(session, caller.owner_id, wanted.to_number)
    route = await routing.outbound(session, caller.owner_id, wanted.agent_id, wanted.from_number)
    if route.trunk is None or not route.trunk.active:
        raise NoTrunk
    variables = dict(wanted.dynamic_variables or {})
    if wanted.topic:
        variables["call_purpose"] = wanted.topic
    call = CallRow(
        id=call_id or new_id("call", 16),
        owner_id=caller.owner_id,
        agent_id=wanted.agent_id,
        call_type="phone_call",
        direction="outbound",
        max_duration_seconds=longest_seconds,
        from_number=route.trunk.outbound_caller_id or route.number,
        to_number=wanted.to_number,
        sip_trunk_id=route.trunk.id,
        variables=variables,
        extra=wanted.metadata,
        retry=_retry(wanted),
        ring_seconds=wanted.ring_timeout_seconds,
        headers=wanted.headers,
        # It is a call from now on, whether or not somebody answers.
        briefed_at=now(),
    )
    session.add(call)
    await session.flush()
    return call


async def may_dial(session: AsyncSession, owner_id: str, number: str) -> None:
    """The rules that hold for each call out. Raises `MustNotCall`, `DestinationRefused`, `SpentToday`
    and `NoPhoneLine`.
    """
    rules = engine.reach().tolls
    await contacts.refuse_barred(session, owner_id, number)
    tolls.check(rules, number)
    await spending.check(session, rules, owner_id)
    if why_not := await engine.reach().phones.phones_why_not():
        raise NoPhoneLine(why_not)


def _retry(wanted: OutboundCall) -> dict[str, Any] | None:
    """What a later try needs to know besides the call's own row."""
    if wanted.retry is None:
        return None
    return {**wanted.retry.model_dump(mode="json"), "from_number": wanted.from_number}


def spelled(number: str, trunk: SipTrunkRow | None) -> str:
    """A number as this carrier wants it dialled."""
    return number if trunk is None else re.sub(r"^\+", trunk.dial_prefix, number)


async def apart(session: AsyncSession, call: CallRow) -> str:
    """Whose calls may share a process with this one: those of its agent, where that has functions of a
    developer's own; none, where one of these lately held up its process. Empty: anybody's.
    """
    try:
        agent = await agents.of_owner(session, call.owner_id, call.agent_id or "")
    except agents.AgentNotFound:
        return ""
    functions = getattr(agents.settings_of(agent).response_engine, "functions", None) or ()
    if not any(one.get("type") == "python" for one in functions):
        return ""
    has_blocked = agent.blocked_at is not None and now() - agent.blocked_at < BLOCKS_FOR
    return call.id if has_blocked else agent.id


async def onward(session: AsyncSession, call_id: str, asked: str) -> PhoneOnward:
    """Whom a running call may be handed to, and from which number. Raises `DestinationRefused`."""
    found = await session.exec(select(CallRow).where(CallRow.id == call_id))
    call = found.one_or_none()
    if call is None or call.call_type != "phone_call" or call.is_over:
        raise PhoneCallGone
    rules = engine.reach().tolls
    ours = (call.to_number if call.direction == "inbound" else call.from_number) or ""
    number = tolls.destination(rules, asked, numbers.LOCAL_REGION, ours)
    try:
        await spending.check(session, rules, call.owner_id)
    except spending.SpentToday as error:
        raise tolls.DestinationRefused(str(error)) from None
    trunk = await session.get(SipTrunkRow, call.sip_trunk_id)
    server = "" if trunk is None else trunk.sip_server
    return PhoneOnward(to_number=spelled(number, trunk), from_number=ours, server=server)


async def told(session: AsyncSession, call_id: str, news: PhoneTold) -> None:
    """Take an exchange's word of how a call goes. The same word again changes nothing."""
    found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
    call = found.one_or_none()
    if call is None or call.call_type != "phone_call":
        raise PhoneCallGone
    call.worker_id = call.worker_id or news.worker_id
    call.updated_at = now()
    if news.state == "ringing" and call.status == "pending":
        call.status, call.rang_at = "ringing", _when(news)
    elif news.state == "queued":
        if queueing.moved(call, news.place, _when(news)) and not call.is_over:
            await outbox.queued(session, call, news.place)
    elif news.state == "answered":
        call.answered_at = call.answered_at or _when(news)
        if call.forwarded_to is not None:
            await forwarding.put_through(session, call, _when(news))
    elif news.state == "steered":
        await bridged.note(session, call, news)
    elif news.state == "ended":
        if call.line_ended_at is None:  # else a restarted exchange knows less of it than the one before
            call.sip_code, call.sip_reason = news.sip_code or None, news.sip_reason or None
        call.line_ended_at = call.line_ended_at or _when(news)
        if call.bridged_at is not None:
            # The agent has left long ago: this is the end of what its owner is charged for.
            reason = call.hang_up_reason or lifecycle.TRANSFERRED
            await over(session, call_id, lifecycle.TRANSFERRED, reason, call.line_ended_at)
        elif not call.attempt:
            # Nobody answered, so no agent will ever tell of an end.
            if call.forwarded_to is not None and not call.is_over:
                await forwarding.failed(session, call, news.sip_reason, _when(news))
            await over(session, call_id, _status(call, news), _reason(call, news), call.line_ended_at)
    session.add(call)


async def told_places(session: AsyncSession, news: PlacesTold) -> None:
    """Many callers stand somewhere else in the queue. The same words again change nothing."""
    moved = col(CallRow.id).in_([one.call_id for one in news.places])
    # In the order that everybody locks several calls in; theirs in the queue is another.
    await session.exec(select(CallRow.id).where(moved).order_by(col(CallRow.id)).with_for_update())
    for one in news.places:
        told_one = PhoneTold(worker_id=news.worker_id, state="queued", place=one.place, at=one.at)
        with suppress(PhoneCallGone):
            await told(session, one.call_id, told_one)


def has_rung(call: CallRow) -> bool:
    """Whether a carrier said so. Of what is asked of livekit-sip, in a room, only we presume it."""
    return call.status != "pending" and call.room_name is None


def _when(news: PhoneTold) -> datetime:
    """By the exchange's clock, which may be ahead of ours."""
    return min(news.at or now(), now())


async def over(
    session: AsyncSession, call_id: str, status: str, reason: str, at: datetime | None = None
) -> None:
    """End a call that no agent talks in, or talks in any more."""
    found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
    call = found.one_or_none()
    if call is None or not lifecycle.end(call, status, reason, at or now()):
        return
    session.add(call)
    await outbox.happened(session, call, (), has_ended=True)

    async def settle() -> None:
        await workflows.start_settlement(call_id)

    after_commit(session, settle)


def _status(call: CallRow, news: PhoneTold) -> str:
    if call.direction == "inbound" and (call.forwarded_to is None or news.sip_code == _CANCELLED):
        return "ended" if news.sip_code in _NOBODY else "failed"  # whoever called gave up
    if news.sip_code in _BUSY:
        return "busy"
    return "no_answer" if news.sip_code in _NOBODY else "failed"


def _reason(call: CallRow, news: PhoneTold) -> str:
    if news.is_unsure and not has_rung(call):
        return f"{UNSURE}: {news.sip_reason}"
    if news.sip_code == 200:
        return "error: somebody answered, and no agent was there in time"
    code = f"sip_{news.sip_code}" if news.sip_code else "error"
    return f"{code}: {news.sip_reason}" if news.sip_reason else code
