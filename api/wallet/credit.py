"""How money comes into a wallet: by an administrator's grant, and as a welcome."""

import logging
import secrets
from decimal import Decimal

from sqlmodel.ext.asyncio.session import AsyncSession

from api.settings import Settings
from api.wallet import ledger
from api.wallet import rates as price_list
from api.wallet.money import micros
from api.wallet.table import TransactionRow

_LOG = logging.getLogger(__name__)

MAX_GRANT_USD = 1_000_000


async def grant(
    session: AsyncSession, owner_id: str, usd: Decimal, *, note: str, granted_by: str, key: str = ""
) -> TransactionRow:
    """Credit a wallet; who did it and why stays in the book. The same `key` twice is one grant."""
    amount = micros(usd)
    if not 0 < amount <= micros(MAX_GRANT_USD):
        raise ValueError(f"an amount is more than 0 and at most {MAX_GRANT_USD} dollars")
    row = TransactionRow(
        key=f"manual:{key or secrets.token_hex(12)}",
        owner_id=owner_id,
        type="topup",
        amount_micros=amount,
        description=note or "Credit",
        explanation={"provider": "manual", "granted_by": granted_by, "note": note},
    )
    made = await ledger.post(session, row, {"payments:manual": -amount, ledger.wallet(owner_id): amount})
    _LOG.info("credit granted", extra={"owner_id": owner_id, "micros": amount, "granted_by": granted_by})
    return made


async def welcome(session: AsyncSession, owner_id: str, settings: Settings) -> None:
    """Give somebody new what they may try calls with, once, where billing is on."""
    amount = micros(price_list.load(settings.rates).signup_bonus_usd)
    if not settings.is_billing or not amount:
        return
    row = TransactionRow(
        key=f"bonus:{owner_id}",
        owner_id=owner_id,
        type="topup",
        amount_micros=amount,
        description="Welcome",
        explanation={"provider": "bonus"},
    )
    await ledger.post(session, row, {"bonus": -amount, ledger.wallet(owner_id): amount})
