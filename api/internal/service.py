"""What a worker may ask and tell: a brief for a call, and what happened in it."""

import logging
from collections.abc import Callable, Sequence
from functools import partial

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.agents.table import AgentRow
from api.calls import analysis, attempts, billing, lifecycle, outbox, queueing, settlement, workflows
from api.calls.table import CallEventRow, CallRow
from api.contacts import service as contacts
from api.db.columns import now
from api.db.engine import after_commit
from api.db.inserts import insert_new
from api.http.errors import Conflict, NotFound
from api.http.metrics import Metrics
from api.internal import welcome
from api.knowledge_base import versions
from api.schedules import requests as scheduled
from api.settings import Settings
from api.wallet import corrections
from api.wallet.charges import InsufficientBalance
from pipelines.agent_config import AgentConfig
from pipelines.contract.brief import BriefRequest, CallBrief, FunctionRun, Reception
from pipelines.contract.events import (
    BatchReceipt,
    CallEnded,
    CallEvent,
    CallLost,
    CallStarted,
    EventBatch,
    FunctionCalled,
    FunctionStarted,
    Steered,
    UtteranceHeard,
    WarningRaised,
)
from pipelines.costs import Prices

_LOG = logging.getLogger(__name__)

BLOCKS = "function_blocks"
"""The warning of a function that held up its whole process (`pipelines.tools.policy`)."""


class CallGone(NotFound):
    """This call is gone"""


class AgentGone(NotFound):
    """The agent of this call is gone"""

    keeps_changes = True  # the call that nobody can answer is marked as failed


class CallOver(Conflict):
    """This call is over"""


class BalanceSpent(Conflict):
    """The balance of this call's owner is spent"""

    keeps_changes = True  # the call is marked as failed


async def brief(session: AsyncSession, call_id: str, asked: BriefRequest, settings: Settings) -> CallBrief:
    """Tell a worker whom a call is for, count its attempt, and hold back what it may cost."""
    found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
    call = found.one_or_none()
    if call is None:
        raise CallGone
    if call.is_over:
        raise CallOver
    attempt = await attempts.take(session, call, asked.worker_id, asked.job_id, asked.attempt)
    try:
        agent = None if _is_without_agent(call) else await _agent_of(session, call)
    except agents.AgentNotFound:
        lifecycle.conclude(call, "failed", "error: the agent is gone")
        raise AgentGone from None
    known = await contacts.recognised(session, call.owner_id, call.contact_id, call.other_number)
    call.contact_id = known.id if known is not None else None
    before = await settlement.events_of(session, call.id) if attempt > 1 else []
    told = await _brief(session, call, agent, before)
    try:
        seconds = await billing.reserve(session, call, told.agent, told.max_duration_seconds, settings)
    except InsufficientBalance:
        lifecycle.conclude(call, "failed", "error: the balance is spent")
        raise BalanceSpent from None
    return told.model_copy(update={"max_duration_seconds": seconds})


def _is_without_agent(call: CallRow) -> bool:
    """A call that only says something needs nobody who would talk, and may name nobody."""
    return call.agent_id is None and bool((call.reception or {}).get("is_all"))


async def _agent_of(session: AsyncSession, call: CallRow) -> AgentRow:
    return await agents.of_owner(session, call.owner_id, call.agent_id or "")


async def _brief(
    session: AsyncSession, call: CallRow, agent: AgentRow | None, before: Sequence[CallEvent]
) -> CallBrief:
    """`agent` is None for a call that only says something: then in a voice of this installation."""
    config = AgentConfig(agent_id="", name="") if agent is None else agents.to_config(agent)
    if call.is_recorded is not None:
        config = config.model_copy(update={"enable_recording": call.is_recorded})
    contact = await contacts.recognised(session, call.owner_id, call.contact_id, call.other_number)
    knowledge = None if agent is None else agents.settings_of(agent).knowledge_base_ids
    known = await versions.versions(session, call.owner_id, knowledge or ())
    longest = config.max_call_duration_ms // 1000
    return CallBrief(
        call_id=call.id,
        attempt=call.attempt,
        agent=config,
        variables={**(contacts.variables_of(contact) if contact else {}), **call.variables},
        caller_number=call.other_number or "",
        knowledge=known,
        max_duration_seconds=min(longest, call.max_duration_seconds or longest),
        participant_identity=call.participant_identity,
        transcript=tuple(event.utterance for event in before if isinstance(event, UtteranceHeard)),
        functions=_ran(before),
        steered=tuple(event.action for event in before if isinstance(event, Steered)),
        reception=_reception(call, is_first=not before),
        queue=queueing.terms(call),
        started_at=call.started_at,
        used=settlement.used(before) if before else {},
    )


def _reception(call: CallRow, *, is_first: bool) -> Reception | None:
    """What comes before the agent; what is all there is comes again, where its process died."""
    reception = Reception.model_validate(call.reception) if call.reception else None
    return reception if reception is not None and (is_first or reception.is_all) else None


async def overheard_brief(session: AsyncSession, call_id: str, asked: BriefRequest) -> CallBrief:
    """The brief of a call that was put through, for a process that hears the two: an attempt of its own."""
    found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
    call = found.one_or_none()
    if call is None or not call.attempt:
        raise CallGone
    if call.is_over:
        raise CallOver
    try:
        agent = await _agent_of(session, call)
    except agents.AgentNotFound:
        raise CallGone from None
    await attempts.beside(session, call, asked.worker_id, asked.job_id)
    # The process that put it through may have died before it could say so.
    call.bridged_at = call.bridged_at or now()
    return await _brief(session, call, agent, ())


def priced(brief: CallBrief, prices: Prices) -> CallBrief:
    """The same with what things cost, where its agent limits that."""
    if brief.agent.limits.cost_usd is None:
        return brief
    return brief.model_copy(update={"prices": prices})


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
    return await _brief(session, call, agent, ())


def _ran(events: Sequence[CallEvent]) -> tuple[FunctionRun, ...]:
    """What was run, in order; what was begun and never came back is told as that."""
    runs: dict[str, FunctionRun] = {}
    for event in events:
        if isinstance(event, FunctionStarted):
            runs[event.function_call_id] = FunctionRun(
                function_call_id=event.function_call_id,
                name=event.name,
                arguments=event.arguments,
                started_at=event.at,
            )
        elif isinstance(event, FunctionCalled):
            id_ = event.function_call_id or f"at-{event.sequence}"
            told = {"result": event.result, "error": event.error}
            runs[id_] = FunctionRun(
                function_call_id=id_,
                name=event.name,
                arguments=event.arguments,
                started_at=event.started_at,
                **told,
            )
    return tuple(runs.values())


async def accept(
    session: AsyncSession, batch: EventBatch, metrics: Metrics, on_lost: Callable[[str], None]
) -> BatchReceipt:
    """Keep a batch's events, each once, and let those that are new have their effect.

    Refused is what belongs to a call that is gone, and what happened in an attempt after it had to know
    that another replaced it. `on_lost` is told, after the commit, of calls that wait for a process.
    """
    wanted = sorted({event.call_id for event in batch.events})
    found = await session.exec(
        # One order everywhere, so that two batches never wait for each other.
        select(CallRow).where(col(CallRow.id).in_(wanted)).order_by(col(CallRow.id)).with_for_update()
    )
    calls = {call.id: call for call in found.all()}
    told = await welcome.sort(session, batch.events, calls)
    new = await _keep(session, told.welcome)
    after_commit(session, partial(_count, metrics, [one for one in new if not told.is_put_out(one)]))
    for call_id, call in calls.items():
        if mine := [event for event in new if event.call_id == call_id]:
            has_ended = await _apply(
                session, call, [one for one in mine if not told.is_put_out(one)], on_lost
            )
            await _tell_of(session, call, mine, has_ended=has_ended)
    return BatchReceipt(accepted=len(new), refused=told.refused, replaced=told.replaced)


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


async def _note(session: AsyncSession, call: CallRow, event: FunctionCalled | WarningRaised) -> None:
    """Remember what outlives the call."""
    if isinstance(event, FunctionCalled):
        await scheduled.callback(session, call, event)
    elif event.code == BLOCKS:
        await session.exec(update(AgentRow).where(col(AgentRow.id) == call.agent_id).values(blocked_at=now()))


async def _apply(
    session: AsyncSession, call: CallRow, events: Sequence[CallEvent], on_lost: Callable[[str], None]
) -> bool:
    """Let events have their effect on their call. True if it is over now, and was not told to be before."""
    has_ended = False
    for event in events:
        if isinstance(event, CallStarted):
            lifecycle.begin(call, event.at, event.worker_id if event.attempt == call.attempt else None)
        elif isinstance(event, CallEnded) and event.is_bridged:
            has_ended |= lifecycle.bridge(call, event.at)
        elif isinstance(event, CallEnded):
            has_ended |= lifecycle.end(call, event.status, event.reason, event.at)
            if event.attempt < call.attempt:
                call.hang_up_reason = event.reason  # the attempt that followed for nothing
        elif isinstance(event, FunctionCalled | WarningRaised):
            await _note(session, call, event)
        elif isinstance(event, CallLost) and call.bridged_at is None:  # else the two talk on without it
            if await attempts.follow(session, call, event.attempt, is_death=not event.is_handed_over):
                after_commit(session, partial(_tell, on_lost, call.id))
            else:
                has_ended |= lifecycle.end(call, "failed", _why_lost(call, event), event.at)
    return has_ended


async def _tell_of(
    session: AsyncSession, call: CallRow, events: Sequence[CallEvent], *, has_ended: bool
) -> None:
    """Have what was written of a call before, and whoever follows it, know these events, too."""
    if call.settled_at is not None:
        await settlement.refresh(session, call)  # its worker was cut off for a while
        # With the shared sync, unlike other money: docs/decisions/one-sync-for-many-commits.md says why.
        await corrections.shorten(session, call.id, call.duration_ms or 0)
        call.updated_at = now()
        if any(_ends_words(event) for event in events):
            generation = await analysis.again(session, call)
            after_commit(session, partial(workflows.start_analysis, call.id, generation))
    session.add(call)
    await outbox.happened(session, call, events, has_ended=has_ended)
    if has_ended:
        after_commit(session, partial(workflows.start_settlement, call.id))


def _ends_words(event: CallEvent) -> bool:
    """Whether all that its attempt heard is known now."""
    if isinstance(event, CallEnded):
        return not event.is_overheard or bool(event.usage)  # else nobody listened for words
    return isinstance(event, CallLost)


async def _tell(on_lost: Callable[[str], None], call_id: str) -> None:
    on_lost(call_id)


def _why_lost(call: CallRow, event: CallLost) -> str:
    return event.reason if call.deaths <= 1 else f"{event.reason} {call.deaths} times"


async def note_recording(session: AsyncSession, call_id: str, size: int, duration_ms: int | None) -> None:
    """A call's recording is in the storage."""
    call = await session.get(CallRow, call_id, with_for_update=True)
    if call is None:
        raise CallGone
    call.recording_bytes = size
    call.recording_ms = duration_ms
    call.updated_at = now()
    session.add(call)
