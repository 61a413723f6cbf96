"""How a call begins and ends: the only code that changes a call's status.

    pending ──briefed──► pending ──began──► in_progress ──ended──► completed · ended · failed · transferred
       └─never used─► (deleted)              ▲ ▲ │ └─concluded─► failed, until the worker says more
                                             │ └─┘ its process died: another attempt (`attempts`)
                                             └ bridged: the agent has left; the exchange says when it is over

`concluded` is what the api presumes when a worker is gone or somebody ordered the end; the worker's own
last word, should it still come, replaces it.
"""

import logging
from datetime import datetime

from api.calls.table import CallRow
from api.db.columns import now

MAX_REASON = 500
TRANSFERRED = "transferred"

_LOG = logging.getLogger(__name__)


def begin(call: CallRow, at: datetime, worker_id: str | None) -> None:
    """The agent listens; `worker_id` is where, None for an attempt that another has replaced."""
    call.started_at = call.started_at or at
    if call.status in {"pending", "ringing"}:
        call.status = "in_progress"
        _LOG.info("call started", extra={"call_id": call.id})
    if worker_id is not None and not call.is_over:
        call.worker_id = worker_id
    call.updated_at = now()


def end(call: CallRow, status: str, reason: str, at: datetime) -> bool:
    """The worker says how it ended. False when an end that it told before already stands."""
    if call.is_over and not call.is_presumed:
        return False
    _close(call, status, reason, at)
    call.is_presumed = False
    return True


def bridge(call: CallRow, at: datetime) -> bool:
    """The agent has left, and the caller talks on until the exchange tells of the end. True if it has."""
    call.bridged_at = min(call.bridged_at or at, at)  # another process may have told that it hears the two
    call.updated_at = now()
    if call.line_ended_at is None:
        return False
    return end(call, TRANSFERRED, TRANSFERRED, max(at, call.line_ended_at))


def conclude(call: CallRow, status: str, reason: str, at: datetime | None = None) -> bool:
    """The api presumes that a call is over, since now unless told. False when it already is."""
    if call.is_over:
        return False
    _close(call, status, reason, at or now())
    call.is_presumed = True
    return True


def _close(call: CallRow, status: str, reason: str, at: datetime) -> None:
    call.status = status
    call.disconnection_reason = reason[:MAX_REASON]
    call.ended_at = max(at, call.started_at) if call.started_at else at
    call.updated_at = now()
    _LOG.info("call ended", extra={"call_id": call.id, "status": status})
