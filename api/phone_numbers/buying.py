"""What becomes of an order here: money held, then charged with the number, or given back without it.

begin ──► ordering ──► ours ──► releasing ──► released
              └──► failed            ▲
                     erased owner ───┘

Each change locks the order's row and looks at its status first: done twice, it is done once.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlmodel import col, delete, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.db.columns import now
from api.db.inserts import insert_new
from api.durable import letters
from api.http.callers import Caller
from api.http.errors import Conflict
from api.outside.carrier import Order
from api.outside.mail import Letter
from api.phone_numbers.market import Priced
from api.phone_numbers.service import NumberTaken, is_live
from api.phone_numbers.table import (
    ACTIVE,
    FAILED,
    LIVE,
    ORDERING,
    OURS,
    PENDING,
    RELEASED,
    RELEASING,
    NumberOrderRow,
    PhoneNumberRow,
)
from api.users.table import UserRow
from api.wallet import rents

_LOG = logging.getLogger(__name__)

MONTH = timedelta(days=30)
PAPERS = "the carrier wants papers for it"
MAX_ORDERING = 10
"""Of one owner at once."""
MAX_BOUGHT = 100
"""Of one owner; where billing is off, this server pays for them."""


class TooManyOrders(Conflict):
    """Ten numbers are being bought already; wait until they are there"""


class TooManyNumbers(Conflict):
    """An account has at most a hundred bought numbers; give one back first"""


class StillOrdered(Conflict):
    """This number is being bought; it can be given back when it is there"""


async def begin(
    session: AsyncSession,
    caller: Caller,
    priced: Priced,
    agent_id: str | None,
    *,
    provider: str,
    order_id: str,
    is_billed: bool,
) -> NumberOrderRow:
    """Write an order down and hold its money; the number is shown as `pending`.

    Raises `NumberTaken`, `TooManyOrders`, `TooManyNumbers`, and what `rents.hold` raises.
    """
    if agent_id is not None:
        await agents.get(session, caller, agent_id)
    number = priced.offer.number
    order = NumberOrderRow(
        id=order_id,
        owner_id=caller.owner_id,
        number=number,
        is_billed=is_billed,
        cost_micros=priced.offer.monthly_micros,
        upfront_cost_micros=priced.offer.upfront_micros,
        monthly_micros=priced.monthly_micros,
        upfront_micros=priced.upfront_micros,
    )
    row = PhoneNumberRow(
        number=number, owner_id=caller.owner_id, agent_id=agent_id, provider=provider, standing=PENDING
    )
    if await is_live(session, number) or not await insert_new(session, PhoneNumberRow, [row]):
        raise NumberTaken
    price = priced.monthly_micros + priced.upfront_micros
    await rents.hold(session, order_id, caller.owner_id, price, is_billed=is_billed)
    found = await session.exec(
        select(NumberOrderRow.status)
        .where(NumberOrderRow.owner_id == caller.owner_id, col(NumberOrderRow.status).in_(LIVE))
        .limit(MAX_BOUGHT)
    )
    statuses = found.all()
    if statuses.count(ORDERING) >= MAX_ORDERING:
        raise TooManyOrders
    if len(statuses) >= MAX_BOUGHT:
        raise TooManyNumbers
    session.add(order)
    await session.flush()
    return order


async def locked(session: AsyncSession, order_id: str) -> NumberOrderRow | None:
    """An order, until this transaction ends nobody else's to change."""
    return await session.get(NumberOrderRow, order_id, with_for_update=True, populate_existing=True)


async def note_asked(session: AsyncSession, order_id: str) -> datetime | None:
    """The carrier is about to be asked; when it was first asked before, None where this is the first time."""
    order = await locked(session, order_id)
    if order is None:
        return None
    before = order.asked_at
    order.asked_at = before or now()
    session.add(order)
    return before


async def note_placed(session: AsyncSession, order_id: str, known: Order) -> None:
    """The carrier has the order."""
    order = await locked(session, order_id)
    if order is not None and order.status == ORDERING:
        order.carrier_order_id, order.seen_at = known.order_id, now()
        order.why = PAPERS if known.needs_documents else None
        session.add(order)


async def finish(session: AsyncSession, order_id: str, carrier_number_id: str, trunk_id: str) -> str:
    """The number is ours: charge it and let it ring. Where its owner is gone meanwhile, give it back."""
    order = await locked(session, order_id)
    if order is None or order.status != ORDERING:
        return "" if order is None else order.status
    order.carrier_number_id, order.seen_at, order.tries, order.why = carrier_number_id, now(), 0, None
    order.status = OURS if order.owner_id else RELEASING
    session.add(order)
    if order.status == RELEASING:
        return RELEASING
    order.months_paid, order.paid_until = 1, now() + MONTH
    order.try_rent_at = order.paid_until
    rent = rents.Rent(
        order.monthly_micros + order.upfront_micros, order.cost_micros + order.upfront_cost_micros
    )
    await rents.charge_first(session, order.id, order.owner_id, order.number, rent, is_billed=order.is_billed)
    await session.exec(
        update(PhoneNumberRow)
        .where(col(PhoneNumberRow.number) == order.number, col(PhoneNumberRow.owner_id) == order.owner_id)
        .values(standing=ACTIVE, trunk_id=trunk_id, updated_at=now())
    )
    _LOG.info("number bought", extra={"order_id": order.id})
    return OURS


async def fail(session: AsyncSession, order_id: str, why: str) -> None:
    """There will be no number: its money is free again, and its owner is told."""
    order = await locked(session, order_id)
    if order is None or order.status != ORDERING:
        return
    order.status, order.why, order.seen_at = FAILED, why[:200], now()
    session.add(order)
    await rents.let_go(session, order.id)
    await forget_number(session, order)
    text = f"The number {order.number} could not be bought: {order.why}\n\nYou were not charged for it.\n"
    await tell(session, order, "failed", "A number could not be bought", text)
    _LOG.warning("number not bought", extra={"order_id": order.id})


async def give_back(session: AsyncSession, order: NumberOrderRow) -> None:
    """From now on its owner has it no more; the carrier is told by `workflows.release`."""
    if order.status == ORDERING:
        raise StillOrdered
    order.status, order.seen_at, order.tries = RELEASING, now(), 0
    order.try_rent_at = None
    session.add(order)
    await forget_number(session, order)


async def note_released(session: AsyncSession, order_id: str) -> None:
    """The carrier has taken it back."""
    order = await locked(session, order_id)
    if order is not None and order.status == RELEASING:
        order.status, order.seen_at = RELEASED, now()
        session.add(order)
        _LOG.info("number given back", extra={"order_id": order.id})


async def forget_number(session: AsyncSession, order: NumberOrderRow) -> None:
    """The number's own row, with whom it is bound to."""
    await session.exec(
        delete(PhoneNumberRow).where(
            col(PhoneNumberRow.number) == order.number, col(PhoneNumberRow.owner_id) == order.owner_id
        )
    )


async def of_number(session: AsyncSession, row: PhoneNumberRow) -> NumberOrderRow | None:
    """The order that a number of somebody's came by; None for one that they brought along. Locked."""
    found = await session.exec(
        select(NumberOrderRow)
        .where(
            NumberOrderRow.number == row.number,
            NumberOrderRow.owner_id == row.owner_id,
            col(NumberOrderRow.status).in_((ORDERING, OURS)),
        )
        .with_for_update()
    )
    return found.one_or_none()


async def abandon(session: AsyncSession, owner_id: str) -> list[str]:
    """An owner is erased: their numbers go back, those that are still being bought once they are there.

    Returns the orders that the carrier is to be told of now. What they cost from here on is ours.
    """
    found = await session.exec(
        select(NumberOrderRow)
        .where(NumberOrderRow.owner_id == owner_id, col(NumberOrderRow.status).in_(LIVE))
        .with_for_update()
    )
    orders = found.all()
    for order in orders:
        await forget_number(session, order)
        await rents.let_go(session, order.id)
        if order.status == OURS:
            order.status, order.try_rent_at, order.tries = RELEASING, None, 0
        order.owner_id, order.why = "", None
        session.add(order)
    return [order.id for order in orders if order.status == RELEASING]


async def tell(session: AsyncSession, order: NumberOrderRow, what: str, subject: str, text: str) -> None:
    """A letter to a number's owner, once for each thing that happens."""
    user = await session.get(UserRow, order.owner_id)
    if user is not None:
        letter_id = f"number-{order.id}-{what}"
        await letters.write(session, Letter(user.email, subject, text, letter_id))


async def orders_of(session: AsyncSession, owner_id: str) -> Sequence[NumberOrderRow]:
    """The last hundred orders of an owner, newest first."""
    found = await session.exec(
        select(NumberOrderRow)
        .where(NumberOrderRow.owner_id == owner_id)
        .order_by(col(NumberOrderRow.created_at).desc(), col(NumberOrderRow.id))
        .limit(100)
    )
    return found.all()
