"""What comes again to an owner: a call that was charged for longer than it turned out to have been.

member's   wallet:user_2 +0.110000      owner's   wallet:user_1 -0.010000
           revenue       -0.100000                earnings      +0.010000
           earnings      -0.010000
"""

from decimal import Decimal

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.wallet import ledger
from api.wallet.charges import Tariff, earning_key
from api.wallet.money import text
from api.wallet.table import TransactionRow


async def shorten(session: AsyncSession, call_id: str, duration_ms: int) -> TransactionRow | None:
    """Refund the seconds that a charged call did not last. One that lasted longer is charged no more.

    It counts on the day of the charge, as what was used then. A tenant's owner gives back what they earned
    by those seconds, though they may have spent it: their balance may fall below nothing by it.
    """
    charged = await _found(session, f"call:{call_id}")
    if charged is None or charged.explanation is None:
        return None
    earned = await _found(session, earning_key(call_id)) if charged.tenant_micros else None
    # Two words at once: the second sees the first's refund. In the order that transfers lock in.
    for owner_id in sorted({row.owner_id for row in (charged, earned) if row is not None}):
        await ledger.lock(session, owner_id)
    told = charged.explanation
    tariff = Tariff(
        per_minute={part["name"]: Decimal(part["rate_per_min"]) for part in told["parts"]},
        margin_percent=Decimal(told["margin_percent"]),
        rounding_seconds=int(told["rounding_seconds"]),
        tenant_margin_percent=Decimal(told.get("tenant_margin_percent", 0)),
    )
    with_agent = told.get("agent_seconds")  # as it was charged: when the agent left does not change
    price = tariff.price(duration_ms / 1000, with_agent)
    summed = await session.exec(
        select(  # type: ignore[call-overload]
            func.coalesce(func.sum(TransactionRow.amount_micros), 0),
            func.coalesce(func.sum(col(TransactionRow.cost_micros)), 0),
            func.coalesce(func.sum(col(TransactionRow.margin_micros)), 0),
            func.coalesce(func.sum(TransactionRow.tenant_micros), 0),
            func.coalesce(func.sum(TransactionRow.duration_ms), 0),
        ).where(col(TransactionRow.call_id) == call_id, TransactionRow.owner_id == charged.owner_id)
    )
    amount, cost, margin, tenant, counted_ms = (int(value or 0) for value in summed.one())
    too_much = -amount - price.total
    if too_much <= 0:
        return None
    payer = ledger.wallet(charged.owner_id) if told["paid_by"] == "wallet" else "house"
    unearned = tenant - price.tenant_margin
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
        tenant_micros=-unearned,
        endpoint_type="voice",
        call_id=call_id,
        agent_id=charged.agent_id,
        duration_ms=duration_ms - counted_ms,
        day=charged.day,
        hour=charged.hour,
    )
    entries = {payer: too_much, "revenue": unearned - too_much}
    if unearned:
        entries[ledger.EARNINGS] = -unearned
    refunded = await ledger.post(session, row, entries)
    if earned is not None and unearned:
        await _take_back(session, earned, unearned, price.billed_seconds)
    return refunded


async def _found(session: AsyncSession, key: str) -> TransactionRow | None:
    return (await session.exec(select(TransactionRow).where(TransactionRow.key == key))).one_or_none()


async def _take_back(session: AsyncSession, earned: TransactionRow, amount: int, billed_seconds: int) -> None:
    """What a tenant's owner did not earn after all."""
    row = TransactionRow(
        key=f"{earned.key}:shortened:{billed_seconds}",
        owner_id=earned.owner_id,
        type="earning",
        amount_micros=-amount,
        description="Margin of a member's call that was shorter",
        explanation=earned.explanation,
        day=earned.day,
        hour=earned.hour,
    )
    await ledger.post(session, row, {ledger.EARNINGS: amount, ledger.wallet(earned.owner_id): -amount})
