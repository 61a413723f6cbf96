"""A call that tries out a trunk: by the rules of any other, and only to say a sentence."""

import asyncio
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.calls import phoning
from api.calls.settlement import events_of
from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import Database
from api.http.callers import Caller
from api.http.errors import Conflict, NotFound
from api.outside.phones import Phones
from api.phone_numbers import routing
from api.sip_trunks import registrations
from api.sip_trunks import service as trunks
from api.sip_trunks.explaining import explained
from api.sip_trunks.table import SipTrunkRow
from api.trunk_tests.explaining import Heard, Trunk, explain
from api.trunk_tests.schemas import TrunkCall, TrunkCallCreate
from pipelines.contract.brief import Reception

LONGEST_SECONDS = 60
"""From the answer; a sentence and a key take fifteen."""
LAST_WORD_SECONDS = 10.0
LOOK_SECONDS = 0.25


class TrunkAtRest(Conflict):
    """The trunk is not active: PATCH it with "active": true"""


class NoSuchTest(NotFound):
    """Test call not found, or its trunk is gone"""


async def trunk_of(session: AsyncSession, caller: Caller, trunk_id: str) -> SipTrunkRow:
    """A trunk of the caller's, or the house's that one of the caller's numbers is bound to."""
    row = await session.get(SipTrunkRow, trunk_id)
    if row is None or row.owner_id is not None:
        return await trunks.get(session, caller.owner_id, trunk_id)
    if await routing.on_trunk(session, caller.owner_id, trunk_id) is None:
        raise trunks.TrunkNotFound
    return row


async def check(session: AsyncSession, caller: Caller, trunk_id: str, wanted: TrunkCallCreate) -> SipTrunkRow:
    """Whether it may be made, before anybody waits for anything; what refuses any call refuses this one."""
    trunk = await trunk_of(session, caller, trunk_id)
    if not trunk.active:
        raise TrunkAtRest
    if wanted.agent_id is not None:
        await agents.get(session, caller, wanted.agent_id)
    await _shown(session, caller, trunk, wanted)
    await phoning.may_dial(session, caller.owner_id, wanted.to_number)
    return trunk


async def write(
    session: AsyncSession, caller: Caller, trunk_id: str, wanted: TrunkCallCreate, call_id: str
) -> CallRow:
    """The call's row, once: with the same id it is the same call."""
    if (known := await session.get(CallRow, call_id)) is not None and known.owner_id == caller.owner_id:
        return known
    trunk = await check(session, caller, trunk_id, wanted)
    call = CallRow(
        id=call_id,
        owner_id=caller.owner_id,
        agent_id=wanted.agent_id,
        call_type="phone_call",
        direction="outbound",
        from_number=await _shown(session, caller, trunk, wanted),
        to_number=wanted.to_number,
        sip_trunk_id=trunk.id,
        reception=Reception(say=wanted.say or "", is_all=True).model_dump(mode="json"),
        ring_seconds=wanted.ring_timeout_seconds,
        max_duration_seconds=LONGEST_SECONDS,
        is_recorded=False,
        briefed_at=now(),
    )
    session.add(call)
    await session.flush()
    return call


async def get(session: AsyncSession, caller: Caller, call_id: str) -> tuple[CallRow, SipTrunkRow]:
    """A test call, and the trunk that it went over."""
    found = await session.exec(
        select(CallRow, SipTrunkRow)
        .join(SipTrunkRow, col(SipTrunkRow.id) == col(CallRow.sip_trunk_id))
        .where(
            CallRow.id == call_id,
            CallRow.owner_id == caller.owner_id,
            CallRow.direction == "outbound",
        )
    )
    one = found.one_or_none()
    if one is None or not (one[0].reception or {}).get("is_all"):
        raise NoSuchTest
    return one


async def until_over(database: Database, call: CallRow) -> None:
    """Return once all is known of it, or when it should be."""
    longest = (call.ring_seconds or 0) + LONGEST_SECONDS + LAST_WORD_SECONDS
    ended_at: float | None = None
    loop = asyncio.get_running_loop()
    until = loop.time() + longest
    while loop.time() < until:
        await asyncio.sleep(LOOK_SECONDS)
        async with database.transaction(writes=False) as session:
            seen = await session.get(CallRow, call.id)
            if seen is None or (seen.is_over and not seen.is_presumed):
                return
            ended_at = ended_at or (loop.time() if seen.is_over else None)
        if ended_at is not None and loop.time() > ended_at + LAST_WORD_SECONDS:
            return


async def told(session: AsyncSession, phones: Phones, call: CallRow, trunk: SipTrunkRow) -> TrunkCall:
    """All that is known by now."""
    why_not = (await phones.trunks()).get(trunk.id, registrations.UNTOLD) if trunk.registers else ""
    heard = Heard.of(await events_of(session, call.id))
    dialled = phoning.spelled(call.to_number or "", trunk)
    shown = call.from_number or ""
    seen = Trunk(trunk.sip_server, trunk.sip_transport, dialled, shown, trunk.registers, why_not)
    what = explain(call, heard, seen)
    return TrunkCall(
        call_id=call.id,
        trunk_id=trunk.id,
        is_over=call.is_over,
        success=what.success,
        summary=what.summary,
        advice=list(what.advice),
        to_number=call.to_number or "",
        from_number=call.from_number,
        call_status=call.status,
        registration=("not_registered" if why_not else "registered") if trunk.registers else "not_needed",
        registration_detail=explained(why_not),
        sip_code=200 if call.answered_at is not None else call.sip_code,
        sip_reason=call.sip_reason or None,
        seconds_to_ring=_since_dialled(call, call.rang_at),
        seconds_to_answer=_since_dialled(call, call.answered_at),
        codec=heard.quality.codec if heard.quality is not None else None,
        was_said=heard.was_said,
        key_pressed=heard.key,
        media=heard.quality,
    )


def _since_dialled(call: CallRow, at: datetime | None) -> float | None:
    if at is None or call.dialled_at is None:
        return None
    return round(max(0.0, (at - call.dialled_at).total_seconds()), 2)


async def _shown(
    session: AsyncSession, caller: Caller, trunk: SipTrunkRow, wanted: TrunkCallCreate
) -> str | None:
    """The caller id: by the same rule as for any call, but that the number may be left out."""
    if wanted.from_number is not None:
        route = await routing.outbound(session, caller.owner_id, "", wanted.from_number)
        return trunk.outbound_caller_id or route.number
    return trunk.outbound_caller_id or await routing.on_trunk(session, caller.owner_id, trunk.id)
