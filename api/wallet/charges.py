"""What a call costs its owner: held back when it begins, charged once when it is over."""

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from pydantic import BaseModel, ConfigDict
from sqlmodel import col, delete
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.inserts import insert_new
from api.http.errors import PaymentRequired
from api.wallet import ledger
from api.wallet.money import micros, rounded, text
from api.wallet.rates import Rates
from api.wallet.table import HoldRow, TransactionRow
from pipelines.costs import CostSplit, Engines


class InsufficientBalance(PaymentRequired):
    """Insufficient balance"""


Part = Literal["base", "telephony", "outbound", "recording", "realtime"]
_BY_THE_AGENT: frozenset[Part] = frozenset(("recording", "realtime"))
"""What nobody does any more in a call whose agent has left: no realtime model hears then, and nothing is
recorded unless its agent is set to."""

_UNHEARD = (
    "Two people were put through to each other: nothing was recorded and no realtime model listened from "
    "then on, so those minutes have no part for that."
)
_AND_RECORDED = (
    "Two people were put through to each other: they were recorded, as their agent says "
    "(`record_after_transfer`), and no realtime model listened from then on, so those minutes have no part "
    "for that."
)


class Tariff(BaseModel):
    """What one call costs, as it was when the call began."""

    model_config = ConfigDict(frozen=True)

    per_minute: dict[Part, Decimal]
    margin_percent: Decimal
    rounding_seconds: int
    tenant_owner_id: str = ""
    """Of a tenant's member: whose member they are."""
    tenant_margin_percent: Decimal = Decimal(0)
    """What that owner adds to all of it, and is paid."""
    is_recorded_after_transfer: bool = False
    """Also when its agent has left."""

    @classmethod
    def of(
        cls,
        rates: Rates,
        *,
        is_phone: bool,
        is_outbound: bool,
        is_recorded: bool,
        is_realtime: bool,
        is_recorded_after_transfer: bool = False,
    ) -> "Tariff":
        """The parts that this call has."""
        parts: dict[Part, tuple[bool, Decimal]] = {
            "base": (True, rates.base_rate_per_min),
            "telephony": (is_phone, rates.telephony_rate_per_min),
            "outbound": (is_outbound, rates.outbound_surcharge_per_min),
            "recording": (is_recorded, rates.recording_rate_per_min),
            "realtime": (is_realtime, rates.realtime_surcharge_per_min),
        }
        return cls(
            per_minute={name: rate for name, (applies, rate) in parts.items() if applies and rate},
            margin_percent=rates.margin_percent,
            rounding_seconds=rates.rounding_seconds,
            is_recorded_after_transfer=is_recorded_after_transfer,
        )

    @property
    def by_the_agent(self) -> frozenset[Part]:
        """The parts that end with the agent."""
        return _BY_THE_AGENT - {"recording"} if self.is_recorded_after_transfer else _BY_THE_AGENT

    @property
    def micros_per_minute(self) -> Decimal:
        """All of it, the margin too."""
        margins = (1 + self.margin_percent / 100) * (1 + self.tenant_margin_percent / 100)
        return sum(self.per_minute.values(), Decimal(0)) * margins * 1_000_000

    def price(self, seconds: float, agent_seconds: float | None = None) -> "Price":
        """The price of so many seconds; in how many of them the agent was there, if not in all."""
        billed = self._billed(seconds)
        talked = billed if agent_seconds is None else min(billed, self._billed(agent_seconds))
        parts = {
            name: micros(rate * (talked if name in self.by_the_agent else billed) / 60)
            for name, rate in self.per_minute.items()
        }
        cost = sum(parts.values())
        margin = rounded(cost * self.margin_percent / 100)
        tenant_margin = rounded((cost + margin) * self.tenant_margin_percent / 100)
        return Price(billed, parts, cost, margin, tenant_margin, talked, self.by_the_agent)

    def _billed(self, seconds: float) -> int:
        return math.ceil(seconds / self.rounding_seconds) * self.rounding_seconds

    def seconds_for(self, amount: int, longest: int) -> int:
        """How many seconds, up to the longest, an amount is enough for."""
        if self.price(longest).total <= amount:
            return longest
        steps = int(amount * 60 / self.micros_per_minute) // self.rounding_seconds
        while steps > 0 and self.price(steps * self.rounding_seconds).total > amount:
            steps -= 1  # rounding took a millionth more
        return min(longest, steps * self.rounding_seconds)


@dataclass(frozen=True)
class Price:
    """What so many seconds cost, part by part, in micro-dollars."""

    billed_seconds: int
    parts: dict[Part, int]
    cost: int
    margin: int
    tenant_margin: int = 0
    """What a tenant's owner earns by it."""
    agent_seconds: int = 0
    """Of the billed ones, those with the agent."""
    by_the_agent: frozenset[Part] = _BY_THE_AGENT

    def seconds_of(self, part: Part) -> int:
        """For how many seconds a part is charged."""
        return self.agent_seconds if part in self.by_the_agent else self.billed_seconds

    @property
    def total(self) -> int:
        """What the owner is charged."""
        return self.cost + self.margin + self.tenant_margin


async def require(session: AsyncSession, owner_id: str, rates: Rates) -> None:
    """Raise `InsufficientBalance` where the owner has less than a call needs to begin."""
    left = await ledger.balance(session, owner_id) - await ledger.held(session, owner_id)
    if left < micros(rates.min_balance_usd) or left <= 0:
        raise InsufficientBalance


async def hold(
    session: AsyncSession,
    *,
    call_id: str,
    owner_id: str,
    tariff: Tariff,
    longest_seconds: int,
    rates: Rates,
    is_billed: bool,
) -> HoldRow:
    """Hold back what a call may cost, or all that is left where that is less; the hold it has if it has one.

    Raises `InsufficientBalance` where nothing can be held. With billing off nothing is held back.
    """
    if (kept := await session.get(HoldRow, call_id)) is not None:
        return kept
    seconds, amount = longest_seconds, 0
    if is_billed:
        wallet = await ledger.lock(session, owner_id)
        left = wallet.balance_micros - await ledger.held(session, owner_id)
        seconds = tariff.seconds_for(left, longest_seconds)
        if left < micros(rates.min_balance_usd) or left <= 0 or seconds < 1:
            raise InsufficientBalance
        amount = min(left, tariff.price(seconds).total)
    row = HoldRow(
        call_id=call_id,
        owner_id=owner_id,
        is_billed=is_billed,
        amount_micros=amount,
        seconds=seconds,
        tariff=tariff.model_dump(mode="json"),
    )
    await insert_new(session, HoldRow, [row])
    return row


@dataclass(frozen=True)
class Used:
    """What a call was and used, as its settlement found it."""

    agent_id: str | None
    duration_ms: int
    tokens_in: int
    tokens_out: int
    characters: int
    engines: Engines | None
    providers: CostSplit | None
    agent_ms: int | None = None
    """As much of it as the agent was there; None: all."""


async def charge(session: AsyncSession, call_id: str, used: Used) -> TransactionRow | None:
    """Charge a call and let go of what it held. Again, it changes nothing; None for one that held nothing.

    A call that was never talked in costs nothing and leaves no line.
    """
    held = await session.get(HoldRow, call_id, with_for_update=True)
    if held is None:
        return None
    await session.exec(delete(HoldRow).where(col(HoldRow.call_id) == call_id))
    tariff = Tariff.model_validate(held.tariff)
    price = tariff.price(used.duration_ms / 1000, None if used.agent_ms is None else used.agent_ms / 1000)
    if price.billed_seconds == 0:
        return None
    payer = ledger.wallet(held.owner_id) if held.is_billed else "house"
    entries = {payer: -price.total, "revenue": price.cost + price.margin}
    if price.tenant_margin:
        entries[ledger.EARNINGS] = price.tenant_margin
        for owner_id in sorted((held.owner_id, tariff.tenant_owner_id)):  # as transfers do
            await ledger.lock(session, owner_id)
    providers = used.providers
    llm, stt, tts = (
        (micros(providers.llm_usd or 0), micros(providers.stt_usd or 0), micros(providers.tts_usd or 0))
        if providers is not None
        else (0, 0, 0)
    )
    if taken := llm + stt + tts:
        entries |= {"provider_cost": -taken, "provider_due": taken}
    row = TransactionRow(
        key=f"call:{call_id}",
        owner_id=held.owner_id,
        type="usage",
        amount_micros=-price.total,
        description=_describe(price, tariff, is_billed=held.is_billed),
        explanation=_explain(price, tariff, used.duration_ms, is_billed=held.is_billed),
        cost_micros=price.cost,
        margin_micros=price.margin,
        margin_percent=float(tariff.margin_percent),
        tenant_micros=price.tenant_margin,
        endpoint_type="voice",
        call_id=call_id,
        agent_id=used.agent_id,
        duration_ms=used.duration_ms,
        llm_model=used.engines.llm if used.engines else None,
        stt_model=used.engines.stt if used.engines else None,
        tts_model=used.engines.tts if used.engines else None,
        tokens_in=used.tokens_in,
        tokens_out=used.tokens_out,
        characters=used.characters,
        llm_micros=llm,
        stt_micros=stt,
        tts_micros=tts,
    )
    charged = await ledger.post(session, row, entries)
    if price.tenant_margin:
        told: dict[str, object] = {"call_id": call_id, "margin_percent": str(tariff.tenant_margin_percent)}
        await pay_tenant(
            session, earning_key(call_id), tariff.tenant_owner_id, price.tenant_margin, "call", told
        )
    return charged


def earning_key(name: str) -> str:
    """Of the transaction that pays a tenant's owner for a member's call, or for an answer in text."""
    return f"earning:{name}"


async def pay_tenant(
    session: AsyncSession, key: str, owner_id: str, amount: int, what: str, explanation: dict[str, object]
) -> None:
    """What a tenant's owner earns by what a member used: it came into `earnings` with the member's charge."""
    row = TransactionRow(
        key=key,
        owner_id=owner_id,
        type="earning",
        amount_micros=amount,
        description=f"Margin of a member's {what}",
        explanation=explanation,
    )
    await ledger.post(session, row, {ledger.EARNINGS: -amount, ledger.wallet(owner_id): amount})


def _describe(price: Price, tariff: Tariff, *, is_billed: bool) -> str:
    rates = " + ".join(f"{name} ${rate}/min" for name, rate in tariff.per_minute.items()) or "free"
    margin = f" + {tariff.margin_percent} %" if price.margin else ""
    margin += f" + {tariff.tenant_margin_percent} %" if price.tenant_margin else ""
    covered = "" if is_billed else "; paid by this server (billing is off)"
    left = price.billed_seconds - price.agent_seconds
    done = "recorded only" if tariff.is_recorded_after_transfer else "nothing was recorded"
    unheard = f"; {done} in {left} s without the agent" if left else ""
    return f"Call of {price.billed_seconds} s at {rates}{margin}{unheard}{covered}"


def _explain(price: Price, tariff: Tariff, duration_ms: int, *, is_billed: bool) -> dict[str, object]:
    return {
        "seconds": duration_ms / 1000,
        "billed_seconds": price.billed_seconds,
        "rounding_seconds": tariff.rounding_seconds,
        "rounding": f"up to whole steps of {tariff.rounding_seconds} s; each part to a millionth of a dollar",
        "parts": [
            {
                "name": name,
                "rate_per_min": str(rate),
                "seconds": price.seconds_of(name),
                "usd": text(price.parts[name]),
            }
            for name, rate in tariff.per_minute.items()
        ],
        **(
            {
                "agent_seconds": price.agent_seconds,
                "without_the_agent": _AND_RECORDED if tariff.is_recorded_after_transfer else _UNHEARD,
            }
            if price.agent_seconds < price.billed_seconds
            else {}
        ),
        "margin_percent": str(tariff.margin_percent),
        "margin_usd": text(price.margin),
        **(
            {
                "tenant_margin_percent": str(tariff.tenant_margin_percent),
                "tenant_margin_usd": text(price.tenant_margin),
            }
            if price.tenant_margin
            else {}
        ),
        "total_usd": text(price.total),
        "paid_by": "wallet" if is_billed else "this server",
    }
