"""Wire models of the status page."""

from datetime import date, datetime
from typing import Literal

from api.http.wire import Wire

State = Literal["operational", "down"]


class StatusDay(Wire):
    """How much of a day (UTC) a part was up, in per cent; null before anything was written down."""

    day: date
    percent: float | None


class PartStatus(Wire):
    """One part: now, and over 90 days."""

    name: Literal["api", "voice"]
    status: State
    availability_percent: float | None
    promised_percent: float
    days: list[StatusDay]


class Status(Wire):
    """How available this installation is and was, from its own figures."""

    status: Literal["operational", "degraded", "down"]
    timestamp: datetime
    parts: list[PartStatus]
