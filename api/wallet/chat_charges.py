"""What an answer in text costs its owner: held back while it is thought of, charged once with it."""

from datetime import timedelta
from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.db.inserts import insert_new
from api.wallet import ledger
from api.wallet.charges import InsufficientBalance, earning_key, pay_tenant
from api.wallet.money import micros, rounded, text
from api.wallet.rates import Rates
from api.wallet.table import HoldRow, TransactionRow

ABANDONED = timedelta(hours=1)
"""No answer takes as long: whoever held this back is gone, and a message sent again holds anew."""
_PREFIX = "chat:"


class _Tariff(BaseModel):
    """What one answer costs, as it was when the message came."""

    model_config = ConfigDict(frozen=True)

    per_message: Decimal = Decimal(0)
    margin_percent: Decimal = Decimal(0)
    tenant_owner_id: str = ""
    """Of a tenant's member: whose member they are."""
    tenant_margin_percent: Decimal = Decimal(0)
    """What that owner adds to all of it, and is paid."""

    @property
    def cost(self) -> int:
        """By the rate alone, in micro-dollars."""
        return micros(self.per_message)

    @property
    def margin(self) -> int:
        """Of this server."""
        return rounded(self.cost * self.margin_percent / 100)

    @property
    def tenant_margin(self) -> int:
        """What a tenant's owner earns by it."""
        return rounded((self.cost + self.margin) * self.tenant_margin_percent / 100)

    @property
    def total(self) -> int:
        """What the owner is charged."""
        return self.cost + self.margin + self.tenant_margin


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
    if not rates.chat_rate_per_message:
        return
    name = f"{_PREFIX}{message_id}"
    if await session.get(HoldRow, name) is not None:
        return
    amount = 0
    tenant_owner_id, tenant_margin = tenant or ("", Decimal(0))
    tariff = _Tariff(
        per_message=rates.chat_rate_per_message,
        margin_percent=rates.margin_percent,
        tenant_owner_id=tenant_owner_id,
        tenant_margin_percent=tenant_margin,
    )
    if is_billed:
        wallet = await ledger.lock(session, owner_id)
        left = wallet.balance_micros - await ledger.held(session, owner_id)
        amount = tariff.total
        if left < max(amount, micros(rates.min_balance_usd)):
            raise InsufficientBalance
    row = HoldRow(
        call_id=name,
        owner_id=owner_id,
        is_billed=is_billed,
        amount_micros=amount,
        seconds=0,
        tariff=tariff.model_dump(mode="json"),
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
    tariff, payer = _Tariff(), "house"
    if held is not None:
        await session.exec(delete(HoldRow).where(col(HoldRow.call_id) == held.call_id))
        tariff = _Tariff.model_validate(held.tariff)
        payer = ledger.wallet(owner_id) if held.is_billed else "house"
    taken = micros(provider_usd or 0)
    if not tariff.total + taken:
        return None
    entries = {payer: -tariff.total, "revenue": tariff.cost + tariff.margin}
    if tariff.tenant_margin:
        entries[ledger.EARNINGS] = tariff.tenant_margin
        for locked in sorted((owner_id, tariff.tenant_owner_id)):  # as transfers do
            await ledger.lock(session, locked)
    if taken:
        entries |= {"provider_cost": -taken, "provider_due": taken}
    is_house = payer == "house"
    row = TransactionRow(
        key=f"{_PREFIX}{message_id}",
        owner_id=owner_id,
        type="usage",
        amount_micros=-tariff.total,
        description=f"Chat message at ${tariff.per_message}"
        + (f" + {tariff.margin_percent} %" if tariff.margin else "")
        + (f" + {tariff.tenant_margin_percent} %" if tariff.tenant_margin else "")
        + ("; paid by this server" if is_house else ""),
        explanation={
            "messages": 1,
            "rate_per_message": str(tariff.per_message),
            "margin_percent": str(tariff.margin_percent),
            "margin_usd": text(tariff.margin),
            **(
                {
                    "tenant_margin_percent": str(tariff.tenant_margin_percent),
                    "tenant_margin_usd": text(tariff.tenant_margin),
                }
                if tariff.tenant_margin
                else {}
            ),
            "total_usd": text(tariff.total),
            "paid_by": "this server" if is_house else "wallet",
        },
        cost_micros=tariff.cost,
        margin_micros=tariff.margin,
        margin_percent=float(tariff.margin_percent),
        tenant_micros=tariff.tenant_margin,
        endpoint_type="chat",
        chat_id=chat_id,
        agent_id=agent_id,
        llm_model=model or None,
        tokens_in=tokens[0],
        tokens_out=tokens[1],
        llm_micros=taken,
    )
    charged = await ledger.post(session, row, entries)
    if tariff.tenant_margin:
        told: dict[str, object] = {"chat_id": chat_id, "margin_percent": str(tariff.tenant_margin_percent)}
        key = earning_key(f"{_PREFIX}{message_id}")
        await pay_tenant(session, key, tariff.tenant_owner_id, tariff.tenant_margin, "chat", told)
    return charged


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
