"""Numbers that are paid for by themselves: kept at the carrier meanwhile, ordered once the money is there.

checkout ─► reserved there ─► payer at the provider ─► its signed event: credit ─► ordered as any number
                    └─ not paid within a month: forgotten             └─ somebody has it: the credit stays

The payment is credit like every other, so nothing that goes wrong afterwards can lose it.
"""

import logging
from datetime import timedelta
from decimal import Decimal
from functools import partial

from sqlalchemy import delete, exists
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.db.columns import now
from api.db.engine import after_commit
from api.durable import engine, letters
from api.http.callers import Caller
from api.http.errors import ApiError
from api.outside.carrier import Offer
from api.outside.mail import Letter
from api.payments.service import MIN_USD
from api.payments.table import PaymentRow
from api.phone_numbers import buying, workflows
from api.phone_numbers.market import Priced
from api.phone_numbers.schemas import BOUGHT
from api.phone_numbers.table import NumberCheckoutRow
from api.stuck import service as stuck
from api.users.table import UserRow

_LOG = logging.getLogger(__name__)

KEPT_FOR = timedelta(minutes=30)
"""What the carrier keeps a number for."""
LOOK_SECONDS = 3.0
FORGOTTEN_AFTER = timedelta(days=2)
"""Of one that was ordered, or could not be, and whose payer was told."""
NEVER_PAID_AFTER = timedelta(days=30)
"""No provider takes money for a checkout as old as that. Should one do so, it is credit."""
PAID_NUMBER = stuck.Work(
    "paid-number",
    "A number could not be ordered yet",
    "A number that you paid for could not be ordered, by a fault of this server. What you paid is credit of "
    "your account. The number is ordered once the fault is mended, if it is still to be had then.\n",
)
AT_ONCE = 50
MICROS_OF_A_CENT = 10_000


def price(priced: Priced) -> Decimal:
    """What is paid at first, in dollars with whole cents, and what a card is charged at least."""
    cents = -(-(priced.monthly_micros + priced.upfront_micros) // MICROS_OF_A_CENT)
    return max(MIN_USD, Decimal(cents) / 100)


async def sweep() -> None:
    """Order what was paid."""
    database = engine.reach().database
    async with database.transaction(writes=False) as session:
        found = await session.exec(
            select(NumberCheckoutRow.id, NumberCheckoutRow.owner_id)
            .join(PaymentRow, col(PaymentRow.id) == col(NumberCheckoutRow.payment_id))
            .where(
                col(NumberCheckoutRow.done_at).is_(None),
                col(PaymentRow.is_paid),
                stuck.is_due(PAID_NUMBER, NumberCheckoutRow.id),
            )
            .limit(AT_ONCE)
        )
        paid = found.all()
    await stuck.each(database, PAID_NUMBER, paid, _order_or_tell)


async def _order_or_tell(checkout_id: str) -> None:
    database = engine.reach().database
    try:
        async with database.transaction(is_durable=True) as session:
            await _order(session, checkout_id)
    except ApiError as error:  # a reason, not a fault: it would be the same again
        async with database.transaction() as session:
            await _give_up(session, checkout_id, error)


async def is_kept(session: AsyncSession, number: str, owner_id: str) -> bool:
    """Whether somebody else is just paying for this number."""
    found = await session.exec(
        select(NumberCheckoutRow.id)
        .where(
            NumberCheckoutRow.number == number,
            NumberCheckoutRow.owner_id != owner_id,
            col(NumberCheckoutRow.expires_at) > now(),
            col(NumberCheckoutRow.done_at).is_(None),
        )
        .limit(1)
    )
    return found.first() is not None


async def forget_unpaid() -> None:
    """Those that nobody paid, and those that are long done; never one whose payer still waits."""
    row, moment = NumberCheckoutRow, now()
    is_paid = exists().where(col(PaymentRow.id) == col(row.payment_id), col(PaymentRow.is_paid))
    is_done = col(row.done_at).is_not(None) & (col(row.expires_at) < moment - FORGOTTEN_AFTER)
    is_old = ~is_paid & (col(row.expires_at) < moment - NEVER_PAID_AFTER)
    async with engine.reach().database.transaction() as session:
        await session.exec(delete(row).where(is_done | is_old))


async def _order(session: AsyncSession, checkout_id: str) -> None:
    row = await session.get(NumberCheckoutRow, checkout_id, with_for_update=True)
    if row is None or row.done_at is not None:
        return
    row.done_at = now()
    session.add(row)
    caller = Caller(row.owner_id, row.owner_id, "user")
    agent_id = row.agent_id
    try:
        if agent_id is not None:
            await agents.get(session, caller, agent_id)
    except agents.AgentNotFound:
        agent_id = None
    offer = Offer(number=row.number, monthly_micros=row.cost_micros, upfront_micros=row.upfront_cost_micros)
    priced = Priced(offer, row.monthly_micros, row.upfront_micros)
    order = await buying.begin(
        session,
        caller,
        priced,
        agent_id,
        provider=BOUGHT,
        order_id=row.order_id,
        is_billed=row.is_billed,
    )
    after_commit(session, partial(workflows.queue, order.id, 1))


async def _give_up(session: AsyncSession, checkout_id: str, error: ApiError) -> None:
    row = await session.get(NumberCheckoutRow, checkout_id, with_for_update=True)
    if row is None or row.done_at is not None:
        return
    row.done_at = now()
    session.add(row)
    _LOG.warning("a paid number was not ordered", extra={"error": type(error).__name__})
    if (user := await session.get(UserRow, row.owner_id)) is not None:
        text = (
            f"The number {row.number} could not be bought: {error}\n\n"
            "What you paid is credit of your account; buy another number with it.\n"
        )
        letter = Letter(user.email, "A number could not be bought", text, f"checkout-{row.id}")
        await letters.write(session, letter)
