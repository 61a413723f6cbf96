"""Money from one wallet to another: two transactions, both or neither, over the account `transfers`.

owner's    wallet:user_1 -5.000000      member's   transfers     -5.000000
           transfers     +5.000000                 wallet:user_2 +5.000000
"""

import secrets

from sqlmodel.ext.asyncio.session import AsyncSession

from api.wallet import ledger
from api.wallet.charges import InsufficientBalance
from api.wallet.table import TransactionRow


async def available(session: AsyncSession, owner_id: str) -> int:
    """What an owner has and no running call holds, in micro-dollars."""
    return await ledger.balance(session, owner_id) - await ledger.held(session, owner_id)


async def transfer(
    session: AsyncSession, *, from_owner: str, to_owner: str, amount: int, note: str
) -> TransactionRow:
    """Move an amount; the transaction of who gave it. Raises `InsufficientBalance`: nobody gives what they
    have not, or what their running calls hold.
    """
    if amount <= 0 or from_owner == to_owner:
        raise ValueError("a transfer is of something, from one to another")
    for owner_id in sorted(
        (from_owner, to_owner)
    ):  # always in this order, so that two never wait for each other
        await ledger.lock(session, owner_id)
    if await available(session, from_owner) < amount:
        raise InsufficientBalance
    number = secrets.token_hex(12)
    given = await ledger.post(
        session,
        _half(f"transfer:{number}:out", from_owner, -amount, note, to_owner),
        {ledger.wallet(from_owner): -amount, ledger.TRANSFERS: amount},
    )
    await ledger.post(
        session,
        _half(f"transfer:{number}:in", to_owner, amount, note, from_owner),
        {ledger.TRANSFERS: -amount, ledger.wallet(to_owner): amount},
    )
    return given


def _half(key: str, owner_id: str, amount: int, note: str, other: str) -> TransactionRow:
    return TransactionRow(
        key=key,
        owner_id=owner_id,
        type="transfer",
        amount_micros=amount,
        description=note or ("Credit given" if amount < 0 else "Credit received"),
        explanation={"provider": "transfer", "to" if amount < 0 else "from": other, "note": note},
    )
