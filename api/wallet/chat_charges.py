"""What an answer in text costs its owner: held back while it is thought of, charged once with it."""

from datetime import timedelta
from decimal import Decimal

from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.inserts import insert_new
from api.wallet import ledger
from api.wallet.charges import InsufficientBalance
from api.wallet.money import micros, rounded, text
from api.wallet.rates import Rates
from api.wallet.table import HoldRow, TransactionRow

ABANDONED = timedelta(hours=1)
"""No answer takes as long: whoever held this back is gone, and a message sent again holds anew."""
_PREFIX = "chat:"


async def hold(
    session: AsyncSession, message_id: str, owner_id: str, rates: Rates, *, is_billed: bool
) -> None:
    """Hold back what an answer costs. Raises `InsufficientBalance`; nothing for one that is free."""
    if not rates.chat_rate_per_message:
        return
    name = f"{_PREFIX}{message_id}"
    if await session.get(HoldRow, name) is not None:
        return
    amount = 0
    if is_billed:
        wallet = await ledger.lock(session, owner_id)
        left = wallet.balance_micros - await ledger.held(session, owner_id)
        cost, margin = _price(rates.chat_rate_per_message, rates.margin_percent)
        amount = cost + margin
        if left < max(amount, micros(rates.min_balance_usd)):
            raise InsufficientBalance
    row = HoldRow(
        call_id=name,
        owner_id=owner_id,
        is_billed=is_billed,
        amount_micros=amount,
        seconds=0,
        tariff={"per_message": str(rates.chat_rate_per_message), "margin_percent": str(rates.margin_percent)},
    )
    await insert_new(session, HoldRow, [row])


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
    held = await session.get(HoldRow, f"{_PREFIX}{message_id}", with_for_update=True)
    cost = margin = 0
    rate, margin_percent, payer = Decimal(0), Decimal(0), "house"
    if held is not None:
        await session.exec(delete(HoldRow).where(col(HoldRow.call_id) == held.call_id))
        rate, margin_percent = Decimal(held.tariff["per_message"]), Decimal(held.tariff["margin_percent"])
        cost, margin = _price(rate, margin_percent)
        payer = ledger.wallet(owner_id) if held.is_billed else "house"
    taken = micros(provider_usd or 0)
    if not cost + margin + taken:
        return None
    entries = {payer: -(cost + margin), "revenue": cost + margin}
    if taken:
        entries |= {"provider_cost": -taken, "provider_due": taken}
    is_house = payer == "house"
    row = TransactionRow(
        key=f"{_PREFIX}{message_id}",
        owner_id=owner_id,
        type="usage",
        amount_micros=-(cost + margin),
        description=f"Chat message at ${rate}"
        + (f" + {margin_percent} %" if margin else "")
        + ("; paid by this server" if is_house else ""),
        explanation={
            "messages": 1,
            "rate_per_message": str(rate),
            "margin_percent": str(margin_percent),
            "margin_usd": text(margin),
            "total_usd": text(cost + margin),
            "paid_by": "this server" if is_house else "wallet",
        },
        cost_micros=cost,
        margin_micros=margin,
        margin_percent=float(margin_percent),
        endpoint_type="chat",
        chat_id=chat_id,
        agent_id=agent_id,
        llm_model=model or None,
        tokens_in=tokens[0],
        tokens_out=tokens[1],
        llm_micros=taken,
    )
    return await ledger.post(session, row, entries)


async def let_go(session: AsyncSession, message_id: str) -> None:
    """There will be no answer."""
    await session.exec(delete(HoldRow).where(col(HoldRow.call_id) == f"{_PREFIX}{message_id}"))


async def forget_abandoned(session: AsyncSession) -> None:
    """Let go of what processes held back that died."""
    await session.exec(
        delete(HoldRow).where(
            col(HoldRow.call_id).startswith(_PREFIX), col(HoldRow.created_at) < now() - ABANDONED
        )
    )


def _price(rate: Decimal, margin_percent: Decimal) -> tuple[int, int]:
    cost = micros(rate)
    return cost, rounded(cost * margin_percent / 100)
