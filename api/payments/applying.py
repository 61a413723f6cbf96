"""A provider's word: credit comes by it alone, goes back by it, each event once and in any order.

checkout ─► pending ─► Paid ─────────► completed ─► refund, dispute ─► refunded, disputed
               ├─ NotPaid ─► failed, cancelled ─► Paid (late, and still true)
               └─ a refund that is told before its payment waits for it
"""

import logging
from collections.abc import Sequence

from sqlalchemy import ColumnElement, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.inserts import insert_new
from api.outside.payments import CardGone, CardSaved, Event, NotPaid, Paid, Reversal
from api.payments import auto_charge, cards
from api.payments.table import PaymentEventRow, PaymentReversalRow, PaymentRow
from api.wallet import ledger
from api.wallet.money import dollars, text
from api.wallet.table import AutoChargeRow, TransactionRow
from api.webhooks import service as webhooks

_LOG = logging.getLogger(__name__)


async def apply(session: AsyncSession, provider: str, event: Event) -> str:
    """Let a verified event have its effect, once; returns what became of it."""
    row = PaymentEventRow(provider=provider, event_id=event.event_id, type=event.type, outcome="applied")
    if not await insert_new(session, PaymentEventRow, [row]):
        return "known"
    match event.news:
        case Paid() as news:
            outcome = await _paid(session, provider, news)
        case NotPaid() as news:
            outcome = await _not_paid(session, provider, news)
        case Reversal() as news:
            outcome = await _reversal(session, provider, news)
        case CardSaved() as news:
            outcome = await cards.note_saved(session, provider, news)
        case CardGone() as news:
            outcome = await cards.note_gone(session, provider, news.method_id)
        case None:
            outcome = "ignored"
    if outcome != "applied":
        await session.exec(
            update(PaymentEventRow)
            .where(col(PaymentEventRow.provider) == provider, col(PaymentEventRow.event_id) == event.event_id)
            .values(outcome=outcome)
        )
    _LOG.info("payment event", extra={"provider": provider, "type": event.type, "outcome": outcome})
    return outcome


async def _locked(session: AsyncSession, provider: str, payment_id: str) -> PaymentRow | None:
    found = await session.exec(
        select(PaymentRow)
        .where(PaymentRow.id == payment_id, PaymentRow.provider == provider)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.one_or_none()


async def _paid(session: AsyncSession, provider: str, news: Paid) -> str:
    payment = await _locked(session, provider, news.payment_id)
    if payment is None or news.micros <= 0:
        return "unknown"
    if payment.is_paid:
        return "applied" if payment.reference == news.reference else "unknown"
    payment.is_paid, payment.reference, payment.amount_micros = True, news.reference, news.micros
    payment.completed_at, payment.why = now(), None
    credited = TransactionRow(
        key=f"payment:{payment.id}",
        owner_id=payment.owner_id,
        type="topup",
        amount_micros=news.micros,
        description=f"Payment by {provider.capitalize()}",
        explanation={
            "provider": provider,
            "payment_id": payment.id,
            "is_auto_charge": payment.is_auto_charge,
        },
    )
    account = f"payments:{provider}"
    await ledger.post(
        session, credited, {account: -news.micros, ledger.wallet(payment.owner_id): news.micros}
    )
    if payment.is_auto_charge:
        await session.exec(
            update(AutoChargeRow).where(col(AutoChargeRow.owner_id) == payment.owner_id).values(failures=0)
        )
    await settle_reversals(session, payment)
    await webhooks.emit(
        session, payment.owner_id, "payment.succeeded", f"payment:{payment.id}:succeeded", _told(payment)
    )
    return "applied"


async def _not_paid(session: AsyncSession, provider: str, news: NotPaid) -> str:
    payment = await _locked(session, provider, news.payment_id)
    if payment is None:
        return "unknown"
    status = "failed" if payment.is_auto_charge and news.status == "pending" else news.status
    if payment.is_paid or payment.status != "pending":
        return "late"
    payment.why = news.why[:100]
    if status != "pending":
        await fail(session, payment, status, news.why)
    return "applied"


async def fail(session: AsyncSession, payment: PaymentRow, status: str, why: str) -> None:
    """A payment that is locked came to nothing: say so to whoever wants to know."""
    payment.status, payment.why = status, why[:100]
    session.add(payment)
    if status != "failed":
        return
    if payment.is_auto_charge:
        await auto_charge.count_failure(session, payment)
    await webhooks.emit(
        session, payment.owner_id, "payment.failed", f"payment:{payment.id}:failed", _told(payment)
    )


async def _reversal(session: AsyncSession, provider: str, news: Reversal) -> str:
    fresh = PaymentReversalRow(
        provider=provider,
        reference=news.reference,
        payment_reference=news.payment_reference,
        kind=news.kind,
        micros=news.micros,
        is_in_force=news.is_in_force,
        at=news.at,
    )
    if not await insert_new(session, PaymentReversalRow, [fresh]):
        row = await session.get_one(PaymentReversalRow, (provider, news.reference), with_for_update=True)
        if news.at < row.at:
            return "late"  # a newer state is here already
        row.micros, row.is_in_force, row.at = news.micros, news.is_in_force, news.at
        session.add(row)
        await session.flush()
    found = await session.exec(
        select(PaymentRow)
        .where(PaymentRow.provider == provider, PaymentRow.reference == news.payment_reference)
        .with_for_update()
    )
    if (payment := found.one_or_none()) is None:
        return "waits"
    await settle_reversals(session, payment)
    return "applied"


async def settle_reversals(session: AsyncSession, payment: PaymentRow) -> None:
    """Bring the book to what is known to have gone back of a payment, and its status with it.

    The payment must be locked.
    """
    found = await session.exec(
        select(PaymentReversalRow)
        .where(
            PaymentReversalRow.provider == payment.provider,
            PaymentReversalRow.payment_reference == (payment.reference or ""),
        )
        .order_by(col(PaymentReversalRow.at), col(PaymentReversalRow.reference))
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    rows = found.all()
    for row in rows:
        await _post_reversal(session, payment, row)
    gone = {
        kind: sum(row.posted_micros for row in rows if row.kind == kind) for kind in ("refund", "dispute")
    }
    if gone["dispute"] > 0:
        payment.status = "disputed"
    elif gone["refund"] >= payment.amount_micros:
        payment.status = "refunded"
    else:
        payment.status = "completed"
    session.add(payment)
    await session.flush()


async def _post_reversal(session: AsyncSession, payment: PaymentRow, row: PaymentReversalRow) -> None:
    wanted = row.micros if row.is_in_force else 0
    if (change := wanted - row.posted_micros) == 0:
        return
    row.times_posted += 1
    row.posted_micros = wanted
    session.add(row)
    word = {"refund": "Refund", "dispute": "Dispute"}[row.kind]
    written = TransactionRow(
        key=f"reversal:{row.provider}:{row.reference}:{row.times_posted}",
        owner_id=payment.owner_id,
        type="refund",
        amount_micros=-change,
        description=f"{word} of a payment" if change > 0 else f"{word} of a payment undone",
        explanation={"provider": row.provider, "payment_id": payment.id, "reference": row.reference},
    )
    account = f"payments:{row.provider}"
    await ledger.post(session, written, {account: change, ledger.wallet(payment.owner_id): -change})


async def settle(session: AsyncSession, payment_id: str) -> None:
    """The same for one that is not locked yet."""
    row = await session.get(PaymentRow, payment_id, with_for_update=True)
    if row is not None and row.is_paid:
        await settle_reversals(session, row)


async def unsettled(session: AsyncSession, *wanted: ColumnElement[bool]) -> Sequence[tuple[str, str]]:
    """Payments whose refund was written while they were: two events in the same moment. With their owners."""
    reversal = PaymentReversalRow
    found = await session.exec(
        select(PaymentRow.id, PaymentRow.owner_id)
        .join(
            reversal,
            (col(reversal.provider) == PaymentRow.provider)
            & (col(reversal.payment_reference) == PaymentRow.reference),
        )
        .where(
            col(PaymentRow.is_paid),
            or_(
                col(reversal.is_in_force) & (col(reversal.posted_micros) != col(reversal.micros)),
                ~col(reversal.is_in_force) & (col(reversal.posted_micros) != 0),
            ),
            *wanted,
        )
        .distinct()
        .limit(100)
    )
    return found.all()


def _told(payment: PaymentRow) -> dict[str, object]:
    return {
        "payment_id": payment.id,
        "provider": payment.provider,
        "amount_usd": dollars(payment.amount_micros),
        "amount": text(payment.amount_micros),
        "currency": "USD",
        "is_auto_charge": payment.is_auto_charge,
        "reason": payment.why,
    }
