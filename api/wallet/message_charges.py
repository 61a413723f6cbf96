"""What is charged by the piece, a message or its parts: held back under its key, charged once under it."""

from decimal import Decimal

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.inserts import insert_new
from api.wallet import ledger
from api.wallet.charges import InsufficientBalance, earning_key, pay_tenant
from api.wallet.money import micros, rounded, text
from api.wallet.rates import Rates
from api.wallet.table import HoldRow, TransactionRow


class Tariff(BaseModel):
    """What some messages cost, as it was when they came."""

    model_config = ConfigDict(frozen=True)

    per_message: Decimal = Decimal(0)
    messages: int = 1
    margin_percent: Decimal = Decimal(0)
    tenant_owner_id: str = ""
    """Of a tenant's member: whose member they are."""
    tenant_margin_percent: Decimal = Decimal(0)
    """What that owner adds to all of it, and is paid."""

    @classmethod
    def of(
        cls, rates: Rates, per_message: Decimal, messages: int, tenant: tuple[str, Decimal] | None
    ) -> "Tariff":
        """By today's rates. `tenant` is whose member the owner is, and what is added for them, in percent."""
        owner_id, margin = tenant or ("", Decimal(0))
        return cls(
            per_message=per_message,
            messages=messages,
            margin_percent=rates.margin_percent,
            tenant_owner_id=owner_id,
            tenant_margin_percent=margin,
        )

    @property
    def cost(self) -> int:
        """By the rate alone, in micro-dollars."""
        return micros(self.per_message * self.messages)

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
    session: AsyncSession, key: str, owner_id: str, tariff: Tariff, rates: Rates, *, is_billed: bool
) -> None:
    """Hold back what it costs. Raises `InsufficientBalance`; nothing for what is free or held already."""
    if not tariff.per_message or await session.get(HoldRow, key) is not None:
        return
    amount = 0
    if is_billed:
        wallet = await ledger.lock(session, owner_id)
        left = wallet.balance_micros - await ledger.held(session, owner_id)
        amount = tariff.total
        if left < max(amount, micros(rates.min_balance_usd)):
            raise InsufficientBalance
    row = HoldRow(
        call_id=key,
        owner_id=owner_id,
        is_billed=is_billed,
        amount_micros=amount,
        seconds=0,
        tariff=tariff.model_dump(mode="json"),
    )
    await insert_new(session, HoldRow, [row])


async def charge(
    session: AsyncSession, row: TransactionRow, taken: int, told: dict[str, object]
) -> TransactionRow | None:
    """Charge by what was held under the row's key; None for what costs nobody anything.

    The row names what it was for; its amounts are filled in. `taken` is what the provider takes, in
    micro-dollars, and `told` what a tenant's owner is told of it.
    """
    held = await session.get(HoldRow, row.key, with_for_update=True)
    tariff, payer = Tariff(), "house"
    if held is not None:
        await session.exec(delete(HoldRow).where(col(HoldRow.call_id) == held.call_id))
        tariff = Tariff.model_validate(held.tariff)
        payer = ledger.wallet(row.owner_id) if held.is_billed else "house"
    if not tariff.total + taken:
        return None
    entries = {payer: -tariff.total, "revenue": tariff.cost + tariff.margin}
    if tariff.tenant_margin:
        entries[ledger.EARNINGS] = tariff.tenant_margin
        for locked in sorted((row.owner_id, tariff.tenant_owner_id)):  # as transfers do
            await ledger.lock(session, locked)
    if taken:
        entries |= {"provider_cost": -taken, "provider_due": taken}
    _explain(row, tariff, is_house=payer == "house")
    charged = await ledger.post(session, row, entries)
    if tariff.tenant_margin:
        said = {**told, "margin_percent": str(tariff.tenant_margin_percent)}
        kind = row.endpoint_type or ""
        await pay_tenant(
            session, earning_key(row.key), tariff.tenant_owner_id, tariff.tenant_margin, kind, said
        )
    return charged


def _explain(row: TransactionRow, tariff: Tariff, *, is_house: bool) -> None:
    row.amount_micros = -tariff.total
    row.description += (
        f" at ${tariff.per_message}"
        + (f" + {tariff.margin_percent} %" if tariff.margin else "")
        + (f" + {tariff.tenant_margin_percent} %" if tariff.tenant_margin else "")
        + ("; paid by this server" if is_house else "")
    )
    row.explanation = {
        "messages": tariff.messages,
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
    }
    row.cost_micros, row.margin_micros = tariff.cost, tariff.margin
    row.margin_percent, row.tenant_micros = float(tariff.margin_percent), tariff.tenant_margin


async def let_go(session: AsyncSession, key: str) -> None:
    """It will not be charged."""
    await session.exec(delete(HoldRow).where(col(HoldRow.call_id) == key))
