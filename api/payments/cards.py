"""Saved cards: the provider has their numbers, an owner chooses among them."""

from collections.abc import Sequence

from sqlalchemy import update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.inserts import insert_new
from api.http.errors import Conflict, NotFound
from api.outside.payments import CardSaved
from api.payments.table import PaymentCustomerRow, PaymentMethodRow
from api.wallet.table import AutoChargeRow


class PaymentMethodNotFound(NotFound):
    """Payment method not found"""


class PaymentMethodInUse(Conflict):
    """This card is charged when the balance runs low: turn that off, or choose another card, first"""


async def methods(session: AsyncSession, owner_id: str) -> Sequence[PaymentMethodRow]:
    """The owner's cards, the default one first."""
    found = await session.exec(
        select(PaymentMethodRow)
        .where(PaymentMethodRow.owner_id == owner_id)
        .order_by(col(PaymentMethodRow.is_default).desc(), col(PaymentMethodRow.created_at))
    )
    return found.all()


async def method(session: AsyncSession, owner_id: str, method_id: str) -> PaymentMethodRow:
    """One of the owner's cards."""
    found = await session.exec(
        select(PaymentMethodRow).where(
            PaymentMethodRow.id == method_id, PaymentMethodRow.owner_id == owner_id
        )
    )
    if (row := found.one_or_none()) is None:
        raise PaymentMethodNotFound
    return row


async def make_default(session: AsyncSession, owner_id: str, method_id: str) -> PaymentMethodRow:
    """Let a card be the one that is meant when none is named."""
    row = await method(session, owner_id, method_id)
    await session.exec(
        update(PaymentMethodRow).where(col(PaymentMethodRow.owner_id) == owner_id).values(is_default=False)
    )
    row.is_default = True
    session.add(row)
    await session.flush()
    return row


async def removable(session: AsyncSession, owner_id: str, method_id: str) -> PaymentMethodRow:
    """A card that may be removed. Raises `PaymentMethodInUse`."""
    row = await method(session, owner_id, method_id)
    auto = await session.get(AutoChargeRow, owner_id)
    if auto is not None and auto.is_enabled and auto.method_id == row.id:
        raise PaymentMethodInUse
    return row


async def remove_method(session: AsyncSession, row: PaymentMethodRow) -> None:
    """Forget a card, and stop charging it."""
    await session.delete(row)
    await session.exec(
        update(AutoChargeRow)
        .where(col(AutoChargeRow.owner_id) == row.owner_id, col(AutoChargeRow.method_id) == row.id)
        .values(is_enabled=False, method_id=None, why_off="the card is gone")
    )
    await session.flush()
    left = await methods(session, row.owner_id)
    if row.is_default and left:
        left[0].is_default = True
        session.add(left[0])


# ── a provider's word ────────────────────────────────────────────────────────────────────────────
async def note_saved(session: AsyncSession, provider: str, news: CardSaved) -> str:
    customer = await session.get(PaymentCustomerRow, (provider, news.customer_id))
    if customer is None:
        return "unknown"
    others = await methods(session, customer.owner_id)
    row = PaymentMethodRow(
        id=news.method_id,
        owner_id=customer.owner_id,
        provider=provider,
        card_brand=news.brand,
        card_last_four=news.last_four[-4:],
        card_type=news.kind or None,
        is_default=not others,
    )
    if not await insert_new(session, PaymentMethodRow, [row]):
        await session.exec(
            update(PaymentMethodRow)
            .where(col(PaymentMethodRow.id) == news.method_id)
            .values(card_brand=news.brand, card_last_four=news.last_four[-4:])
        )
    return "applied"


async def note_gone(session: AsyncSession, provider: str, method_id: str) -> str:
    row = await session.get(PaymentMethodRow, method_id)
    if row is None or row.provider != provider:
        return "unknown"
    await remove_method(session, row)
    return "applied"
