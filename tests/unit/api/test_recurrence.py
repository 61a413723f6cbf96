"""A series goes by the clock on the wall: tables of days on which clocks are put forward and back."""

from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from api.schedules.recurrence import Recurrence, following, moment, next_after


def local(first: str, zone: str, how: Recurrence, count: int) -> list[str]:
    """When the first calls of a series are, as a clock in its zone shows them."""
    at = moment(datetime.fromisoformat(first), zone)
    due = islice(following(at, zone, how, at - timedelta(days=400)), count)
    return [one.astimezone(ZoneInfo(zone)).isoformat() for one in due]


def every(frequency: str, **more: object) -> Recurrence:
    return Recurrence.model_validate({"frequency": frequency, **more})


def test_nine_in_the_morning_stays_nine_when_the_clock_is_put_forward() -> None:
    assert local("2027-03-27T09:00", "Europe/Berlin", every("daily"), 3) == [
        "2027-03-27T09:00:00+01:00",
        "2027-03-28T09:00:00+02:00",
        "2027-03-29T09:00:00+02:00",
    ]


def test_a_time_that_is_jumped_over_is_an_hour_later_that_day() -> None:
    assert local("2027-03-27T02:30", "Europe/Berlin", every("daily"), 3) == [
        "2027-03-27T02:30:00+01:00",
        "2027-03-28T03:30:00+02:00",
        "2027-03-29T02:30:00+02:00",
    ]


def test_a_time_that_comes_twice_is_called_at_once() -> None:
    assert local("2027-10-30T02:30", "Europe/Berlin", every("daily"), 3) == [
        "2027-10-30T02:30:00+02:00",
        "2027-10-31T02:30:00+02:00",
        "2027-11-01T02:30:00+01:00",
    ]


@pytest.mark.parametrize(
    ("first", "how", "days"),
    [
        ("2027-01-31T10:00", every("monthly"), ["01-31", "02-28", "03-31", "04-30", "05-31"]),
        ("2027-01-15T10:00", every("monthly", interval=2), ["01-15", "03-15", "05-15"]),
        ("2027-01-06T10:00", every("weekly"), ["01-06", "01-13", "01-20"]),
        ("2027-01-06T10:00", every("weekly", days=["Monday", "WED", 4]), ["01-06", "01-08", "01-11"]),
        ("2027-01-06T10:00", every("weekly", interval=2, weekdays=["mo", "we"]), ["01-06", "01-18", "01-20"]),
        ("2027-01-06T10:00", every("daily", interval=3), ["01-06", "01-09", "01-12"]),
        ("2028-02-29T10:00", every("monthly", interval=12), ["02-29", "02-28", "02-28"]),
    ],
)
def test_series_of_every_kind(first: str, how: Recurrence, days: list[str]) -> None:
    assert [one[5:10] for one in local(first, "Europe/Istanbul", how, len(days))] == days


def test_a_series_is_over_at_its_end() -> None:
    at = datetime(2027, 1, 6, 10, tzinfo=UTC)
    end = datetime(2027, 1, 8, 10, tzinfo=UTC)
    how = every("daily")
    assert next_after(at, "UTC", how, at, end) == datetime(2027, 1, 7, 10, tzinfo=UTC)
    assert next_after(at, "UTC", how, datetime(2027, 1, 7, 10, tzinfo=UTC), end) == end
    assert next_after(at, "UTC", how, end, end) is None


def test_days_before_and_behind_the_date_line_are_ones_own() -> None:
    assert local("2027-06-01T08:00", "Pacific/Auckland", every("weekly"), 2) == [
        "2027-06-01T08:00:00+12:00",
        "2027-06-08T08:00:00+12:00",
    ]
    assert local("2027-06-01T22:00", "America/Los_Angeles", every("daily"), 2) == [
        "2027-06-01T22:00:00-07:00",
        "2027-06-02T22:00:00-07:00",
    ]
