"""What is known of the phone line, and calls that somebody else's gateway takes."""

import secrets
from collections.abc import Mapping
from datetime import timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import CallRow
from api.db.columns import now
from api.http.callers import Caller
from api.http.errors import Conflict
from api.phone_numbers import routing
from api.phone_numbers import service as numbers
from api.phone_numbers.table import PhoneNumberRow
from api.sip.schemas import DispatchRule, SipDispatch, SipHealth, TrunkHealth
from api.sip_trunks import service as trunks
from api.sip_trunks.explaining import explained, unheard
from api.sip_trunks.table import SipTrunkRow
from api.voice.service import TOKEN_SECONDS

NOT_TOLD = "no exchange told of this trunk yet"


class DispatchOver(Conflict):
    """This call is over"""


def health(rows: list[SipTrunkRow], why_not: str, told: Mapping[str, str]) -> SipHealth:
    """How the phone line is, for the owner of these trunks."""
    found = [_trunk(row, told, is_up=not why_not) for row in rows]
    problems = [one.detail for one in found if one.registers and not one.registered]
    status = "unhealthy" if why_not else "degraded" if problems else "healthy"
    return SipHealth.model_validate(
        {
            "status": status,
            "exchange": "down" if why_not else "up",
            "trunks": found,
            "detail": why_not
            or (f"{len(problems)} of your trunks cannot be called over." if problems else ""),
        }
    )


async def in_use(session: AsyncSession, caller: Caller) -> list[SipTrunkRow]:
    """The caller's trunks that are in use."""
    return [row for row, _ in await trunks.of_caller(session, caller) if row.active]


async def rules(session: AsyncSession, caller: Caller, told: Mapping[str, str]) -> list[DispatchRule]:
    """Which of the caller's numbers reach which agent over which trunk."""
    found = await session.exec(
        select(PhoneNumberRow, SipTrunkRow)
        .join(SipTrunkRow, col(SipTrunkRow.id) == col(PhoneNumberRow.trunk_id))
        .where(
            PhoneNumberRow.owner_id == caller.owner_id,
            numbers.is_usable(),
            col(PhoneNumberRow.agent_id).is_not(None),
            col(SipTrunkRow.active),
            numbers.in_force(),
        )
        .order_by(col(PhoneNumberRow.number))
    )
    return [
        DispatchRule(
            number=number.number,
            agent_id=number.agent_id or "",
            trunk_id=trunk.id,
            registered=is_registered(trunk, told),
        )
        for number, trunk in found.all()
    ]


async def dispatch(session: AsyncSession, asked: SipDispatch) -> CallRow:
    """The row of a call that a gateway took. Raises `NobodyAnswers` where no agent has the number."""
    found = await session.exec(select(CallRow).where(CallRow.sip_call_id == asked.call_id).with_for_update())
    if (known := found.one_or_none()) is not None:
        if known.is_over or known.room_name is None:
            raise DispatchOver
        return known
    route = await routing.inbound(session, asked.to_number, asked.trunk_id)
    if route is None or route.agent_id is None:
        raise numbers.NobodyAnswers
    call = CallRow(
        owner_id=route.owner_id,
        agent_id=route.agent_id,
        call_type="sip_call",
        direction="inbound",
        from_number=asked.from_number or None,
        to_number=route.number,
        sip_call_id=asked.call_id,
        sip_trunk_id=route.trunk.id if route.trunk is not None else None,
        room_name=f"sip_{secrets.token_hex(10)}",
        participant_identity=f"caller_{secrets.token_hex(6)}",
        participant_name=asked.from_number,
        token_expires_at=now() + timedelta(seconds=TOKEN_SECONDS),
    )
    session.add(call)
    await session.flush()
    return call


def is_registered(row: SipTrunkRow, told: Mapping[str, str]) -> bool | None:
    """Whether a trunk is registered; None where it needs not be, or nobody told."""
    return not told[row.id] if row.registers and row.id in told else None


def _trunk(row: SipTrunkRow, told: Mapping[str, str], *, is_up: bool) -> TrunkHealth:
    if not is_up:
        detail = "There is no phone line."
    elif not row.registers:
        detail = f"Its calls come to our address; it needs no registration.{unheard(told.get(row.id, ''))}"
    else:
        why_not = told.get(row.id, NOT_TOLD)
        detail = f"Not usable: {explained(why_not)}." if why_not else "It is registered."
    return TrunkHealth(
        trunk_id=row.id,
        name=row.name,
        registers=row.registers,
        registered=is_registered(row, told) if is_up else None,
        detail=detail,
    )
