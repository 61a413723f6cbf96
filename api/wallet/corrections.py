"""What comes again to an owner: a call that was charged for longer than it turned out to have been."""

from decimal import Decimal

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.wallet import ledger
from api.wallet.charges import Tariff
from api.wallet.money import text
from api.wallet.table import TransactionRow


async def shorten(session: AsyncSession, call_id: str, duration_ms: int) -> TransactionRow | None:
    """Refund the seconds that a charged call did not last. One that lasted longer is charged no more.

    It counts on the day of the charge, as what was used then. A tenant's owner keeps what they earned by it.
    """
    found = await session.exec(select(TransactionRow).where(TransactionRow.key == f"call:{call_id}"))
    if (charged := found.one_or_none()) is None or charged.explanation is None:
        return None
    await ledger.lock(session, charged.owner_id)  # two words at once: the second sees the first's refund
    told = charged.explanation
    tariff = Tariff(
        per_minute={part["name"]: Decimal(part["rate_per_min"]) for part in told["parts"]},
        margin_percent=Decimal(told["margin_percent"]),
        rounding_seconds=int(told["rounding_seconds"]),
        tenant_margin_percent=Decimal(told.get("tenant_margin_percent", 0)),
    )
    price = tariff.price(duration_ms / 1000)
    summed = await session.exec(
        select(
            func.coalesce(func.sum(TransactionRow.amount_micros), 0),
            func.coalesce(func.sum(col(TransactionRow.cost_micros)), 0),
            func.coalesce(func.sum(col(TransactionRow.margin_micros)), 0),
            func.coalesce(func.sum(TransactionRow.duration_ms), 0),
        ).where(col(TransactionRow.call_id) == call_id, TransactionRow.owner_id == charged.owner_id)
    )
    amount, cost, margin, counted_ms = (int(value or 0) for value in summed.one())
    too_much = -amount - price.total
    if too_much <= 0:
        return None
    payer = ledger.wallet(charged.owner_id) if told["paid_by"] == "wallet" else "house"
    row = TransactionRow(
        key=f"call:{call_id}:shortened:{price.billed_seconds}",
        owner_id=charged.owner_id,
        type="refund",
        amount_micros=too_much,
        description=f"The call had {price.billed_seconds} s, not {told['billed_seconds']} s",
        explanation={
            "billed_seconds": price.billed_seconds,
            "charged_seconds": told["billed_seconds"],
            "total_usd": text(too_much),
            "paid_to": told["paid_by"],
        },
        cost_micros=price.cost - cost,
        margin_micros=price.margin - margin,
        endpoint_type="voice",
        call_id=call_id,
        agent_id=charged.agent_id,
        duration_ms=duration_ms - counted_ms,
        day=charged.day,
        hour=charged.hour,
    )
    return await ledger.post(session, row, {payer: too_much, "revenue": -too_much})
