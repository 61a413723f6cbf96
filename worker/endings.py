"""How calls come to end, in the words of the record."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from livekit.agents import AgentSession, CloseEvent

from pipelines.assemble import Pipeline
from pipelines.contract.events import CallStatus
from pipelines.contract.websocket import HangUp
from worker import brief as briefs
from worker.lines.line import Line, LineClosed

logger = logging.getLogger(__name__)

CLOSE_SECONDS = 8.0
"""The last words may still be on their way to the recogniser when the line closes."""

_REFUSALS = {briefs.CallGone: "agent_gone", briefs.CallOver: "call_over"}


@dataclass(frozen=True)
class Ending:
    """`status` and `reason` as `CallEnded` has them."""

    status: CallStatus
    reason: str
    is_handed_over: bool = False
    """Another process goes on, since this worker stops."""
    is_lost: bool = False
    """Another process goes on, since this one ends too early."""

    is_bridged: bool = False
    """The caller talks on with somebody else, and the exchange knows until when."""

    at: datetime | None = None
    """When the other side was gone; what is waited for then is nobody's time. None: once all is closed."""

    @property
    def goes_on(self) -> bool:
        """It is the end of this attempt, not of the call."""
        return self.is_handed_over or self.is_lost


STOPPED = Ending("failed", "error: the worker was stopped", is_lost=True)
"""The agent server is gone, and LiveKit closes the processes of its calls."""


def of_error(error: BaseException) -> Ending:
    """Something broke."""
    return Ending("failed", f"error: {type(error).__name__}: {error}")


def of_line(closed: LineClosed) -> Ending:
    """The other side is gone."""
    status: CallStatus = "ended" if closed.cause == "nobody_came" else "completed"
    return Ending(status, closed.cause, at=datetime.now(UTC))


def of_order(order: HangUp) -> Ending:
    """Somebody wants it to end, or another process to go on with it."""
    return Ending("ended", order.reason, is_handed_over=order.hands_over)


async def of_session(closed: asyncio.Queue[CloseEvent]) -> Ending:
    """The session ended by itself: a provider failed too often, or LiveKit closes the job."""
    error = (await closed.get()).error
    cause = getattr(error, "error", None) or error
    return of_error(cause) if isinstance(cause, BaseException) else STOPPED


def of_refusal(error: Exception) -> dict[str, Any]:
    """What a page is told when there is no brief, in the shape of a call's last event."""
    reason = _REFUSALS.get(type(error), "unavailable")
    message = str(error) or type(error).__doc__
    return {"kind": "call_ended", "status": "failed", "reason": reason, "message": message}


async def turn_away(line: Line, error: Exception) -> None:
    """There is no brief for whoever is on the line."""
    logger.warning("a call was turned away", extra={"error": type(error).__name__})
    await line.tell(of_refusal(error))
    await line.hang_up()


async def close(session: AgentSession[None], pipeline: Pipeline, *, words_are_owed: bool) -> None:
    """Close what a call talked with, after its last words."""
    if not words_are_owed:
        # Otherwise it would wait for words that nobody said, on a line that is dead already.
        session.options.session_close_transcript_timeout = 0.0
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await session.aclose()
            await pipeline.aclose()
    except TimeoutError:
        logger.warning("a session did not close in time")
