"""The book: every transaction has entries that add up to nothing, and happens once.

a charge   wallet:user_1  -0.100000      billing off   house    -0.100000
           revenue        +0.100000                    revenue  +0.100000
a grant    payments:manual -5.000000
           wallet:user_1   +5.000000
"""

from collections.abc import Mapping

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.inserts import insert_new
from api.wallet.table import EntryRow, HoldRow, TransactionRow, WalletRow

_WALLET = "wallet:"
TRANSFERS = "transfers"
"""The account between two wallets."""
EARNINGS = "earnings"
"""The account over which a tenant's owner is paid."""
PASSED_ON = (TRANSFERS, EARNINGS)
"""What comes in there goes out in the same transaction: they are always empty."""


class Unbalanced(AssertionError):
    """The entries of a transaction do not add up to nothing"""


def wallet(owner_id: str) -> str:
    """The name of an owner's account."""
    return f"{_WALLET}{owner_id}"


async def lock(session: AsyncSession, owner_id: str) -> WalletRow:
    """An owner's wallet, made where there is none; nobody else changes it until this transaction ends."""
    await insert_new(session, WalletRow, [WalletRow(owner_id=owner_id)])
    found = await session.exec(
        select(WalletRow)
        .where(WalletRow.owner_id == owner_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    return found.one()


async def post(session: AsyncSession, row: TransactionRow, entries: Mapping[str, int]) -> TransactionRow:
    """Write a transaction, or find the one that has its key: then nothing is written.

    `entries` are accounts and what they are given. Of wallets, only the owner's own may be among them.
    """
    if sum(entries.values()) != 0:
        raise Unbalanced
    mine = wallet(row.owner_id)
    if any(account.startswith(_WALLET) and account != mine for account in entries):
        raise Unbalanced("another owner's wallet is among the entries")
    kept = await lock(session, row.owner_id)
    found = await session.exec(select(TransactionRow).where(TransactionRow.key == row.key))
    if (before := found.one_or_none()) is not None:
        return before
    row.balance_before_micros = kept.balance_micros
    kept.balance_micros += entries.get(mine, 0)
    row.balance_after_micros = kept.balance_micros
    session.add(kept)
    session.add(row)
    await session.flush()  # which numbers it
    for account, amount in entries.items():
        if amount:
            session.add(EntryRow(transaction_id=row.id or 0, account=account, amount_micros=amount))
    await session.flush()
    return row


async def balance(session: AsyncSession, owner_id: str) -> int:
    """What an owner has, in micro-dollars."""
    found = await session.exec(select(WalletRow.balance_micros).where(WalletRow.owner_id == owner_id))
    return found.one_or_none() or 0


async def held(session: AsyncSession, owner_id: str) -> int:
    """What the owner's running calls may still cost."""
    found = await session.exec(
        select(func.coalesce(func.sum(HoldRow.amount_micros), 0)).where(HoldRow.owner_id == owner_id)
    )
    return int(found.one())


async def faults(session: AsyncSession) -> list[str]:
    """What is wrong with the book, a line each: a proof that reads all of it, for checks and tests."""
    wrong = []
    unbalanced = await session.exec(
        select(EntryRow.transaction_id)
        .group_by(col(EntryRow.transaction_id))
        .having(func.sum(EntryRow.amount_micros) != 0)
    )
    wrong += [f"the entries of transaction {id_} do not add up to nothing" for id_ in unbalanced.all()]
    summed = await session.exec(
        select(EntryRow.account, func.sum(EntryRow.amount_micros))
        .where(col(EntryRow.account).startswith(_WALLET))
        .group_by(col(EntryRow.account))
    )
    sums = {account: int(total) for account, total in summed.all()}
    for row in (await session.exec(select(WalletRow))).all():
        if row.balance_micros != sums.pop(wallet(row.owner_id), 0):
            wrong.append(f"the balance of {row.owner_id} is not the sum of its entries")
    passed_on = await session.exec(
        select(EntryRow.account)
        .where(col(EntryRow.account).in_(PASSED_ON))
        .group_by(col(EntryRow.account))
        .having(func.sum(EntryRow.amount_micros) != 0)
    )
    wrong += [f"{account} is not empty" for account in passed_on.all()]
    return wrong + [f"{account} has entries and no wallet" for account, total in sums.items() if total]
