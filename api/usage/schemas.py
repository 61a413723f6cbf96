"""Wire models of what was used. Money of users is a decimal string, of agents a number."""

from datetime import datetime
from typing import Any

from pydantic import Field

from api.http.wire import Wire


class UserStats(Wire):
    """What one has."""

    balance_usd: str
    total_agents: int
    total_calls: int
    total_knowledge_bases: int
    total_api_keys: int
    max_concurrent_calls: int = 20
    first_agent_id: str | None
    total_phone_numbers: int = 0
    has_paid_topup: bool
    onboarding: dict[str, Any] = Field(default_factory=dict)


class UserUsage(Wire):
    """What was used in some days; credits are US dollars. The first is what was charged, the rest what
    providers take, as far as their prices are known.
    """

    total_requests: int
    total_tokens: int
    total_credits: str
    llm_credits: str
    stt_credits: str
    tts_credits: str


class DayOfUse(Wire):
    """One day (UTC). A request is what was charged: a call, an answer in text, the month of a number."""

    date: str
    total_requests: int
    successful_requests: int
    failed_requests: int
    tokens_input: int
    tokens_output: int
    credits_llm: str
    credits_stt: str
    credits_tts: str
    credits_total: str
    calls_made: int
    call_duration_ms: int


class UserBalance(Wire):
    """What one has, as a decimal string and as a number."""

    balance_usd: str
    balance: float
    currency: str = "USD"


class GlobalStats(Wire):
    """Today (UTC), over all agents."""

    calls_today: int
    total_cost_today_usd: float


class AgentStats(Wire):
    """What one agent did in some days."""

    total_calls: int
    total_duration_seconds: float
    avg_duration_seconds: float
    total_tokens: int
    avg_tokens_per_call: float
    total_cost_usd: float
    avg_cost_per_call: float
    last_call_at: datetime | None
