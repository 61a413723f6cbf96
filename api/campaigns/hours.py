"""When a person may be called: by the clock where they live, or by every clock where they may live.

New York  ──09:00────────────20:00──
Chicago   ─────09:00────────────20:00──
called         └────────────┘               a number whose digits name both
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import Field, field_serializer, model_validator

from api.http.wire import Wire
from api.schedules.recurrence import DAYS, Weekday, moment

_MOST_STEPS = 400


def _every_day() -> list[Weekday]:
    return ["mo", "tu", "we", "th", "fr", "sa", "su"]


class CallingHours(Wire):
    """From when to when, on which days."""

    start: time = time(9)
    end: time = time(20)
    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7)] = Field(default_factory=_every_day)

    @model_validator(mode="after")
    def _in_order(self) -> "CallingHours":
        if self.start.tzinfo or self.end.tzinfo:
            raise ValueError("The hours are those of the person's own clock: no offset.")
        if self.start >= self.end:
            raise ValueError("start must be before end.")
        return self

    @field_serializer("start", "end")
    def _short(self, value: time) -> str:
        return value.strftime("%H:%M")


def opening(hours: CallingHours, zones: Sequence[str], at: datetime) -> datetime | None:
    """When it is within the hours on all of these clocks: `at` itself, else the next time after it.

    None where that never happens: a number that may be anywhere in Russia, and short hours.
    """
    for _ in range(_MOST_STEPS):
        later = max(_next_open(hours, zone, at) for zone in zones)
        if later == at:
            return at
        at = later
    return None


def _next_open(hours: CallingHours, zone: str, at: datetime) -> datetime:
    """`at` where one clock is within the hours, else when it next is."""
    there = at.astimezone(ZoneInfo(zone))
    names = list(DAYS)
    for ahead in range(9):
        day = there.date() + timedelta(days=ahead)
        if names[day.weekday()] not in hours.weekdays:
            continue
        opens = moment(datetime.combine(day, hours.start), zone)
        closes = moment(datetime.combine(day, hours.end), zone)
        if at < closes:
            return max(at, opens).astimezone(UTC)
    raise AssertionError("a week has the days that it has")
