"""When a person may be called: by the clock where they live, or by every clock where they may live.

New York  ──09:00────────────20:00──
Chicago   ─────09:00────────────20:00──
called         └────────────┘               a number whose digits name both
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from api.hours import DAYS, CallingHours
from api.schedules.recurrence import moment

_MOST_STEPS = 400


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
    for ahead in range(9):
        day = there.date() + timedelta(days=ahead)
        if DAYS[day.weekday()] not in hours.weekdays:
            continue
        opens = moment(datetime.combine(day, hours.start), zone)
        closes = moment(datetime.combine(day, hours.end), zone)
        if at < closes:
            return max(at, opens).astimezone(UTC)
    raise AssertionError("a week has the days that it has")
