"""When a series calls: by the clock on the wall of its time zone, whatever summer time does to it.

    local   ──9:00────────9:00──╥─────9:00──      the clock goes forward at ╥
    UTC     ──8:00────────8:00──╨─────7:00──      an hour earlier from then on

A time that the clock jumps over is an hour later on that day; one that comes twice is the first of both.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from dateutil import rrule, tz
from pydantic import AliasChoices, Field

from api.hours import DAYS, Weekday
from api.http.wire import Wire

Frequency = Literal["daily", "weekly", "monthly"]
_RULES = {"daily": rrule.DAILY, "weekly": rrule.WEEKLY, "monthly": rrule.MONTHLY}
_RRULE_DAYS = dict(
    zip(DAYS, (rrule.MO, rrule.TU, rrule.WE, rrule.TH, rrule.FR, rrule.SA, rrule.SU), strict=True)
)
_LONGEST_SEARCH = 20_000
"""Occurrences looked at: fifty years of every day."""


class Recurrence(Wire):
    """How often."""

    frequency: Frequency = Field(validation_alias=AliasChoices("frequency", "type", "freq"))
    interval: Annotated[int, Field(ge=1, le=366)] = 1
    weekdays: Annotated[list[Weekday], Field(max_length=7)] = Field(
        default_factory=list, validation_alias=AliasChoices("weekdays", "days", "days_of_week", "by_day")
    )
    """On which days of the week; left out: on that of the first call."""
    end_at: datetime | None = Field(
        default=None, validation_alias=AliasChoices("end_at", "until", "end_date")
    )


def moment(local: datetime, zone: str) -> datetime:
    """When a wall clock in this zone shows `local`, in UTC; of an aware one, when it is."""
    if local.tzinfo is not None:
        return local.astimezone(UTC)
    there: datetime = tz.resolve_imaginary(local.replace(tzinfo=ZoneInfo(zone)))
    return there.astimezone(UTC)


def following(first_at: datetime, zone: str, how: Recurrence, after: datetime) -> Iterator[datetime]:
    """Every occurrence after a moment, in order, in UTC."""
    begins = first_at.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    day = begins.day
    rule = rrule.rrule(
        _RULES[how.frequency],
        dtstart=begins,
        interval=how.interval,
        byweekday=[_RRULE_DAYS[name] for name in how.weekdays if how.frequency != "monthly"] or None,
        # The 31st of a month that has none is its last day.
        **(
            {"bymonthday": range(28, day + 1), "bysetpos": -1}
            if how.frequency == "monthly" and day > 28
            else {}
        ),
    )
    # A day before: two wall clocks of one moment may differ by that much.
    since = after.astimezone(ZoneInfo(zone)).replace(tzinfo=None) - timedelta(days=1)
    for local in islice(rule.xafter(since, inc=True), _LONGEST_SEARCH):
        if (at := moment(local, zone)) > after:
            yield at


def next_after(
    first_at: datetime, zone: str, how: Recurrence, after: datetime, end_at: datetime | None
) -> datetime | None:
    """The next occurrence; None where the series is over."""
    at = next(following(first_at, zone, how, after), None)
    return None if at is None or (end_at is not None and at > end_at) else at
