"""Wire models of the wallet. Money is a JSON number of US dollars."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from api.http.pages import MAX_OFFSET
from api.http.wire import Wire
from api.wallet.money import dollars
from api.wallet.rates import Rates
from api.wallet.table import AutoChargeRow, TransactionRow


class Balance(Wire):
    """What one has, and whether a call could begin."""

    balance_usd: float
    has_balance: bool
    can_proceed: bool
    """Always true where billing is off: this server pays."""
    min_balance: float
    margin_percent: float
    held_usd: float
    """What running calls may still cost; a new call has the rest."""
    billing_enabled: bool


class AutoRecharge(Wire):
    """Whether a card is charged when the balance runs low."""

    enabled: bool = False
    threshold_usd: float = 5.0
    topup_usd: float = 25.0

    @classmethod
    def of(cls, row: AutoChargeRow | None) -> "AutoRecharge":
        """A row as its owner sees it."""
        if row is None:
            return cls()
        return cls(
            enabled=row.is_enabled,
            threshold_usd=dollars(row.threshold_micros),
            topup_usd=dollars(row.amount_micros),
        )


class Wallet(Wire):
    """What one has."""

    balance_usd: float
    currency: Literal["USD"] = "USD"
    auto_recharge: AutoRecharge = AutoRecharge()


class WalletSummary(Wire):
    """What came in and what went out, since the beginning."""

    current_balance: float
    total_topup: float
    total_usage: float
    total_margin_paid: float
    usage_count: int
    last_usage_at: datetime | None
    margin_percent: float


class TopUp(Wire):
    """How much to add."""

    amount_usd: Annotated[float, Field(gt=0, le=1_000_000)]
    description: Annotated[str, Field(max_length=500)] = ""


class ToppedUp(Wire):
    """What was added."""

    success: bool
    balance_before: float
    balance_after: float
    amount_added: float
    transaction_id: int


TransactionType = Literal["topup", "usage", "refund", "transfer", "earning"]


class TransactionQuery(Wire):
    """Which transactions."""

    limit: Annotated[int, Field(ge=1, le=100)] = 50
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0
    type: TransactionType | None = None


class ExportQuery(Wire):
    """Which transactions of the newest 100,000."""

    type: TransactionType | None = None


class Transaction(Wire):
    """Something that happened to one's money. `amount_usd` is below nothing for usage."""

    id: int
    type: TransactionType
    amount_usd: float
    cost_usd: float | None
    margin_usd: float | None
    margin_percent: float | None
    endpoint_type: str | None
    model_used: str | None
    call_id: str | None
    chat_id: str | None
    agent_id: str | None
    balance_before: float
    balance_after: float
    description: str | None
    explanation: dict[str, Any] | None
    """How the amount came about: rates, seconds, rounding."""
    created_at: datetime

    @classmethod
    def of(cls, row: TransactionRow) -> "Transaction":
        """A row as its owner sees it."""
        return cls(
            id=row.id or 0,
            type=row.type,
            amount_usd=dollars(row.amount_micros),
            cost_usd=_optional(row.cost_micros),
            margin_usd=_optional(row.margin_micros),
            margin_percent=row.margin_percent,
            endpoint_type=row.endpoint_type,
            model_used=row.llm_model,
            call_id=row.call_id,
            chat_id=row.chat_id,
            agent_id=row.agent_id,
            balance_before=dollars(row.balance_before_micros),
            balance_after=dollars(row.balance_after_micros),
            description=row.description,
            explanation=row.explanation,
            created_at=row.created_at,
        )


def _optional(amount: int | None) -> float | None:
    return None if amount is None else dollars(amount)


class TransactionList(Wire):
    """A page of transactions, newest first."""

    transactions: list[Transaction]
    total: int
    limit: int
    offset: int


class PricingInfo(Wire):
    """What things cost, in US dollars."""

    base_rate_per_min: float
    telephony_rate_per_min: float
    recording_rate_per_min: float
    chat_rate_per_message: float
    sms_rate_per_segment: float
    min_balance_usd: float
    signup_bonus_usd: float
    margin_percent: float
    realtime_surcharge_per_min: float
    interpreter_surcharge_per_min: float
    outbound_surcharge_per_min: float
    extension_rate_per_min: float
    extension_billing_enabled: bool = False
    billing_enabled: bool
    """False: these are written down and nobody is charged."""

    @classmethod
    def of(cls, rates: Rates, *, is_billing: bool) -> "PricingInfo":
        """The rates as numbers."""
        known = {name: float(value) for name, value in rates.model_dump(exclude={"note"}).items()}
        return cls.model_validate({**known, "billing_enabled": is_billing})


class DaysQuery(Wire):
    """How many days back, today included."""

    days: Annotated[int, Field(ge=1, le=365)] = 30


class AnalyticsQuery(Wire):
    """How many days back, today included."""

    days: Annotated[int, Field(ge=1, le=90)] = 30


class UsageOfType(Wire):
    """What one kind of usage came to."""

    type: str
    amount_usd: float
    cost_usd: float
    margin_usd: float
    count: int


class UsageStats(Wire):
    """What was used in some days. `breakdown` is the same as `by_type`, by its names."""

    period_start: datetime
    period_end: datetime
    days: int
    total_spent: float
    total_cost: float
    total_margin: float
    transaction_count: int
    breakdown: dict[str, float]
    by_type: list[UsageOfType]


Usd = Annotated[float, Field(gt=0, le=1_000_000)]


class EstimateQuery(Wire):
    """What something costs before the margin."""

    base_cost: Usd


class Estimate(Wire):
    """What it costs with the margin."""

    base_cost_usd: float
    margin_usd: float
    margin_percent: float
    final_cost_usd: float


class AffordQuery(Wire):
    """What something will cost."""

    estimated_cost: Usd


class CanAfford(Wire):
    """Whether the balance, less what running calls hold, is enough. Always where billing is off."""

    can_afford: bool
    estimated_cost: float
    balance_usd: float
    available_usd: float
    shortfall_usd: float


class DayOfUsage(Wire):
    """One day (UTC). `llm`, `stt` and `tts` are what providers take, `total` is what was charged."""

    date: str
    llm: float
    stt: float
    tts: float
    total: float
    requests: int


class ModelUsage(Wire):
    """What one model's provider takes."""

    model: str
    type: Literal["llm", "stt", "tts"]
    cost_usd: float
    requests: int


class HourOfUsage(Wire):
    """What was charged in one hour of the day (UTC)."""

    hour: int
    cost_usd: float
    requests: int


class AgentUsage(Wire):
    """What was charged for one agent's calls."""

    agent_id: str | None
    cost_usd: float
    requests: int
    duration_ms: int


class RecentUsage(Wire):
    """One charge."""

    id: int
    method: str
    path: str
    type: str | None
    model: str | None
    tokens_in: int
    tokens_out: int
    characters: int
    cost_usd: float
    duration_ms: int
    created_at: datetime | None


class Analytics(Wire):
    """Where the money went."""

    daily: list[DayOfUsage]
    models: list[ModelUsage]
    hourly: list[HourOfUsage]
    agents: list[AgentUsage]
    recent: list[RecentUsage]
