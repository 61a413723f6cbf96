"""Transfers of a call, and what came of each."""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from api.calls.table import CallRow
from api.http.wire import Wire
from pipelines.contract.events import CallEvent, TransferTried


class CallTransfer(Wire):
    """The caller was to be handed to somebody, and what came of it."""

    target: str
    """Its name."""
    to: str
    mode: Literal["cold", "warm"]
    outcome: Literal["referred", "bridged", "failed"]
    """`referred`: the carrier has both, and we know no more. `bridged`: they talk through us."""
    why_not: str
    at: datetime
    took_ms: float
    """From the wish to this outcome."""
    talked_ms: float | None = None
    """How long the two talked, where that is known and over. It is part of the call's duration."""


def transfers(row: CallRow, events: Sequence[CallEvent]) -> list[CallTransfer]:
    """All that were tried, in order."""
    return [_told(row, event) for event in events if isinstance(event, TransferTried)]


def _told(row: CallRow, event: TransferTried) -> CallTransfer:
    is_known = event.outcome == "bridged" and row.ended_at is not None
    return CallTransfer(
        target=event.target,
        to=event.to,
        mode=event.mode,
        outcome=event.outcome,
        why_not=event.why_not,
        at=event.at,
        took_ms=event.duration_ms,
        talked_ms=max(0.0, (row.ended_at - event.at).total_seconds() * 1000)
        if is_known and row.ended_at is not None
        else None,
    )
