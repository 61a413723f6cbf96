"""What a call comes to: figures and text from its events, written once."""

from collections.abc import Sequence

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.table import AgentRow
from api.calls import outbox, retries
from api.calls.table import CallEventRow, CallRow, CallUsageRow
from api.db.columns import now
from api.db.inserts import insert_new
from pipelines.contract.events import EVENT, CallEnded, CallEvent, CallLost, TurnTaken, UtteranceHeard
from pipelines.costs import UsedInCall
from pipelines.transcript import as_text


async def events_of(session: AsyncSession, call_id: str) -> list[CallEvent]:
    """A call's events in their order."""
    found = await session.exec(
        select(CallEventRow.payload)
        .where(CallEventRow.call_id == call_id)
        .order_by(col(CallEventRow.sequence))
    )
    return [EVENT.validate_python(payload) for payload in found.all()]


def transcript_of(events: Sequence[CallEvent]) -> str:
    """What was said, as text."""
    return as_text([event.utterance for event in events if isinstance(event, UtteranceHeard)])


def used(events: Sequence[CallEvent]) -> dict[str, float]:
    """What all attempts at a call used of its providers.

    Of one whose process died it is what it had told with the last words it spoke.
    """
    told: dict[int, dict[str, float]] = {}
    for event in events:
        if isinstance(event, CallEnded | CallLost | UtteranceHeard) and event.usage:
            told[event.attempt] = event.usage
    return {name: sum(usage.get(name, 0.0) for usage in told.values()) for name in UsedInCall.__annotations__}


def usage_of(call: CallRow, events: Sequence[CallEvent]) -> CallUsageRow:
    """The figures of a call. What several attempts used is added up."""
    utterances = [event.utterance for event in events if isinstance(event, UtteranceHeard)]
    talk_ms: dict[str, float] = {"user": 0.0, "agent": 0.0, "supervisor": 0.0, "person": 0.0}
    for utterance in utterances:
        if not utterance.is_typed:
            spoken = (utterance.ended_at - utterance.started_at).total_seconds() * 1000
            talk_ms[utterance.role] += max(0.0, spoken)
    total = used(events)
    return CallUsageRow(
        call_id=call.id,
        owner_id=call.owner_id,
        agent_id=call.agent_id,
        duration_ms=call.duration_ms or 0,
        user_talk_ms=round(talk_ms["user"]),
        agent_talk_ms=round(talk_ms["agent"]),
        turns=sum(isinstance(event, TurnTaken) for event in events),
        llm_input_tokens=round(total["llm_input_tokens"]),
        llm_output_tokens=round(total["llm_output_tokens"]),
        tts_characters=round(total["tts_characters"]),
        stt_seconds=total["stt_seconds"],
    )


async def write_usage(session: AsyncSession, call_id: str) -> None:
    """Write a call's usage row unless it is there. Nothing for a call that was deleted."""
    call = await session.get(CallRow, call_id)
    if call is None:
        return
    usage = usage_of(call, await events_of(session, call_id))
    await insert_new(session, CallUsageRow, [usage])


async def refresh(session: AsyncSession, call: CallRow) -> None:
    """Write text and figures anew from all that is known by now; events may come after a call's end.

    The call's row must be locked, so that no event is accepted meanwhile.
    """
    events = await events_of(session, call.id)
    call.transcript = transcript_of(events)
    session.add(call)
    figures = usage_of(call, events).model_dump(exclude={"created_at"})
    await session.exec(update(CallUsageRow).where(col(CallUsageRow.call_id) == call.id).values(**figures))


async def mark_settled(session: AsyncSession, call_id: str) -> None:
    """Write text, figures and the moment; a call that is settled stays as it is."""
    call = await session.get(CallRow, call_id, with_for_update=True)
    if call is None or call.settled_at is not None:
        return
    await refresh(session, call)
    days = col(AgentRow.config)["retention_days"].as_integer()
    found = await session.exec(select(days).where(AgentRow.id == call.agent_id))
    call.retention_days = found.one_or_none()
    call.settled_at = call.updated_at = now()
    call.redial_at = retries.due(call)
    # Of an end that was only presumed nobody has told yet; told already, it is not told again.
    await outbox.happened(session, call, (), has_ended=True)
