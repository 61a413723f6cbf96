"""After which outcome, when and how often somebody is called again."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import Field

from api.calls.outcomes import UNDIALLED, Outcome, outcome_of
from api.calls.table import CallRow
from api.http.wire import Wire


class Retry(Wire):
    """When somebody who was not reached is called again."""

    count: Annotated[int, Field(ge=1, le=5)] = 1
    """How often at most."""
    delay_minutes: Annotated[int, Field(ge=0, le=1440)] = 5
    """From the end of one try to the next."""
    on: Annotated[list[Outcome], Field(min_length=1, max_length=6)] = Field(
        default_factory=lambda: list[Outcome](("no_answer", "busy", "failed", "voicemail"))
    )
    """After which outcomes."""


def due(call: CallRow) -> datetime | None:
    """When whom a call that is over was for is called again."""
    if call.retry is None or call.direction != "outbound" or call.ended_at is None:
        return None
    retry = Retry.model_validate(call.retry)
    outcome = outcome_of(call)
    if call.tries > retry.count or ("failed" if outcome == UNDIALLED else outcome) not in retry.on:
        return None
    return call.ended_at + timedelta(minutes=retry.delay_minutes)
