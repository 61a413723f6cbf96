"""Demo numbers: lent for a quarter of an hour, once to each account, to be called.

A number that is lent is a phone number of its borrower like any other, but one with an end. Its row is
also its lock: the number is the key, so two who ask at once do not both get it.
"""

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.agents import service as agents
from api.db.columns import now
from api.db.inserts import insert_new
from api.durable import engine
from api.http.callers import Caller
from api.http.errors import Conflict, Unavailable
from api.phone_numbers import service
from api.phone_numbers.schemas import DEMO, DemoEligibility, DemoPool
from api.phone_numbers.table import DemoReservationRow, PhoneNumberRow
from api.wallet import rents

MINUTES = 15
DISPLAY_NAME = "Demo"

Lent = tuple[DemoReservationRow, PhoneNumberRow]


class NoDemoNumbers(Unavailable):
    """This installation lends no demo numbers"""


class AllLent(Unavailable):
    """Every demo number is lent now; try again in a few minutes"""


class DemoUsed(Conflict):
    """This account had its demo number already"""


async def eligibility(session: AsyncSession, caller: Caller, numbers: Sequence[str]) -> DemoEligibility:
    """Whether `reserve` would lend one, and why not."""
    used = await session.get(DemoReservationRow, caller.owner_id)
    lent = await current(session, caller)
    reason = None
    if not numbers:
        reason = "no_demo_numbers"
    elif used is not None:
        reason = "already_used"
    elif (await pool(session, numbers)).available == 0:
        reason = "all_reserved"
    return DemoEligibility(
        eligible=reason is None,
        reason=reason,
        has_paid_topup=await rents.has_paid(session, caller.owner_id),
        has_used_demo=used is not None,
        active_reservation_id=lent[0].id if lent else None,
    )


async def pool(session: AsyncSession, numbers: Sequence[str]) -> DemoPool:
    """How many there are, and how many are lent."""
    found = await session.exec(
        select(PhoneNumberRow.number).where(col(PhoneNumberRow.number).in_(numbers), service.in_force())
    )
    reserved = len(found.all())
    countries = sorted({code for number in numbers if (code := telephone.country(number))})
    return DemoPool(
        total=len(numbers), available=len(numbers) - reserved, reserved=reserved, countries=countries
    )


async def reserve(
    session: AsyncSession, caller: Caller, numbers: Sequence[str], agent_id: str | None
) -> Lent:
    """Lend a number that is free."""
    if not numbers:
        raise NoDemoNumbers
    if agent_id is not None:
        await agents.get(session, caller, agent_id)
    if await session.get(DemoReservationRow, caller.owner_id) is not None:
        raise DemoUsed
    await _take_back(session)
    until = now() + timedelta(minutes=MINUTES)
    for number in numbers:
        row = PhoneNumberRow(
            number=number,
            owner_id=caller.owner_id,
            agent_id=agent_id,
            display_name=DISPLAY_NAME,
            provider=DEMO,
            until=until,
        )
        if await insert_new(session, PhoneNumberRow, [row]):
            break
    else:
        raise AllLent(headers={"Retry-After": "60"})
    reservation = DemoReservationRow(
        owner_id=caller.owner_id, number=number, agent_id=agent_id, expires_at=until
    )
    if not await insert_new(session, DemoReservationRow, [reservation]):
        raise DemoUsed  # asked for twice at once; the number goes back with this transaction
    return reservation, row


async def current(session: AsyncSession, caller: Caller) -> Lent | None:
    """What is lent to this account now."""
    found = await session.exec(
        select(DemoReservationRow, PhoneNumberRow)
        .join(PhoneNumberRow, col(PhoneNumberRow.number) == DemoReservationRow.number)
        .where(
            DemoReservationRow.owner_id == caller.owner_id,
            PhoneNumberRow.owner_id == caller.owner_id,
            PhoneNumberRow.provider == DEMO,
            service.in_force(),
        )
    )
    return found.one_or_none()


async def release(session: AsyncSession, caller: Caller) -> bool:
    """Give back what is lent; False where nothing is."""
    lent = await current(session, caller)
    if lent is None:
        return False
    await service.remove(session, caller, lent[1].number)
    return True


async def sweep() -> None:
    """Take back what was lent for long enough."""
    async with engine.reach().database.transaction() as session:
        await _take_back(session)


async def _take_back(session: AsyncSession) -> None:
    moment = now()
    await session.exec(
        update(DemoReservationRow)
        .where(col(DemoReservationRow.released_at).is_(None), col(DemoReservationRow.expires_at) <= moment)
        .values(released_at=moment)
    )
    await session.exec(delete(PhoneNumberRow).where(col(PhoneNumberRow.until) <= moment))
