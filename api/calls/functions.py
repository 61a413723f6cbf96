"""Functions that ran during a call."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from api.calls.table import CallRow
from api.http.wire import Wire
from pipelines.contract.events import CallEvent, FunctionCalled, FunctionStarted


class CallFunction(Wire):
    """A function that ran during the call."""

    name: str
    arguments: dict[str, Any]
    result: str | None = None
    error: str | None = None
    started_at: datetime
    duration_ms: float


def functions(row: CallRow, events: Sequence[CallEvent]) -> list[CallFunction]:
    """What ran, and what was under way when its process died."""
    ended = [event for event in events if isinstance(event, FunctionCalled)]
    known = {event.function_call_id for event in ended}
    cut_off = [
        CallFunction(
            name=event.name,
            arguments=event.arguments,
            error="interrupted",
            started_at=event.at,
            duration_ms=0.0,
        )
        for event in events
        if isinstance(event, FunctionStarted)
        and event.function_call_id not in known
        and (row.is_over or event.attempt < row.attempt)
    ]
    ran = [CallFunction(**event.model_dump(include=set(CallFunction.model_fields))) for event in ended]
    return sorted(ran + cut_off, key=lambda function: function.started_at)
