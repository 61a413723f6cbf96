"""Members as their owner sees them: figures and money, never words."""

from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, ScalarSelect
from sqlmodel import col, func, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.table import AgentRow
from api.calls.table import CallRow
from api.db.columns import now
from api.http.errors import NotFound
from api.tenants.schemas import (
    MemberCall,
    MemberDetail,
    MemberEntry,
    MembersQuery,
    TenantMember,
    TenantStats,
    TrendDay,
)
from api.users.table import UserRow
from api.wallet.money import text
from api.wallet.reading import CALLS, USAGE, first_day
from api.wallet.table import TransactionRow, WalletRow

RECENT = 20


class MemberNotFound(NotFound):
    """Member not found"""


def _count(table: Any, *more: ColumnElement[bool]) -> ScalarSelect[Any]:
    return (
        select(func.count())
        .select_from(table)
        .where(table.owner_id == UserRow.id, *more)
        .correlate(UserRow)
        .scalar_subquery()
    )


def _sum(column: Any) -> ScalarSelect[Any]:
    return (
        select(func.coalesce(func.sum(column), 0))
        .where(TransactionRow.owner_id == UserRow.id, USAGE)
        .correlate(UserRow)
        .scalar_subquery()
    )


_FIGURES = {
    "balance": select(func.coalesce(func.sum(WalletRow.balance_micros), 0))
    .where(WalletRow.owner_id == UserRow.id)
    .correlate(UserRow)
    .scalar_subquery(),
    "agents": _count(AgentRow),
    "calls": _count(CallRow, col(CallRow.briefed_at).is_not(None)),
    "spend": _sum(-col(TransactionRow.amount_micros)),
    "earnings": _sum(col(TransactionRow.tenant_micros)),
}
_SHOWN: Any = (UserRow, *_FIGURES.values())


def of_owner(owner_id: str) -> list[ColumnElement[bool]]:
    """An owner's members; who is being forgotten is none any more."""
    return [col(UserRow.tenant_owner_id) == owner_id, col(UserRow.erased_at).is_(None)]


async def get(session: AsyncSession, owner_id: str, member_id: str) -> UserRow:
    """One member of this owner."""
    found = await session.exec(select(UserRow).where(UserRow.id == member_id, *of_owner(owner_id)))
    if (row := found.one_or_none()) is None:
        raise MemberNotFound
    return row


async def stats(session: AsyncSession, owner_id: str, query: MembersQuery) -> TenantStats:
    """A page of members, and all of them together."""
    mine = of_owner(owner_id)
    labelled: Any = [figure.label(name) for name, figure in _FIGURES.items()]
    figures = select(*labelled).where(*mine).subquery()
    sums: Any = [func.count(), *(func.coalesce(func.sum(figures.c[name]), 0) for name in _FIGURES)]
    together: Any = (await session.exec(select(*sums).select_from(figures))).one()
    total, balance, agents, calls, spend, earnings = (int(value) for value in together)
    asked = [*mine, *_searched(query.search)]
    found_count = await session.exec(select(func.count()).select_from(UserRow).where(*asked))
    order = {"joined": col(UserRow.created_at), "email": col(UserRow.email)}.get(
        query.sort, _FIGURES.get(query.sort)
    )
    assert order is not None  # noqa: S101 - every sort is one of the two
    found = await session.exec(
        select(*_SHOWN)
        .where(*asked)
        .order_by(order.asc() if query.order == "asc" else order.desc(), col(UserRow.id))
        .limit(query.per_page)
        .offset((query.page - 1) * query.per_page)
    )
    return TenantStats(
        total_members=total,
        total_agents=agents,
        total_calls=calls,
        total_cost_usd=text(spend),
        total_balance_usd=text(balance),
        total_earnings_usd=text(earnings),
        members=[_member(row) for row in found.all()],
        page=query.page,
        per_page=query.per_page,
        total=found_count.one(),
    )


async def detail(session: AsyncSession, owner_id: str, member_id: str) -> MemberDetail:
    """One member, and what they did lately."""
    await get(session, owner_id, member_id)
    member = await session.exec(select(*_SHOWN).where(UserRow.id == member_id))
    calls = await session.exec(
        select(CallRow, TransactionRow.amount_micros)
        .outerjoin(TransactionRow, col(TransactionRow.key) == "call:" + col(CallRow.id))
        .where(CallRow.owner_id == member_id, col(CallRow.briefed_at).is_not(None))
        .order_by(col(CallRow.created_at).desc(), col(CallRow.id))
        .limit(RECENT)
    )
    ledger = await session.exec(
        select(TransactionRow)
        .where(TransactionRow.owner_id == member_id)
        .order_by(col(TransactionRow.id).desc())
        .limit(RECENT)
    )
    month = now().date().replace(day=1).isoformat()
    this_month = await session.exec(
        select(CALLS, func.coalesce(func.sum(TransactionRow.amount_micros), 0)).where(
            TransactionRow.owner_id == member_id,
            USAGE,
            col(TransactionRow.day) >= month,
        )
    )
    count, spent = this_month.one()
    return MemberDetail(
        member=_member(member.one()),
        recent_calls=[
            MemberCall(
                call_id=call.id,
                created_at=call.created_at,
                duration_seconds=(call.duration_ms or 0) / 1000,
                direction=call.direction,
                status=call.status,
                cost_usd=text(-(cost or 0)),
            )
            for call, cost in calls.all()
        ],
        recent_ledger=[
            MemberEntry(
                created_at=row.created_at,
                type=row.type,
                amount_usd=text(row.amount_micros),
                description=row.description,
            )
            for row in ledger.all()
        ],
        calls_this_month=count,
        spend_this_month=text(-int(spent)),
    )


async def trend(session: AsyncSession, owner_id: str, days: int) -> list[TrendDay]:
    """All members together, day by day, oldest first; days without a call are there, too."""
    day = col(TransactionRow.day)
    found = await session.exec(
        select(
            day,
            CALLS,
            func.coalesce(func.sum(TransactionRow.amount_micros), 0),
            func.coalesce(func.sum(TransactionRow.tenant_micros), 0),
        )
        .join(UserRow, col(UserRow.id) == TransactionRow.owner_id)
        .where(*of_owner(owner_id), USAGE, day >= first_day(days))
        .group_by(day)
    )
    known = {date: (count, -int(spent), int(earned)) for date, count, spent, earned in found.all()}
    today = now().date()
    named = [(today - timedelta(days=back)).isoformat() for back in reversed(range(days))]
    return [
        TrendDay(date=date, calls=calls, spend_usd=text(spent), earnings_usd=text(earned))
        for date in named
        for calls, spent, earned in [known.get(date, (0, 0, 0))]
    ]


def _searched(text_: str | None) -> list[ColumnElement[bool]]:
    if not text_:
        return []
    wanted = text_.lower()
    return [
        or_(
            col(UserRow.email).contains(wanted, autoescape=True),
            func.lower(UserRow.full_name).contains(wanted, autoescape=True),
        )
    ]


def _member(row: Any) -> TenantMember:
    user, balance, agents, calls, spend, earnings = row
    return TenantMember(
        user_id=user.id,
        email=user.email,
        full_name=user.full_name,
        balance_usd=text(int(balance)),
        total_agents=agents,
        total_calls=calls,
        total_cost_usd=text(int(spend)),
        earnings_usd=text(int(earnings)),
        created_at=user.created_at,
        last_login_at=user.last_login_at,
    )
