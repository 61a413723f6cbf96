"""Where calls go: whose number was called and who answers, and which number a call goes out from."""

from dataclasses import dataclass, field
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.http.errors import BadRequest
from api.phone_numbers import service as numbers
from api.phone_numbers.answering import Answering
from api.phone_numbers.schemas import DEMO
from api.phone_numbers.table import PhoneNumberRow
from api.sip_trunks.table import SipTrunkRow

LEAST_DIGITS, MOST_ALIKE = 6, 50
"""Of a number that a carrier tells without its country code; what is shorter is an extension."""


class NoNumber(BadRequest):
    """This agent has no number to call from: bind one to it, or name one in from_number"""


class NotYourNumber(BadRequest):
    """from_number is not an active number of yours"""


@dataclass(frozen=True)
class Route:
    """What the exchange asks for: whose a number is, who answers, and the trunk it belongs to."""

    number: str
    owner_id: str
    agent_id: str | None
    trunk: SipTrunkRow | None
    answering: Answering = field(default_factory=Answering)


async def inbound(session: AsyncSession, number: str, trunk_id: str | None = None) -> Route | None:
    """Where a call to a number goes; None where nobody here has it, or it is not for this trunk.

    A number that is bound to a trunk takes calls from that trunk only.
    """
    found = await session.exec(
        _routed().where(
            col(PhoneNumberRow.number) == numbers.spelled(number), numbers.is_usable(), numbers.in_force()
        )
    )
    row = found.one_or_none() or await _as_its_trunk_spells_it(session, number, trunk_id)
    if row is None:
        return None
    known, trunk = row
    if known.trunk_id is not None and trunk_id is not None and known.trunk_id != trunk_id:
        return None
    return Route(
        known.number, known.owner_id, known.agent_id, trunk, Answering.model_validate(known.answering or {})
    )


async def _as_its_trunk_spells_it(
    session: AsyncSession, number: str, trunk_id: str | None
) -> tuple[PhoneNumberRow, SipTrunkRow | None] | None:
    """A number of this trunk that its carrier tells without a country code, as it is dialled at home."""
    digits = number.lstrip("0")
    if trunk_id is None or not digits.isdecimal() or len(digits) < LEAST_DIGITS:
        return None
    found = await session.exec(
        _routed()
        .where(
            PhoneNumberRow.trunk_id == trunk_id,
            col(PhoneNumberRow.number).endswith(digits[-LEAST_DIGITS:]),
            numbers.is_usable(),
            numbers.in_force(),
        )
        .limit(MOST_ALIKE)
    )
    alike = (
        row
        for row in found.all()
        if telephone.normal(number, telephone.country(row[0].number)) == row[0].number
    )
    return next(alike, None)


async def outbound(
    session: AsyncSession, owner_id: str, agent_id: str, from_number: str | None = None
) -> Route:
    """The number that an agent's call goes out from: the one asked for, else the agent's oldest.

    Raises `NotYourNumber` and `NoNumber`.
    """
    asked = _routed().where(
        col(PhoneNumberRow.owner_id) == owner_id,
        numbers.is_usable(),
        col(PhoneNumberRow.provider) != DEMO,  # it is lent to be called
    )
    if from_number is not None:
        asked = asked.where(col(PhoneNumberRow.number) == numbers.spelled(from_number))
    else:
        asked = asked.where(col(PhoneNumberRow.agent_id) == agent_id)
    found = await session.exec(
        asked.order_by(col(PhoneNumberRow.created_at), col(PhoneNumberRow.number)).limit(1)
    )
    if (row := found.one_or_none()) is None:
        raise NotYourNumber if from_number is not None else NoNumber
    known, trunk = row
    return Route(known.number, known.owner_id, known.agent_id, trunk)


async def on_trunk(session: AsyncSession, owner_id: str, trunk_id: str) -> str | None:
    """The oldest number of an owner's that works and is bound to a trunk."""
    found = await session.exec(
        select(PhoneNumberRow.number)
        .where(
            PhoneNumberRow.owner_id == owner_id,
            PhoneNumberRow.trunk_id == trunk_id,
            numbers.is_usable(),
            col(PhoneNumberRow.provider) != DEMO,
        )
        .order_by(col(PhoneNumberRow.created_at), col(PhoneNumberRow.number))
        .limit(1)
    )
    return found.one_or_none()


def _routed() -> Any:
    return select(PhoneNumberRow, SipTrunkRow).join(
        SipTrunkRow, col(SipTrunkRow.id) == col(PhoneNumberRow.trunk_id), isouter=True
    )
