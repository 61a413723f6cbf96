"""Counting. Calls are counted by when they were made; what they cost by when they were charged."""

from datetime import UTC, datetime

from sqlalchemy import ColumnElement
from sqlmodel import SQLModel, col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.agents.table import AgentRow
from api.api_keys.table import ApiKeyRow
from api.calls.table import CallRow, CallUsageRow
from api.db.columns import now
from api.http.callers import Caller
from api.knowledge_base.table import KnowledgeBaseRow
from api.phone_numbers.table import PhoneNumberRow
from api.usage.schemas import AgentStats, DayOfUse, GlobalStats, UserStats, UserUsage
from api.users import service as users
from api.wallet import ledger, rents
from api.wallet.money import dollars, text
from api.wallet.reading import CALLS, CHARGES, first_day, used_since
from api.wallet.table import TransactionRow


async def stats(session: AsyncSession, caller: Caller) -> UserStats:
    """What the caller has."""
    owner_id = caller.owner_id
    first = await session.exec(
        select(AgentRow.id)
        .where(AgentRow.owner_id == owner_id)
        .order_by(col(AgentRow.created_at), col(AgentRow.id))
        .limit(1)
    )
    calls = await session.exec(
        select(func.count())
        .select_from(CallRow)
        .where(CallRow.owner_id == owner_id, col(CallRow.briefed_at).is_not(None))
    )
    keys = await session.exec(
        select(func.count())
        .select_from(ApiKeyRow)
        .where(ApiKeyRow.owner_id == owner_id, col(ApiKeyRow.is_active))
    )
    return UserStats(
        balance_usd=text(await ledger.balance(session, owner_id)),
        total_agents=await _count(session, AgentRow, owner_id),
        total_calls=calls.one(),
        total_knowledge_bases=await _count(session, KnowledgeBaseRow, owner_id),
        total_api_keys=keys.one(),
        total_phone_numbers=await _count(session, PhoneNumberRow, owner_id),
        first_agent_id=first.one_or_none(),
        has_paid_topup=await rents.has_paid(session, owner_id),
        onboarding=(await users.get(session, caller)).onboarding,
    )


async def _count(session: AsyncSession, table: type[SQLModel], owner_id: str) -> int:
    found = await session.exec(
        select(func.count()).select_from(table).where(table.owner_id == owner_id)  # type: ignore[attr-defined]
    )
    return found.one()


_SUMS = (
    CHARGES,
    CALLS,
    func.coalesce(func.sum(TransactionRow.tokens_in), 0),
    func.coalesce(func.sum(TransactionRow.tokens_out), 0),
    func.coalesce(func.sum(TransactionRow.llm_micros), 0),
    func.coalesce(func.sum(TransactionRow.stt_micros), 0),
    func.coalesce(func.sum(TransactionRow.tts_micros), 0),
    func.coalesce(func.sum(TransactionRow.amount_micros), 0),
    func.coalesce(func.sum(TransactionRow.duration_ms), 0),
)


async def usage(session: AsyncSession, caller: Caller, days: int) -> UserUsage:
    """What was charged in so many days."""
    found = await session.exec(select(*_SUMS).where(*used_since(caller.owner_id, days)))  # type: ignore[call-overload]
    count, _, tokens_in, tokens_out, llm, stt, tts, amount, _ = map(int, found.one())
    return UserUsage(
        total_requests=count,
        total_tokens=tokens_in + tokens_out,
        total_credits=text(-amount),
        llm_credits=text(llm),
        stt_credits=text(stt),
        tts_credits=text(tts),
    )


async def daily(session: AsyncSession, caller: Caller, days: int) -> list[DayOfUse]:
    """The same day by day, oldest first; days without a charge are left out."""
    day = col(TransactionRow.day)
    found = await session.exec(
        select(day, *_SUMS).where(*used_since(caller.owner_id, days)).group_by(day).order_by(day)  # type: ignore[call-overload]
    )
    rows = found.all()
    failed = await _failed(session, caller, days)
    return [_day(row[0], [int(value) for value in row[1:]], failed.get(row[0], 0)) for row in rows]


async def _failed(session: AsyncSession, caller: Caller, days: int) -> dict[str, int]:
    """How many of the calls that were charged had failed, day by day."""
    day = col(TransactionRow.day)
    found = await session.exec(
        select(day, CHARGES)
        .join(CallRow, col(CallRow.id) == TransactionRow.call_id)
        .where(*used_since(caller.owner_id, days), CallRow.status == "failed")
        .group_by(day)
    )
    return dict(found.all())


def _day(date: str, sums: list[int], failed: int) -> DayOfUse:
    count, calls, tokens_in, tokens_out, llm, stt, tts, amount, duration_ms = sums
    return DayOfUse(
        date=date,
        total_requests=count,
        successful_requests=count - failed,
        failed_requests=failed,
        tokens_input=tokens_in,
        tokens_output=tokens_out,
        credits_llm=text(llm),
        credits_stt=text(stt),
        credits_tts=text(tts),
        credits_total=text(-amount),
        calls_made=calls,
        call_duration_ms=duration_ms,
    )


async def global_stats(session: AsyncSession, caller: Caller) -> GlobalStats:
    """Today, over all agents."""
    midnight = datetime.combine(now().date(), datetime.min.time(), UTC)
    calls = await session.exec(
        select(func.count())
        .select_from(CallRow)
        .where(
            CallRow.owner_id == caller.owner_id,
            col(CallRow.briefed_at).is_not(None),
            col(CallRow.created_at) >= midnight,
        )
    )
    cost = await session.exec(
        select(func.coalesce(func.sum(TransactionRow.amount_micros), 0)).where(
            *used_since(caller.owner_id, 1)
        )
    )
    return GlobalStats(calls_today=calls.one(), total_cost_today_usd=dollars(-int(cost.one())))


async def agent_stats(session: AsyncSession, caller: Caller, agent_id: str, days: int) -> AgentStats:
    """What one of the caller's agents did in so many days."""
    await agents.get(session, caller, agent_id)
    since = datetime.fromisoformat(f"{first_day(days)}T00:00:00+00:00")
    mine: list[ColumnElement[bool]] = [
        col(CallRow.owner_id) == caller.owner_id,
        col(CallRow.agent_id) == agent_id,
        col(CallRow.created_at) >= since,
    ]
    counted = await session.exec(
        select(
            func.count(),
            func.coalesce(func.sum(CallUsageRow.duration_ms), 0),
            func.coalesce(func.sum(CallUsageRow.llm_input_tokens + CallUsageRow.llm_output_tokens), 0),
            func.max(CallRow.created_at),
        )
        .select_from(CallRow)
        .outerjoin(CallUsageRow, col(CallUsageRow.call_id) == CallRow.id)
        .where(*mine, col(CallRow.briefed_at).is_not(None))
    )
    count, duration_ms, tokens, last = counted.one()
    cost = await session.exec(
        select(func.coalesce(func.sum(TransactionRow.amount_micros), 0)).where(
            *used_since(caller.owner_id, days), TransactionRow.agent_id == agent_id
        )
    )
    seconds, spent = int(duration_ms) / 1000, -int(cost.one())
    each = max(1, count)
    return AgentStats(
        total_calls=count,
        total_duration_seconds=seconds,
        avg_duration_seconds=round(seconds / each, 3),
        total_tokens=int(tokens),
        avg_tokens_per_call=round(int(tokens) / each, 3),
        total_cost_usd=dollars(spent),
        avg_cost_per_call=round(dollars(spent) / each, 6),
        last_call_at=last,
    )


async def balance(session: AsyncSession, caller: Caller) -> int:
    """What the caller has, in micro-dollars."""
    return await ledger.balance(session, caller.owner_id)
