"""What the book says to its owner: pages, sums, days, models, hours."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, case, or_
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.wallet import rents
from api.wallet.money import dollars
from api.wallet.schemas import (
    AgentUsage,
    Analytics,
    DayOfUsage,
    HourOfUsage,
    ModelUsage,
    RecentUsage,
    TransactionQuery,
    UsageOfType,
    UsageStats,
)
from api.wallet.table import TransactionRow as Row

RECENT = 50
USAGE: ColumnElement[bool] = or_(
    col(Row.type) == "usage", and_(col(Row.type) == "refund", col(Row.call_id).is_not(None))
)
"""Charges, and what came again of one that was too high; what goes back of a payment is no usage."""
CHARGES: ColumnElement[int] = func.coalesce(func.sum(case((col(Row.type) == "usage", 1), else_=0)), 0)
"""How many charges there are among them."""
CALLS: ColumnElement[int] = func.coalesce(
    func.sum(case((and_(col(Row.type) == "usage", col(Row.endpoint_type) == "voice"), 1), else_=0)), 0
)
"""How many of the charges are calls; the others are answers in text and rents of numbers."""
MODELS = 100
"""More models than this nobody reads; a stranger's server may be named in any way."""
EXPORTED = 100_000
_PIECE = 1000


async def page(session: AsyncSession, owner_id: str, query: TransactionQuery) -> tuple[list[Row], int]:
    """A page of the owner's transactions, newest first, and how many there are."""
    asked = [col(Row.owner_id) == owner_id]
    if query.type is not None:
        asked.append(col(Row.type) == query.type)
    total = await session.exec(select(func.count()).select_from(Row).where(*asked))
    found = await session.exec(
        select(Row).where(*asked).order_by(col(Row.id).desc()).limit(query.limit).offset(query.offset)
    )
    return list(found.all()), total.one()


async def newest(session: AsyncSession, owner_id: str, type_: str | None) -> AsyncIterator[list[Row]]:
    """The owner's transactions, newest first, piece by piece, up to `EXPORTED`."""
    before: int | None = None
    for _ in range(EXPORTED // _PIECE):
        asked = [col(Row.owner_id) == owner_id]
        if type_ is not None:
            asked.append(col(Row.type) == type_)
        if before is not None:
            asked.append(col(Row.id) < before)
        rows = (
            await session.exec(select(Row).where(*asked).order_by(col(Row.id).desc()).limit(_PIECE))
        ).all()
        if not rows:
            return
        yield list(rows)
        before = rows[-1].id
        session.expunge_all()


async def totals(session: AsyncSession, owner_id: str) -> tuple[int, int, int, int, datetime | None]:
    """What came in, what was used, the margin in it, how often, and when last."""
    came = await session.exec(
        select(func.coalesce(func.sum(Row.amount_micros), 0)).where(
            Row.owner_id == owner_id, Row.type == "topup"
        )
    )
    used = await session.exec(
        select(
            func.coalesce(func.sum(Row.amount_micros), 0),
            func.coalesce(func.sum(col(Row.margin_micros)), 0),
            CHARGES,
            func.max(Row.created_at),
        ).where(Row.owner_id == owner_id, USAGE)
    )
    amount, margin, count, last = used.one()
    return int(came.one()), -int(amount), int(margin or 0), count, last


def first_day(days: int) -> str:
    """The first of so many days, today being the last."""
    return (now().date() - timedelta(days=days - 1)).isoformat()


def used_since(owner_id: str, days: int) -> list[ColumnElement[bool]]:
    """The usage of an owner in so many days."""
    return [col(Row.owner_id) == owner_id, USAGE, col(Row.day) >= first_day(days)]


async def usage_stats(session: AsyncSession, owner_id: str, days: int) -> UsageStats:
    """What was used in so many days, by its kind."""
    found = await session.exec(
        select(  # type: ignore[call-overload]
            Row.endpoint_type,
            func.sum(Row.amount_micros),
            func.sum(Row.cost_micros),
            func.sum(Row.margin_micros),
            CHARGES,
        )
        .where(*used_since(owner_id, days))
        .group_by(col(Row.endpoint_type))
    )
    kinds = [
        UsageOfType(
            type=kind or "other",
            amount_usd=dollars(-int(amount)),
            cost_usd=dollars(int(cost or 0)),
            margin_usd=dollars(int(margin or 0)),
            count=count,
        )
        for kind, amount, cost, margin, count in found.all()
    ]
    start = datetime.fromisoformat(f"{first_day(days)}T00:00:00+00:00")
    return UsageStats(
        period_start=start,
        period_end=now(),
        days=days,
        total_spent=_sum(kind.amount_usd for kind in kinds),
        total_cost=_sum(kind.cost_usd for kind in kinds),
        total_margin=_sum(kind.margin_usd for kind in kinds),
        transaction_count=sum(kind.count for kind in kinds),
        breakdown={kind.type: kind.amount_usd for kind in kinds},
        by_type=kinds,
    )


async def analytics(session: AsyncSession, owner_id: str, days: int) -> Analytics:
    """Where the money went in so many days."""
    used = used_since(owner_id, days)
    return Analytics(
        daily=await _daily(session, used),
        models=await _models(session, used),
        hourly=await _hourly(session, used),
        agents=await _agents(session, used),
        recent=await _recent(session, owner_id),
    )


async def _daily(session: AsyncSession, used: list[ColumnElement[bool]]) -> list[DayOfUsage]:
    found = await session.exec(
        select(  # type: ignore[call-overload]
            Row.day,
            func.sum(Row.llm_micros),
            func.sum(Row.stt_micros),
            func.sum(Row.tts_micros),
            func.sum(Row.amount_micros),
            CHARGES,
        )
        .where(*used)
        .group_by(col(Row.day))
        .order_by(col(Row.day))
    )
    return [
        DayOfUsage(
            date=day,
            llm=dollars(int(llm)),
            stt=dollars(int(stt)),
            tts=dollars(int(tts)),
            total=dollars(-int(amount)),
            requests=count,
        )
        for day, llm, stt, tts, amount, count in found.all()
    ]


async def _models(session: AsyncSession, used: list[ColumnElement[bool]]) -> list[ModelUsage]:
    models = []
    for kind, model, amount in (
        ("llm", Row.llm_model, Row.llm_micros),
        ("stt", Row.stt_model, Row.stt_micros),
        ("tts", Row.tts_model, Row.tts_micros),
    ):
        found = await session.exec(
            select(model, func.sum(amount), func.count())
            .where(*used, col(model).is_not(None), col(model) != "")
            .group_by(col(model))
            .order_by(func.count().desc(), col(model))
            .limit(MODELS)
        )
        models += [
            ModelUsage(model=name, type=kind, cost_usd=dollars(int(cost)), requests=count)
            for name, cost, count in found.all()
        ]
    return models


async def _hourly(session: AsyncSession, used: list[ColumnElement[bool]]) -> list[HourOfUsage]:
    found = await session.exec(
        select(Row.hour, func.sum(Row.amount_micros), CHARGES)
        .where(*used)
        .group_by(col(Row.hour))
        .order_by(col(Row.hour))
    )
    return [
        HourOfUsage(hour=hour, cost_usd=dollars(-int(amount)), requests=count)
        for hour, amount, count in found.all()
    ]


async def _agents(session: AsyncSession, used: list[ColumnElement[bool]]) -> list[AgentUsage]:
    found = await session.exec(
        select(Row.agent_id, func.sum(Row.amount_micros), CHARGES, func.sum(Row.duration_ms))
        .where(*used)
        .group_by(col(Row.agent_id))
        .order_by(func.sum(Row.amount_micros), col(Row.agent_id))
        .limit(MODELS)
    )
    return [
        AgentUsage(
            agent_id=agent_id, cost_usd=dollars(-int(amount)), requests=count, duration_ms=int(duration)
        )
        for agent_id, amount, count, duration in found.all()
    ]


async def _recent(session: AsyncSession, owner_id: str) -> list[RecentUsage]:
    rows, _ = await page(session, owner_id, TransactionQuery(limit=RECENT, type="usage"))
    return [
        RecentUsage(
            id=row.id or 0,
            method=_thing(row)[0],
            path=_thing(row)[1],
            type=row.endpoint_type,
            model=row.llm_model,
            tokens_in=row.tokens_in,
            tokens_out=row.tokens_out,
            characters=row.characters,
            cost_usd=dollars(-row.amount_micros),
            duration_ms=row.duration_ms,
            created_at=row.created_at,
        )
        for row in rows
    ]


def _thing(row: Row) -> tuple[str, str]:
    """What was charged, and where it can be read."""
    match row.endpoint_type:
        case "number":
            return "NUMBER", f"/v1/numbers/orders/{rents.order_of(row.key)}"
        case "chat":
            return "CHAT", f"/v1/chats/{row.chat_id}"
        case _:
            return "CALL", f"/v1/calls/{row.call_id}"


def _sum(amounts: Iterable[float]) -> float:
    return round(sum(amounts), 6)
