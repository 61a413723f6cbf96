"""What an answer in text costs its owner: held back while it is thought of, charged once with it."""

from datetime import timedelta
from decimal import Decimal

from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.wallet import message_charges
from api.wallet.message_charges import Tariff
from api.wallet.money import micros
from api.wallet.rates import Rates
from api.wallet.table import HoldRow, TransactionRow

ABANDONED = timedelta(hours=1)
"""No answer takes as long: whoever held this back is gone, and a message sent again holds anew."""
_PREFIX = "chat:"


async def hold(
    session: AsyncSession,
    message_id: str,
    owner_id: str,
    rates: Rates,
    *,
    is_billed: bool,
    tenant: tuple[str, Decimal] | None = None,
) -> None:
    """Hold back what an answer costs. Raises `InsufficientBalance`; nothing for one that is free.

    `tenant` is whose member the owner is, and what is added for them, in percent.
    """
    tariff = Tariff.of(rates, rates.chat_rate_per_message, 1, tenant)
    await message_charges.hold(
        session, f"{_PREFIX}{message_id}", owner_id, tariff, rates, is_billed=is_billed
    )


async def charge(
    session: AsyncSession,
    message_id: str,
    *,
    owner_id: str,
    chat_id: str,
    agent_id: str | None,
    model: str,
    tokens: tuple[int, int],
    provider_usd: float | None,
) -> TransactionRow | None:
    """Charge an answer by the rate it was held by. None for one that costs nobody anything."""
    taken = micros(provider_usd or 0)
    row = TransactionRow(
        key=f"{_PREFIX}{message_id}",
        owner_id=owner_id,
        type="usage",
        amount_micros=0,
        description="Chat message",
        endpoint_type="chat",
        chat_id=chat_id,
        agent_id=agent_id,
        llm_model=model or None,
        tokens_in=tokens[0],
        tokens_out=tokens[1],
        llm_micros=taken,
    )
    return await message_charges.charge(session, row, taken, {"chat_id": chat_id})


async def let_go(session: AsyncSession, message_id: str) -> None:
    """There will be no answer."""
    await message_charges.let_go(session, f"{_PREFIX}{message_id}")


async def forget_abandoned(session: AsyncSession) -> None:
    """Let go of what processes held back that died."""
    await session.exec(
        delete(HoldRow).where(
            col(HoldRow.call_id).startswith(_PREFIX), col(HoldRow.created_at) < now() - ABANDONED
        )
    )
