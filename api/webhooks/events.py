"""Which events there are, who is told of them when nobody chose, and how one reads."""

import json
from datetime import datetime
from typing import Any, Literal

EventType = Literal[
    "call.queued",
    "call.started",
    "call.transcript",
    "call.transfer",
    "call.ended",
    "call.error",
    "call.completed",
    "call.transferred",
    "call.failed",
    "campaign.completed",
    "payment.succeeded",
    "payment.failed",
    "webhook.test",
]

Choice = Literal[EventType, "call.*", "campaign.*", "payment.*", "webhook.*", "*"]
"""What an endpoint may ask for. Another word is refused: it would be told of nothing, and never know."""

WHOLE: frozenset[str] = frozenset(
    (
        *("call.completed", "call.transferred", "call.failed"),
        *("campaign.completed", "payment.succeeded", "payment.failed", "webhook.test"),
    )
)
"""What an endpoint that chose nothing is told: one event for each call, campaign or payment."""

OF_AGENT: frozenset[str] = frozenset(
    (
        *("call.started", "call.transfer", "call.ended", "call.error"),
        *("call.completed", "call.transferred", "call.failed"),
    )
)
"""What an agent's own URL is told. `call.transcript`, one for each utterance, and `call.queued`, one for each
place in the queue, an endpoint has to choose."""

ENDING = {"completed": "call.completed", "ended": "call.completed", "transferred": "call.transferred"}
"""Exactly one of these for each call; every other status is `call.failed`."""


def wants(chosen: list[str], event_type: str) -> bool:
    """Whether an endpoint is told of an event. `call.*` chooses all of a kind, `*` everything."""
    if not chosen:
        return event_type in WHOLE
    kind = event_type.partition(".")[0]
    return event_type in chosen or f"{kind}.*" in chosen or "*" in chosen


def body(
    event_id: str,
    event_type: str,
    at: datetime,
    data: dict[str, Any],
    call_id: str | None,
    agent_id: str | None,
) -> str:
    """The JSON text of one event: both of the documented envelopes in one.

    `{event, id, ts, data}` and `{type, call_id, agent_id, timestamp, data}`; `ts` is seconds since 1970.
    """
    return json.dumps(
        {
            "id": event_id,
            "event": event_type,
            "type": event_type,
            "ts": int(at.timestamp()),
            "timestamp": at.isoformat(),
            "call_id": call_id,
            "agent_id": agent_id,
            "data": {"call_id": call_id, "agent_id": agent_id, **data},
        },
        ensure_ascii=False,
        separators=(",", ":"),
    )
