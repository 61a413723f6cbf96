"""What others are told of a call, written in the transaction of what happened.

waits ───► call.queued
started ─► call.started      tried ─► call.transfer   over ─► call.ended (call.error too, where it failed)
heard ───► call.transcript   analysed ─► exactly one of call.completed, call.transferred, call.failed
"""

from collections.abc import Sequence
from typing import Any

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents.table import AgentRow
from api.calls.table import CallRow
from api.webhooks import events, service
from pipelines.contract.events import CallEvent, CallStarted, TransferTried, UtteranceHeard
from pipelines.extraction import Analysis

_OF_TRANSFER = {"target", "to", "mode", "outcome", "why_not", "duration_ms"}


async def happened(
    session: AsyncSession, call: CallRow, new: Sequence[CallEvent], *, has_ended: bool
) -> None:
    """Tell of new events of a call, in their order."""
    url = await _agent_url(session, call)
    for event in new:
        if isinstance(event, CallStarted) and event.attempt == 1:
            await _emit(session, call, url, "call.started", "started", {"started_at": event.at.isoformat()})
        elif isinstance(event, UtteranceHeard):
            said = event.utterance.model_dump(mode="json")
            await _emit(session, call, url, "call.transcript", f"utterance:{event.sequence}", said)
        elif isinstance(event, TransferTried):
            tried = event.model_dump(mode="json", include=_OF_TRANSFER)
            # `to` is the number of the call itself, as in every event.
            told = {"target": tried.pop("target"), "target_value": tried.pop("to"), **tried}
            await _emit(session, call, url, "call.transfer", f"transfer:{event.sequence}", told)
    if has_ended:
        ended = _ended(call)
        await _emit(session, call, url, "call.ended", "ended", ended)
        if call.status == "failed":
            await _emit(session, call, url, "call.error", "error", ended)


async def queued(session: AsyncSession, call: CallRow, place: int) -> None:
    """Tell where a caller stands who waits for a line. Each place once."""
    url = await _agent_url(session, call)
    await _emit(session, call, url, "call.queued", f"queued:{place}", {"position": place})


async def concluded(session: AsyncSession, call: CallRow, analysis: Analysis) -> None:
    """Tell how a call went, once, when everything about it is known."""
    data = {
        **_ended(call),
        "transcript": call.transcript or "",
        "extracted": analysis.custom_analysis_data,
        "call_analysis": analysis.model_dump(mode="json"),
        "metadata": call.extra or {},
    }
    event_type: Any = events.ENDING.get(call.status, "call.failed")
    await _emit(session, call, await _agent_url(session, call), event_type, "concluded", data)


def _ended(call: CallRow) -> dict[str, Any]:
    milliseconds = call.duration_ms or 0
    has_recording = call.recording_bytes is not None
    return {
        "duration_ms": milliseconds,
        "duration_seconds": round(milliseconds / 1000, 3),
        "status": call.status,
        "disconnection_reason": call.disconnection_reason,
        "transcript_url": f"/v1/calls/{call.id}/transcript",
        "recording_url": f"/v1/calls/{call.id}/recording" if has_recording else None,
    }


async def _emit(
    session: AsyncSession,
    call: CallRow,
    url: str | None,
    event_type: events.EventType,
    what: str,
    data: dict[str, Any],
) -> None:
    base = {"from": call.from_number, "to": call.to_number, "direction": call.direction}
    await service.emit(
        session,
        call.owner_id,
        event_type,
        f"{call.id}:{what}",
        {**base, **data},
        call_id=call.id,
        agent_id=call.agent_id,
        agent_url=url,
    )


async def _agent_url(session: AsyncSession, call: CallRow) -> str | None:
    found = await session.exec(
        select(AgentRow.config).where(AgentRow.id == call.agent_id, AgentRow.owner_id == call.owner_id)
    )
    config = found.one_or_none()
    return None if config is None else config.get("webhook_url") or None
