"""Whether a card is charged when the balance runs low: chosen by its owner, turned off when it goes wrong."""

from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.durable import letters
from api.http.errors import BadRequest
from api.outside.mail import Letter
from api.payments import cards, service
from api.payments.schemas import AutoChargeUpdate
from api.payments.table import PaymentRow
from api.users.table import UserRow
from api.wallet.money import micros
from api.wallet.table import AutoChargeRow

MOST_FAILURES = 3


class NoPaymentMethod(BadRequest):
    """There is no saved payment method to charge"""


async def change(session: AsyncSession, owner_id: str, wanted: AutoChargeUpdate) -> AutoChargeRow:
    """Turn it on or off. On needs a saved card: the one that is named, else the default one."""
    row = await session.get(AutoChargeRow, owner_id, with_for_update=True)
    row = row or AutoChargeRow(owner_id=owner_id, threshold_micros=0, amount_micros=0)
    if wanted.payment_method_id:
        row.method_id = (await cards.method(session, owner_id, wanted.payment_method_id)).id
    elif row.method_id is None:
        row.method_id = next((one.id for one in await cards.methods(session, owner_id)), None)
    if wanted.enabled:
        service.cents_of(wanted.charge_amount_usd, "charge_amount_usd")
        if row.method_id is None:
            raise NoPaymentMethod
    row.is_enabled, row.failures, row.why_off, row.updated_at = wanted.enabled, 0, None, now()
    row.threshold_micros = micros(wanted.threshold_usd)
    row.amount_micros = micros(wanted.charge_amount_usd)
    session.add(row)
    await session.flush()
    return row


async def count_failure(session: AsyncSession, payment: PaymentRow) -> None:
    """One more charge was declined; after a few in a row nobody tries any more."""
    auto = await session.get(AutoChargeRow, payment.owner_id, with_for_update=True)
    if auto is None or not auto.is_enabled:
        return
    auto.failures += 1
    session.add(auto)
    if auto.failures >= MOST_FAILURES:
        await turn_off(session, auto, f"the card was declined {auto.failures} times: {payment.why}")


async def turn_off(session: AsyncSession, auto: AutoChargeRow, why: str) -> None:
    """Charge nothing any more, and tell the owner why."""
    auto.is_enabled, auto.why_off, auto.failures, auto.updated_at = False, why[:200], 0, now()
    session.add(auto)
    user = await session.get(UserRow, auto.owner_id)
    if user is None:
        return
    letter = Letter(
        to=user.email,
        subject="Your balance is not topped up any more",
        text=f"Automatic top-ups were turned off: {auto.why_off}.\n\nAdd credit, or turn them on again "
        "(PUT /v1/payments/auto-charge), so that your agents go on answering.\n",
        letter_id=f"auto-charge-off-{auto.owner_id}-{int(auto.updated_at.timestamp())}",
    )
    await letters.write(session, letter)
