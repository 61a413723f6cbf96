"""How calls went, over some days."""

from collections import Counter
from datetime import timedelta
from typing import Annotated

from pydantic import Field
from sqlalchemy import ColumnElement
from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.calls.table import CallEventRow, CallRow, CallUsageRow
from api.calls.turns import AnswerTimes, CallTurn
from api.db.columns import now
from api.http.callers import Caller
from api.http.wire import Wire
from pipelines.contract.events import EVENT, TurnTaken, UtteranceHeard, WarningRaised

NEWEST = 500
"""Calls whose events are read; the counts are of all."""


class QualityQuery(Wire):
    """Which calls a report is about."""

    days: Annotated[int, Field(ge=1, le=90)] = 30
    agent_id: Annotated[str, Field(max_length=100)] | None = None


class QualityReport(Wire):
    """How calls went: of those that began within some days."""

    days: int
    total_calls: int
    by_status: dict[str, int]
    avg_duration_seconds: float
    answer_times: AnswerTimes | None
    """Of all answers of the newest 500 calls."""
    interrupted_share: float | None
    """Of what agents said in those calls, how much was cut off by the caller."""
    warnings: dict[str, int]
    """How often each was raised in those calls."""


async def report(session: AsyncSession, caller: Caller, query: QualityQuery) -> QualityReport:
    """Count what ended how, and look into the events of the newest calls."""
    if query.agent_id is not None:
        await agents.get(session, caller, query.agent_id)
    asked: list[ColumnElement[bool]] = [
        col(CallRow.owner_id) == caller.owner_id,
        col(CallRow.briefed_at).is_not(None),
        col(CallRow.created_at) >= now() - timedelta(days=query.days),
    ]
    if query.agent_id is not None:
        asked.append(col(CallRow.agent_id) == query.agent_id)
    counted = await session.exec(
        select(CallRow.status, func.count()).where(*asked).group_by(col(CallRow.status))
    )
    by_status = dict(counted.all())
    average = await session.exec(
        select(func.avg(CallUsageRow.duration_ms))
        .join(CallRow, col(CallRow.id) == CallUsageRow.call_id)
        .where(*asked)
    )
    newest = await session.exec(
        select(CallRow.id).where(*asked).order_by(col(CallRow.created_at).desc()).limit(NEWEST)
    )
    turns, spoken, cut_off, warnings = await _events(session, list(newest.all()))
    return QualityReport(
        days=query.days,
        total_calls=sum(by_status.values()),
        by_status=by_status,
        avg_duration_seconds=round(float(average.one() or 0) / 1000, 3),
        answer_times=AnswerTimes.of(turns),
        interrupted_share=round(cut_off / spoken, 4) if spoken else None,
        warnings=dict(warnings),
    )


async def _events(
    session: AsyncSession, call_ids: list[str]
) -> tuple[list[CallTurn], int, int, Counter[str]]:
    found = await session.exec(
        select(CallEventRow.payload).where(
            col(CallEventRow.call_id).in_(call_ids),
            col(CallEventRow.kind).in_(("turn", "utterance", "warning")),
        )
    )
    turns: list[CallTurn] = []
    warnings: Counter[str] = Counter()
    spoken = cut_off = 0
    for payload in found.all():
        event = EVENT.validate_python(payload)
        if isinstance(event, TurnTaken):
            turns.append(CallTurn(utterance_id=event.turn.utterance_id, latency=event.turn.latency))
        elif isinstance(event, WarningRaised):
            warnings[event.code] += 1
        elif isinstance(event, UtteranceHeard) and event.utterance.role == "agent":
            spoken += 1
            cut_off += event.utterance.was_interrupted
    return turns, spoken, cut_off, warnings
