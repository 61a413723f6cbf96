"""What a text message costs its owner, for each of its parts: held back with it, charged once it is sent."""

from decimal import Decimal

from sqlmodel.ext.asyncio.session import AsyncSession

from api.wallet import message_charges
from api.wallet.message_charges import Tariff
from api.wallet.rates import Rates
from api.wallet.table import TransactionRow

_PREFIX = "sms:"


async def hold(
    session: AsyncSession,
    sms_id: str,
    owner_id: str,
    rates: Rates,
    *,
    segments: int,
    is_billed: bool,
    tenant: tuple[str, Decimal] | None,
) -> None:
    """Hold back what a message costs. Raises `InsufficientBalance`; nothing for one that is free."""
    tariff = Tariff.of(rates, rates.sms_rate_per_segment, segments, tenant)
    await message_charges.hold(session, f"{_PREFIX}{sms_id}", owner_id, tariff, rates, is_billed=is_billed)


async def charge(
    session: AsyncSession,
    sms_id: str,
    *,
    owner_id: str,
    chat_id: str | None,
    agent_id: str | None,
    carrier_micros: int,
) -> TransactionRow | None:
    """Charge a message that the carrier has. Again, it changes nothing."""
    row = TransactionRow(
        key=f"{_PREFIX}{sms_id}",
        owner_id=owner_id,
        type="usage",
        amount_micros=0,
        description="Text message",
        endpoint_type="sms",
        chat_id=chat_id,
        agent_id=agent_id,
    )
    return await message_charges.charge(session, row, carrier_micros, {"sms_id": sms_id})


async def let_go(session: AsyncSession, sms_id: str) -> None:
    """It was not sent."""
    await message_charges.let_go(session, f"{_PREFIX}{sms_id}")
