"""Payments as their owner has them: begun, given up, listed."""

from decimal import Decimal
from typing import Any

from sqlalchemy import String, cast, literal, union_all, update
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import new_id
from api.db.inserts import insert_new
from api.http.callers import Caller
from api.http.errors import Invalid, NotFound
from api.outside.payments import Order
from api.payments.table import PaymentCustomerRow, PaymentRow
from api.users import service as users
from api.users.table import UserRow
from api.wallet.money import micros
from api.wallet.table import TransactionRow

MIN_USD, MAX_USD = Decimal("0.50"), Decimal(10_000)
"""What card networks take at least, and what nobody tops up by mistake."""


class PaymentNotFound(NotFound):
    """Payment not found"""


def cents_of(amount: Decimal, name: str = "amount") -> int:
    """Dollars as whole cents. Raises `Invalid` for what cannot be paid."""
    if not MIN_USD <= amount <= MAX_USD:
        raise Invalid.at("body", name, msg=f"An amount is {MIN_USD} to {MAX_USD} dollars")
    if amount != round(amount, 2):
        raise Invalid.at("body", name, msg="An amount has whole cents")
    return int(amount * 100)


async def begin(
    session: AsyncSession, caller: Caller, provider: str, cents: int, payment_id: str = ""
) -> tuple[PaymentRow, UserRow]:
    """Write down that somebody wants to pay, before a provider hears of it; the same id twice is one."""
    payer = await users.get(session, caller)
    row = PaymentRow(
        id=payment_id or new_id("pay", 24),
        owner_id=caller.owner_id,
        provider=provider,
        amount_micros=micros(Decimal(cents) / 100),
    )
    await insert_new(session, PaymentRow, [row])
    return await session.get_one(PaymentRow, row.id), payer


async def opened(session: AsyncSession, payment_id: str, session_id: str) -> None:
    """The provider has a checkout for it. Its event may have been here before this."""
    await session.exec(
        update(PaymentRow).where(col(PaymentRow.id) == payment_id).values(session_id=session_id[:255])
    )


async def give_up(session: AsyncSession, payment_id: str, status: str, why: str) -> bool:
    """Mark a payment that came to nothing; one that was paid, or has ended, stays as it is."""
    done = await session.exec(
        update(PaymentRow)
        .where(col(PaymentRow.id) == payment_id, col(PaymentRow.status) == "pending")
        .values(status=status, why=why[:100])
    )
    return bool(done.rowcount)


async def customer_of(session: AsyncSession, owner_id: str, provider: str) -> str:
    """What a provider calls an owner; empty where it does not know them yet."""
    found = await session.exec(
        select(PaymentCustomerRow.customer_id)
        .where(PaymentCustomerRow.owner_id == owner_id, PaymentCustomerRow.provider == provider)
        .limit(1)
    )
    return found.one_or_none() or ""


async def note_customer(session: AsyncSession, owner_id: str, provider: str, customer_id: str) -> None:
    """Remember it."""
    row = PaymentCustomerRow(provider=provider, customer_id=customer_id, owner_id=owner_id)
    await insert_new(session, PaymentCustomerRow, [row])


def order_of(row: PaymentRow, email: str, success_url: str, cancel_url: str, customer_id: str) -> Order:
    """What a provider is asked for."""
    return Order(
        payment_id=row.id,
        cents=row.amount_micros // 10_000,
        description="Credit",
        email=email,
        success_url=success_url,
        cancel_url=cancel_url,
        customer_id=customer_id,
    )


async def get(session: AsyncSession, owner_id: str, payment_id: str) -> PaymentRow:
    """One of the owner's payments."""
    found = await session.exec(
        select(PaymentRow).where(PaymentRow.id == payment_id, PaymentRow.owner_id == owner_id)
    )
    if (row := found.one_or_none()) is None:
        raise PaymentNotFound
    return row


async def history(
    session: AsyncSession, owner_id: str, limit: int, offset: int
) -> tuple[list[PaymentRow | TransactionRow], int]:
    """A page of what came in or should have, newest first: payments, grants and the welcome."""
    given: Any = select(
        cast(col(TransactionRow.id), String).label("id"),
        col(TransactionRow.created_at).label("at"),
        literal("given").label("kind"),
    ).where(
        TransactionRow.owner_id == owner_id,
        TransactionRow.type == "topup",
        col(TransactionRow.key).not_like("payment:%"),
    )
    paid: Any = select(
        col(PaymentRow.id).label("id"), col(PaymentRow.created_at).label("at"), literal("paid").label("kind")
    ).where(PaymentRow.owner_id == owner_id)
    both = union_all(given, paid).subquery()
    total = (await session.exec(select(func.count()).select_from(both))).one()
    connection = await session.connection()
    found = await connection.execute(
        select(both.c.id, both.c.kind)
        .order_by(both.c.at.desc(), both.c.id.desc())
        .limit(limit)
        .offset(offset)
    )
    page = [(str(id_), str(kind)) for id_, kind in found.all()]
    grants = await session.exec(
        select(TransactionRow).where(
            col(TransactionRow.id).in_([int(id_) for id_, kind in page if kind == "given"])
        )
    )
    payments = await session.exec(
        select(PaymentRow).where(col(PaymentRow.id).in_([id_ for id_, kind in page if kind == "paid"]))
    )
    rows: dict[str, PaymentRow | TransactionRow] = {str(row.id): row for row in grants.all()}
    rows |= {row.id: row for row in payments.all()}
    return [rows[id_] for id_, _ in page if id_ in rows], total
