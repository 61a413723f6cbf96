"""Recordings and transcripts that are older than their agent keeps them (`retention_days`)."""

import logging
from collections.abc import Iterable
from datetime import timedelta

from sqlalchemy import ColumnElement, and_, delete, or_, update
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.table import AgentRow
from api.calls import recordings
from api.calls.table import CallActionRow, CallAnalysisRow, CallEventRow, CallRow
from api.chats.table import ChatRow
from api.db.columns import now
from api.durable import engine
from api.sms.table import SmsRow, SmsThreadRow
from api.webhooks.table import WebhookEventRow

_LOG = logging.getLogger(__name__)

AT_ONCE = 200
WORDLESS = ("call_started", "call_ended", "call_lost", "media")
"""Events that hold nothing of what was said."""


async def sweep() -> None:
    """Forget what is due, a piece at a time; what is left waits for the next minute."""
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        days = col(AgentRow.config)["retention_days"].as_integer()
        agents = (await session.exec(select(AgentRow.id, days).where(days.is_not(None)))).all()
        orphaned = await session.exec(
            select(CallRow.retention_days)
            .where(col(CallRow.retention_days).is_not(None), col(CallRow.forgotten_at).is_(None))
            .where(col(CallRow.agent_id).not_in(select(AgentRow.id)))
            .distinct()
        )
        due: list[str] = []
        for agent_id, kept in agents:
            due += await _due(session, kept, agent_id)
        for kept in orphaned.all():
            due += await _due(session, kept or 0, None)
    for start in range(0, len(due), AT_ONCE):
        await forget(due[start : start + AT_ONCE])
    if count := await _forget_chats(agents):
        _LOG.info("chats forgotten", extra={"count": count})
    if texts := await _forget_texts(agents):
        _LOG.info("text messages forgotten", extra={"count": texts})
    if due:
        _LOG.info("calls forgotten", extra={"count": len(due)})
    if due or count or texts:
        await reach.database.scrub()


async def _forget_chats(agents: Iterable[tuple[str, int]]) -> int:
    """Chats in which nothing was written for too long, with their messages; returns how many."""
    # While a living process answers, one stays.
    return await _forget_old(
        ChatRow, agents, or_(col(ChatRow.attempt).is_(None), col(ChatRow.attempt_until) < now())
    )


async def _forget_texts(agents: Iterable[tuple[str, int]]) -> int:
    """Text messages that are too old and need nothing more done; returns how many."""
    count = await _forget_old(SmsRow, agents, col(SmsRow.is_open).is_(False))
    if count:
        left = select(SmsRow.id).where(
            SmsRow.owner_id == SmsThreadRow.owner_id,
            SmsRow.number == SmsThreadRow.number,
            SmsRow.peer == SmsThreadRow.peer,
        )
        async with engine.reach().database.transaction() as session:
            # Who wrote is forgotten with the last of it.
            await session.exec(delete(SmsThreadRow).where(~left.exists()))
    return count


async def _forget_old(
    table: type[ChatRow] | type[SmsRow], agents: Iterable[tuple[str, int]], may_go: ColumnElement[bool]
) -> int:
    """Delete what was not changed for longer than its agent keeps it, or kept it while it was there."""
    database, count = engine.reach().database, 0
    agent, kept = col(table.agent_id), col(table.retention_days)
    gone = agent.not_in(select(AgentRow.id))
    async with database.transaction(writes=False) as session:
        orphaned = (await session.exec(select(kept).where(kept.is_not(None), gone).distinct())).all()
    wanted = [(agent == agent_id, days) for agent_id, days in agents]
    wanted += [(and_(gone, kept == days), days) for days in orphaned if days]
    for whose, days in wanted:
        is_old = col(table.updated_at) < now() - timedelta(days=days)
        async with database.transaction() as session:
            count += (await session.exec(delete(table).where(whose, is_old, may_go))).rowcount
    return count


async def _due(session: AsyncSession, kept: int, agent_id: str | None) -> list[str]:
    """Calls of one agent, or of those that are gone and kept them for so many days."""
    whose = (
        [CallRow.agent_id == agent_id]
        if agent_id is not None
        else [CallRow.retention_days == kept, col(CallRow.agent_id).not_in(select(AgentRow.id))]
    )
    found = await session.exec(
        select(CallRow.id)
        .where(
            *whose,
            col(CallRow.ended_at) < now() - timedelta(days=kept),
            col(CallRow.settled_at).is_not(None),
            col(CallRow.forgotten_at).is_(None),
        )
        .limit(AT_ONCE)
    )
    return list(found.all())


async def forget(call_ids: list[str]) -> None:
    """What was said in some calls, in every place it is kept. The calls and what they cost stay.

    Files first: a process that dies in between does all of it again.
    """
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        found = await session.exec(select(CallRow.id, CallRow.attempt).where(col(CallRow.id).in_(call_ids)))
        files = [name for call_id, attempts in found.all() for name in recordings_of(call_id, attempts)]
    for name in files:
        await reach.storage.delete(name)
    async with reach.database.transaction() as session:
        await session.exec(
            delete(CallEventRow).where(
                col(CallEventRow.call_id).in_(call_ids), col(CallEventRow.kind).not_in(WORDLESS)
            )
        )
        await session.exec(delete(CallAnalysisRow).where(col(CallAnalysisRow.call_id).in_(call_ids)))
        await session.exec(
            update(CallActionRow).where(col(CallActionRow.call_id).in_(call_ids)).values(detail="")
        )
        await session.exec(delete(WebhookEventRow).where(col(WebhookEventRow.call_id).in_(call_ids)))
        await session.exec(
            update(CallRow)
            .where(col(CallRow.id).in_(call_ids))
            .values(transcript=None, recording_bytes=None, recording_ms=None, forgotten_at=now())
        )


def recordings_of(call_id: str, attempts: int) -> Iterable[str]:
    """The names of all files that a call can have."""
    return [
        recordings.blob_name(call_id),
        *(f"{call_id}-{attempt}.ogg" for attempt in range(1, attempts + 1)),
    ]
