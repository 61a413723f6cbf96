"""People are called by the clock where they live, or by every clock where they may live."""

from datetime import UTC, datetime

import pytest

from api import telephone
from api.campaigns.hours import opening
from api.campaigns.judging import zones_of
from api.campaigns.table import CampaignContactRow, CampaignRow
from api.contacts.table import ContactRow
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


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("+442079460000", ("Europe/London",)),
        ("+905331112233", ("Europe/Istanbul",)),
        ("+12125550100", ("America/New_York",)),
        ("+18085550100", ("Pacific/Honolulu",)),
        ("+13125550100", ("America/Chicago",)),
        ("+16025550100", ("America/Phoenix",)),
        ("+493012345678", ("Europe/Berlin",)),
        ("+81312345678", ("Asia/Tokyo",)),
        ("+919876543210", ("Asia/Calcutta",)),
        ("+16135550100", ("America/Toronto",)),
        ("+5511987654321", ("America/Sao_Paulo",)),
    ],
)
def test_a_number_says_where_its_owner_lives(number: str, expected: tuple[str, ...]) -> None:
    assert telephone.zones(number) == expected


def test_a_number_that_says_no_more_than_its_country_has_every_clock_of_it() -> None:
    mobile, free = telephone.zones("+61412345678"), telephone.zones("+18005550100")
    assert {"Australia/Sydney", "Australia/Perth"} <= set(mobile)
    assert {"America/New_York", "Pacific/Honolulu"} <= set(free)
    assert all(telephone.is_zone(zone) for zone in (*mobile, *free))
    assert telephone.zones("+999123456789") == ()
    assert telephone.zones("nonsense") == ()


@pytest.mark.parametrize(
    ("number", "variables", "known", "expected"),
    [
        ("+12125550100", {}, None, "2027-01-06T14:00"),
        ("+18085550100", {}, None, "2027-01-06T19:00"),
        ("+442079460000", {}, None, "2027-01-06T09:00"),
        ("+905331112233", {}, None, "2027-01-06T06:00"),
        ("+18005550100", {}, None, "2027-01-06T23:00"),  # nine in Guam, of the day after
        ("+12125550100", {"timezone": "Pacific/Honolulu"}, None, "2027-01-06T19:00"),
        ("+12125550100", {"timezone": "Asia/Tokyo"}, "Pacific/Honolulu", "2027-01-06T19:00"),
        ("+999123456789", {}, None, "2027-01-06T08:00"),  # the campaign's clock
    ],
)
def test_nobody_is_called_before_nine_where_they_live(
    number: str, variables: dict[str, str], known: str | None, expected: str
) -> None:
    campaign = CampaignRow(owner_id="u", name="C", agent_id="a", timezone="Africa/Lagos")
    person = CampaignContactRow(campaign_id="c", phone_number=number, variables=variables)
    contact = None if known is None else ContactRow(owner_id="u", phone_number=number, timezone=known)
    assert opens(list(zones_of(campaign, person, contact)), "2027-01-06T06:00") == expected


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
