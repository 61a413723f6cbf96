"""The rent of bought numbers: each month once; three days unpaid it rings no more, ten days and it is gone.

paid until ──due──► charged ──► paid for 30 days more
                 └─ too little money ──► owed: tried each day ──► +3 days: suspended ──► +10 days: given back
"""

import logging
from datetime import timedelta

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.durable import engine
from api.phone_numbers import buying, workflows
from api.phone_numbers.table import ACTIVE, OURS, SUSPENDED, NumberOrderRow, PhoneNumberRow
from api.stuck import service as stuck
from api.wallet import rents
from api.wallet.charges import InsufficientBalance
from api.wallet.money import text

_LOG = logging.getLogger(__name__)

AGAIN = timedelta(days=1)
SUSPENDED_AFTER = timedelta(days=3)
GONE_AFTER = timedelta(days=10)
AT_ONCE = 200
RENT = stuck.Work(
    "rent",
    "The rent of a number could not be charged",
    "By a fault of this server the rent of one of your numbers could not be charged. It goes on ringing; the "
    "rent is charged once the fault is mended.\n",
)


async def sweep() -> None:
    """Charge what is due."""
    database = engine.reach().database
    async with database.transaction(writes=False) as session:
        found = await session.exec(
            select(NumberOrderRow.id, NumberOrderRow.owner_id)
            .where(
                NumberOrderRow.status == OURS,
                col(NumberOrderRow.try_rent_at) <= now(),
                stuck.is_due(RENT, NumberOrderRow.id),
            )
            .order_by(col(NumberOrderRow.try_rent_at))
            .limit(AT_ONCE)
        )
        due = found.all()
    await stuck.each(database, RENT, due, _collect)


async def _collect(order_id: str) -> None:
    reach = engine.reach()
    async with reach.database.transaction(is_durable=True) as session:
        is_gone = await collect(session, order_id, is_billed=reach.is_billing)
    if is_gone:
        await workflows.queue_release(order_id, 1)


async def collect(session: AsyncSession, order_id: str, *, is_billed: bool) -> bool:
    """Charge the months that are due of one number; True where it is given back for want of money."""
    order = await buying.locked(session, order_id)
    if order is None or order.status != OURS or order.try_rent_at is None or order.paid_until is None:
        return False
    moment = now()
    session.add(order)
    while order.try_rent_at <= moment:
        rent = rents.Rent(order.monthly_micros, order.cost_micros)
        month = order.months_paid + 1
        try:
            await rents.charge_month(
                session, order.id, order.owner_id, order.number, month, rent, is_billed=is_billed
            )
        except InsufficientBalance:
            return await _owed(session, order)
        order.months_paid, order.paid_until = month, order.paid_until + buying.MONTH
        order.try_rent_at = order.paid_until
        await _paid(session, order)
    return False


async def _paid(session: AsyncSession, order: NumberOrderRow) -> None:
    if order.owed_since is None:
        return
    order.owed_since = None
    await _stand(session, order, ACTIVE)
    _LOG.info("owed rent is paid", extra={"order_id": order.id})


async def _owed(session: AsyncSession, order: NumberOrderRow) -> bool:
    moment = now()
    is_new = order.owed_since is None
    order.owed_since = since = order.owed_since or moment
    order.try_rent_at = moment + AGAIN
    ends = f"{since + GONE_AFTER:%Y-%m-%d}"
    what = f"The rent of {order.number} ({text(order.monthly_micros)} US dollars a month) "
    if moment - since >= GONE_AFTER:
        await buying.tell(
            session,
            order,
            f"gone-{order.months_paid}",
            "A number was given back",
            f"{what}was not paid for ten days. The number was given back and is yours no more.\n",
        )
        await buying.give_back(session, order)
        return True
    if moment - since >= SUSPENDED_AFTER:
        await _stand(session, order, SUSPENDED)
        words = f"{what}is not paid: it takes and makes no calls until it is. On {ends} it is given back.\n"
        await buying.tell(session, order, f"suspended-{order.months_paid}", "A number is suspended", words)
    elif is_new:
        words = f"{what}could not be charged: add credit. It rings until {since + SUSPENDED_AFTER:%Y-%m-%d}"
        words += f" and is given back on {ends}.\n"
        await buying.tell(session, order, f"owed-{order.months_paid}", "The rent of a number is due", words)
    return False


async def _stand(session: AsyncSession, order: NumberOrderRow, standing: str) -> None:
    await session.exec(
        update(PhoneNumberRow)
        .where(
            col(PhoneNumberRow.number) == order.number,
            col(PhoneNumberRow.owner_id) == order.owner_id,
            col(PhoneNumberRow.standing) != standing,
        )
        .values(standing=standing, updated_at=now())
    )
