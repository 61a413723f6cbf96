"""A caller waits for a line: on what terms, where they stand, and what came of it.

The exchange keeps the queue and tells each place; here it is on record.
"""

from datetime import datetime, timedelta
from typing import Any, Literal

from api.calls.table import CallRow
from api.db.columns import now
from api.http.wire import Wire
from api.phone_numbers.answering import CallersQueue
from pipelines.contract.brief import Queue
from pipelines.contract.phones import PhoneQueue

Outcome = Literal["waiting", "answered", "abandoned", "timed_out", "callback", "lost"]
_OUTCOMES: dict[str, Outcome] = {
    "queue_abandoned": "abandoned",
    "queue_timeout": "timed_out",
    "queue_callback": "callback",
}


class CallQueue(Wire):
    """How long the caller waited for a line, and what came of it."""

    position: int | None
    """1 is the next; null once they wait no more."""
    outcome: Outcome
    """`callback`: they are to be called back. `lost`: the call broke while they waited."""
    entered_at: datetime
    left_at: datetime | None
    waited_ms: float | None

    @classmethod
    def of(cls, call: CallRow) -> "CallQueue | None":
        """Of one that waits or has waited; None for any other."""
        if call.queue is None:
            return None
        entered_at = datetime.fromisoformat(call.queue["entered_at"])
        left = call.queue["left_at"]
        left_at = datetime.fromisoformat(left) if left else call.started_at or call.ended_at
        return cls(
            position=place(call) or None,
            outcome=_outcome(call),
            entered_at=entered_at,
            left_at=left_at,
            waited_ms=None if left_at is None else max(0.0, (left_at - entered_at).total_seconds() * 1000),
        )


def enter(call: CallRow, waits: CallersQueue, *, offers_callback: bool) -> None:
    """No line is free for a caller, who waits on these terms from now on."""
    at = now()
    call.status = "ringing"
    call.queue = {
        "position": 0,
        "entered_at": at.isoformat(),
        "left_at": None,
        "until": (at + timedelta(seconds=waits.longest_seconds)).isoformat(),
        "every_seconds": waits.every_seconds,
        "offers_callback": offers_callback,
        "answers": waits.answers,
    }


def moved(call: CallRow, to: int, at: datetime) -> bool:
    """The exchange tells where a caller stands; 0 is no more. Whether it is a new place in the queue."""
    if call.queue is None or call.queue["left_at"] is not None:
        return False
    is_new = to not in (0, call.queue["position"])
    left: dict[str, Any] = {} if to else {"left_at": at.isoformat()}
    call.queue = {**call.queue, "position": to, **left}
    return is_new


def place(call: CallRow) -> int:
    """Where a caller stands; 0 does not wait."""
    is_waiting = call.queue is not None and call.started_at is None and not call.is_over
    return int(call.queue["position"]) if call.queue is not None and is_waiting else 0


def as_told(call: CallRow) -> PhoneQueue | None:
    """What the exchange is to do with a caller who has to wait."""
    return None if call.queue is None else PhoneQueue(is_answered=call.queue["answers"])


def terms(call: CallRow) -> Queue | None:
    """What a worker is told of how a caller waits; None once an attempt has begun to listen."""
    if call.queue is None or call.started_at is not None:
        return None
    return Queue(
        until=datetime.fromisoformat(call.queue["until"]),
        every_seconds=call.queue["every_seconds"],
        offers_callback=call.queue["offers_callback"],
    )


def _outcome(call: CallRow) -> Outcome:
    if call.started_at is not None:
        return "answered"
    return _OUTCOMES.get(call.disconnection_reason or "", "lost") if call.is_over else "waiting"
