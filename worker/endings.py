"""How calls come to end, in the words of the record."""

import asyncio
from dataclasses import dataclass
from typing import Any

from livekit.agents import CloseEvent

from pipelines.contract import CallStatus
from worker import brief as briefs
from worker.lines.line import LineClosed

_REFUSALS = {briefs.CallGone: "agent_gone", briefs.CallOver: "call_over"}


@dataclass(frozen=True)
class Ending:
    """`status` and `reason` as `CallEnded` has them."""

    status: CallStatus
    reason: str


STOPPED = Ending("failed", "error: the worker was stopped")


def of_error(error: BaseException) -> Ending:
    """Something broke."""
    return Ending("failed", f"error: {type(error).__name__}: {error}")


def of_line(closed: LineClosed) -> Ending:
    """The other side is gone."""
    return Ending("ended" if closed.cause == "nobody_came" else "completed", closed.cause)


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
