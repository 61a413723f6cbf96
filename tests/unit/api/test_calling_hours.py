"""People are called by the clock where they live, or by every clock where they may live."""

from datetime import UTC, datetime

import pytest

from api.campaigns.hours import opening
from api.hours import CallingHours

HOURS = CallingHours.model_validate({"start": "09:00", "end": "20:00"})
NEW_YORK, LOS_ANGELES, TOKYO = "America/New_York", "America/Los_Angeles", "Asia/Tokyo"


def opens(zones: list[str], at: str, hours: CallingHours = HOURS) -> str | None:
    """When the hours begin, from a moment in UTC on."""
    found = opening(hours, zones, datetime.fromisoformat(at).replace(tzinfo=UTC))
    return None if found is None else found.strftime("%Y-%m-%dT%H:%M")


@pytest.mark.parametrize(
    ("zones", "at", "expected"),
    [
        ([NEW_YORK], "2027-01-06T15:00", "2027-01-06T15:00"),
        ([NEW_YORK], "2027-01-06T13:59", "2027-01-06T14:00"),
        ([NEW_YORK], "2027-01-07T01:00", "2027-01-07T14:00"),  # eight in the evening is too late
        ([NEW_YORK], "2027-07-06T12:00", "2027-07-06T13:00"),  # summer time
        ([NEW_YORK, LOS_ANGELES], "2027-01-06T15:00", "2027-01-06T17:00"),
        ([NEW_YORK, LOS_ANGELES], "2027-01-07T00:59", "2027-01-07T00:59"),
        ([NEW_YORK, LOS_ANGELES], "2027-01-07T01:00", "2027-01-07T17:00"),
        ([NEW_YORK, TOKYO], "2027-01-06T15:00", "2027-01-07T00:00"),
    ],
)
def test_the_next_hour_that_suits_everywhere(zones: list[str], at: str, expected: str) -> None:
    assert opens(zones, at) == expected


def test_hours_that_never_suit_everywhere_are_none() -> None:
    short = CallingHours.model_validate({"start": "10:00", "end": "12:00"})
    assert opens([NEW_YORK, TOKYO], "2027-01-06T15:00", short) is None


def test_days_are_those_of_the_person() -> None:
    monday = CallingHours.model_validate({"start": "09:00", "end": "20:00", "weekdays": ["Monday"]})
    assert opens([TOKYO], "2027-01-03T23:59", monday) == "2027-01-04T00:00"  # a Monday there already
    assert opens([TOKYO], "2027-01-04T11:00", monday) == "2027-01-11T00:00"


@pytest.mark.parametrize(
    "wrong",
    [{"start": "20:00", "end": "09:00"}, {"start": "09:00Z"}, {"weekdays": []}, {"start": "25:00"}],
)
def test_hours_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        CallingHours.model_validate(wrong)
