"""A card that is charged when the balance runs low: asked for once, credited by the provider's word.

balance below the threshold ─► payment (pending) ─► charge-<payment_id> ─► provider ─► its event credits
                                    └─ declined three times in a row, or no word within an hour: turned off
"""

import logging
from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from dbos import DBOS
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.engine import Database
from api.durable import engine
from api.outside.payments import Declined, Order
from api.payments import applying, auto_charge, service
from api.payments.table import PaymentMethodRow, PaymentRow
from api.stuck import service as stuck
from api.users.table import UserRow
from api.wallet import ledger
from api.wallet.table import AutoChargeRow, HoldRow, WalletRow

_LOG = logging.getLogger(__name__)

NO_WORD = timedelta(hours=1)
PAUSE = timedelta(minutes=10)
"""Between one attempt that failed and the next."""
CHARGE_PAUSE_SECONDS = 300.0
"""Until a provider that did not answer five times in a row is asked the same again."""
ABANDONED = timedelta(days=7)
"""No checkout is open for longer; a provider's word that comes later still counts."""
REVERSAL, NO_END, CHARGE = stuck.Work("reversal"), stuck.Work("payment-without-end"), stuck.Work("charge")
RECHARGE = stuck.Work(
    "recharge",
    "Your balance could not be topped up",
    "By a fault of this server your card could not be charged although your balance is low. Add credit by "
    "hand, so that your agents go on answering, or wait until the fault is mended.\n",
)


async def consider(database: Database, owner_id: str) -> None:
    """Charge an owner's card if the balance is low. Safe to ask for at any time; never raises."""
    try:
        await _recharge(database, owner_id)
    except Exception as error:  # noqa: BLE001 - whoever was charged is not to fail; the sweeper looks again
        _LOG.warning("recharge not begun", extra={"owner_id": owner_id, "error": type(error).__name__})


async def _recharge(database: Database, owner_id: str) -> None:
    # On the disk before anybody reads it: a card is charged for what is read here.
    async with database.transaction(is_durable=True) as session:
        payment_id = await _begin(session, owner_id)
    if payment_id:
        await _start(payment_id)


async def _begin(session: AsyncSession, owner_id: str) -> str:
    auto = await session.get(AutoChargeRow, owner_id, with_for_update=True)
    if auto is None or not auto.is_enabled or auto.method_id is None:
        return ""
    left = await ledger.balance(session, owner_id) - await ledger.held(session, owner_id)
    if left >= auto.threshold_micros:
        return ""
    newest = await _newest(session, owner_id)
    if newest is not None and (
        newest.status == "pending" or (newest.status == "failed" and now() - newest.created_at < PAUSE)
    ):
        return ""
    method = await session.get(PaymentMethodRow, auto.method_id)
    if method is None:
        return ""
    row = PaymentRow(
        owner_id=owner_id,
        provider=method.provider,
        amount_micros=auto.amount_micros,
        is_auto_charge=True,
        method_id=method.id,
    )
    session.add(row)
    await session.flush()
    return row.id


async def _newest(session: AsyncSession, owner_id: str) -> PaymentRow | None:
    found = await session.exec(
        select(PaymentRow)
        .where(PaymentRow.owner_id == owner_id, PaymentRow.is_auto_charge)
        .order_by(col(PaymentRow.created_at).desc(), col(PaymentRow.id))
        .limit(1)
    )
    return found.one_or_none()


async def _start(payment_id: str) -> None:
    # Again, too, where the provider could not be reached: under the same key it is one charge.
    name = f"charge-{payment_id}"
    await engine.start_unless_done(name, charge_card, payment_id, pause_seconds=CHARGE_PAUSE_SECONDS)


@DBOS.workflow(name="charge_card")
async def charge_card(payment_id: str) -> None:
    """Ask the provider once; what it says of the money comes as an event."""
    with engine.at_work():
        await ask(payment_id)


@DBOS.step(name="charge_card.ask", retries_allowed=True, max_attempts=5, interval_seconds=5)
async def ask(payment_id: str) -> None:
    """Repeated under the provider's own key for repeated requests, so it is one charge."""
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        row = await session.get(PaymentRow, payment_id)
        if row is None or row.status != "pending" or row.method_id is None:
            return
        user = await session.get(UserRow, row.owner_id)
        customer_id = await service.customer_of(session, row.owner_id, row.provider)
    if (provider := reach.payments.get(row.provider)) is None or user is None:
        await _declined(payment_id, "the provider is not set up any more")
        return
    order: Order = service.order_of(row, user.email, "", "", customer_id)
    try:
        await provider.charge(order, row.method_id)
    except Declined as error:
        await _declined(payment_id, str(error))


async def _declined(payment_id: str, why: str) -> None:
    async with engine.reach().database.transaction() as session:
        row = await session.get(PaymentRow, payment_id, with_for_update=True)
        if row is None or row.status != "pending":
            return
        await applying.fail(session, row, "failed", why)


async def sweep() -> None:
    """Charge cards of low balances, start what was not started, and end what waits for nothing."""
    database = engine.reach().database
    async with database.transaction(writes=False) as session:
        reversals = await applying.unsettled(session, stuck.is_due(REVERSAL, PaymentRow.id))
        waiting = await _waiting(session)
        pending = await _pending(session)
    await stuck.each(database, REVERSAL, reversals, partial(_settle, database))
    await stuck.each(database, NO_END, waiting, partial(_end, database))
    await stuck.each(database, CHARGE, pending, _start)
    async with database.transaction(writes=False) as session:
        low = await _low(session)
    await stuck.each(database, RECHARGE, [(one, one) for one in low], partial(_recharge, database))


async def _settle(database: Database, payment_id: str) -> None:
    async with database.transaction(is_durable=True) as session:
        await applying.settle(session, payment_id)


async def _pending(session: AsyncSession) -> Sequence[tuple[str, str]]:
    found = await session.exec(
        select(PaymentRow.id, PaymentRow.owner_id)
        .where(PaymentRow.is_auto_charge, PaymentRow.status == "pending", stuck.is_due(CHARGE, PaymentRow.id))
        .order_by(col(PaymentRow.created_at))
        .limit(500)
    )
    return found.all()


async def _low(session: AsyncSession) -> Sequence[str]:
    held = select(HoldRow.owner_id).where(HoldRow.owner_id == AutoChargeRow.owner_id).exists()
    found = await session.exec(
        select(AutoChargeRow.owner_id)
        .join(WalletRow, col(WalletRow.owner_id) == AutoChargeRow.owner_id, isouter=True)
        .where(
            AutoChargeRow.is_enabled,
            held
            | col(WalletRow.balance_micros).is_(None)
            | (col(WalletRow.balance_micros) < col(AutoChargeRow.threshold_micros)),
            stuck.is_due(RECHARGE, AutoChargeRow.owner_id),
        )
        .limit(1000)
    )
    return found.all()


async def _waiting(session: AsyncSession) -> Sequence[tuple[str, str]]:
    moment = now()
    found = await session.exec(
        select(PaymentRow.id, PaymentRow.owner_id)
        .where(
            PaymentRow.status == "pending",
            # Not the open checkouts of a week: they would stand before the charge that nobody hears of.
            (col(PaymentRow.is_auto_charge) & (col(PaymentRow.created_at) < moment - NO_WORD))
            | (col(PaymentRow.created_at) < moment - ABANDONED),
            stuck.is_due(NO_END, PaymentRow.id),
        )
        .order_by(col(PaymentRow.created_at))
        .limit(500)
    )
    return found.all()


async def _end(database: Database, payment_id: str) -> None:
    async with database.transaction() as session:
        row = await session.get(PaymentRow, payment_id, with_for_update=True)
        if row is None or row.status != "pending":
            return
        if not row.is_auto_charge:
            await applying.fail(session, row, "cancelled", "nobody paid in time")
            return
        await applying.fail(session, row, "failed", "no word from the provider")
        if (auto := await session.get(AutoChargeRow, row.owner_id, with_for_update=True)) is not None:
            # Another charge might take the money twice: a person must look first.
            await auto_charge.turn_off(
                session, auto, "the payment provider did not say what became of a charge"
            )
