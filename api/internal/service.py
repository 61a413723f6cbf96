"""What a worker may ask and tell: a brief for a call, and what happened in it."""

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.agents.table import AgentRow
from api.calls import analysis, lifecycle, settlement, workflows
from api.calls.table import CallEventRow, CallRow
from api.db.columns import now
from api.db.engine import after_commit
from api.db.inserts import insert_new
from api.http.errors import Conflict, NotFound
from api.http.metrics import Metrics
from api.knowledge_base import service as knowledge_base
from pipelines.contract import (
    BatchReceipt,
    BriefRequest,
    CallBrief,
    CallEnded,
    CallEvent,
    CallLost,
    CallStarted,
    EventBatch,
    UtteranceHeard,
)

_LOG = logging.getLogger(__name__)


class CallGone(NotFound):
    """This call is gone"""


class AgentGone(NotFound):
    """The agent of this call is gone"""

    keeps_changes = True  # the call that nobody can answer is marked as failed


class CallOver(Conflict):
    """This call is over"""


async def brief(session: AsyncSession, call_id: str, asked: BriefRequest) -> CallBrief:
    """Tell a worker whom a call is for, and count its attempt."""
    found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
    call = found.one_or_none()
    if call is None:
        raise CallGone
    if call.is_over:
        raise CallOver
    lifecycle.brief(call, asked.worker_id, asked.job_id)
    session.add(call)
    try:
        agent = await agents.of_owner(session, call.owner_id, call.agent_id or "")
    except agents.AgentNotFound:
        lifecycle.conclude(call, "failed", "error: the agent is gone")
        raise AgentGone from None
    return await _brief(session, call, agent)


async def _brief(session: AsyncSession, call: CallRow, agent: AgentRow) -> CallBrief:
    config = agents.to_config(agent)
    known, is_all = await knowledge_base.texts(
        session, call.owner_id, agents.settings_of(agent).knowledge_base_ids or ()
    )
    if not is_all:
        _LOG.warning("knowledge cut to what a brief carries", extra={"call_id": call.id})
    longest = config.max_call_duration_ms // 1000
    return CallBrief(
        call_id=call.id,
        attempt=call.attempt,
        agent=config,
        variables=call.variables,
        caller_number=(call.to_number if call.direction == "outbound" else call.from_number) or "",
        knowledge=known,
        max_duration_seconds=min(longest, call.max_duration_seconds or longest),
        participant_identity=call.participant_identity,
        transcript=await _said_before(session, call) if call.attempt > 1 else (),
    )


async def handover_brief(
    session: AsyncSession, call_id: str, agent_id: str, asked: BriefRequest
) -> CallBrief:
    """The brief of another agent that this call is handed to. Counts no attempt, changes nothing.

    Only the worker that holds the call is told, and only of agents of the same owner.
    """
    call = await session.get(CallRow, call_id)
    if call is None or call.worker_id != asked.worker_id:
        raise CallGone
    if call.is_over:
        raise CallOver
    try:
        agent = await agents.of_owner(session, call.owner_id, agent_id)
    except agents.AgentNotFound:
        raise CallGone from None
    return await _brief(session, call, agent)


async def _said_before(session: AsyncSession, call: CallRow) -> tuple[Any, ...]:
    events = await settlement.events_of(session, call.id)
    return tuple(event.utterance for event in events if isinstance(event, UtteranceHeard))


async def accept(session: AsyncSession, batch: EventBatch, metrics: Metrics) -> BatchReceipt:
    """Keep a batch's events, each once, and let those that are new have their effect.

    Calls that are gone, and attempts that another has replaced, are refused: their worker stops sending.
    """
    wanted = sorted({event.call_id for event in batch.events})
    found = await session.exec(
        # One order everywhere, so that two batches never wait for each other.
        select(CallRow).where(col(CallRow.id).in_(wanted)).order_by(col(CallRow.id)).with_for_update()
    )
    calls = {call.id: call for call in found.all()}
    welcome = [
        event
        for event in batch.events
        if (call := calls.get(event.call_id)) is not None and event.attempt >= call.attempt
    ]
    refused = {event.call_id for event in batch.events} - {event.call_id for event in welcome}
    new = await _keep(session, welcome)
    after_commit(session, partial(_count, metrics, new))
    for call_id, call in calls.items():
        if mine := [event for event in new if event.call_id == call_id]:
            await _apply(session, call, mine)
    return BatchReceipt(accepted=len(new), refused_call_ids=sorted(refused))


async def _keep(session: AsyncSession, events: Sequence[CallEvent]) -> list[CallEvent]:
    """Insert what is not there yet; returns that, in order."""
    once = {(event.call_id, event.sequence): event for event in reversed(events)}
    rows = [
        CallEventRow(
            call_id=event.call_id,
            sequence=event.sequence,
            attempt=event.attempt,
            kind=event.kind,
            at=event.at,
            payload=event.model_dump(mode="json"),
        )
        for event in once.values()
    ]
    inserted = {(call_id, sequence) for call_id, sequence in await insert_new(session, CallEventRow, rows)}
    return [once[key] for key in sorted(inserted)]


async def _count(metrics: Metrics, events: Sequence[CallEvent]) -> None:
    for event in events:
        metrics.happened(event)


async def _apply(session: AsyncSession, call: CallRow, events: Sequence[CallEvent]) -> None:
    has_ended = False
    for event in events:
        if isinstance(event, CallStarted):
            lifecycle.begin(call, event.at, event.worker_id)
        elif isinstance(event, CallEnded):
            has_ended |= lifecycle.end(call, event.status, event.reason, event.at)
        elif isinstance(event, CallLost):
            has_ended |= lifecycle.end(call, "failed", event.reason, event.at)
    if call.settled_at is not None:
        await settlement.refresh(session, call)  # its worker was cut off for a while
        call.updated_at = now()
        if any(isinstance(event, CallEnded | CallLost) for event in events):
            generation = await analysis.again(session, call)
            after_commit(session, partial(workflows.start_analysis, call.id, generation))
    session.add(call)
    if has_ended:
        after_commit(session, partial(workflows.start_settlement, call.id))


async def note_recording(session: AsyncSession, call_id: str, size: int, duration_ms: int | None) -> None:
    """A call's recording is in the storage."""
    call = await session.get(CallRow, call_id, with_for_update=True)
    if call is None:
        raise CallGone
    call.recording_bytes = size
    call.recording_ms = duration_ms
    call.updated_at = now()
    session.add(call)
