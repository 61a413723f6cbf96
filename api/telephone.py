"""Telephone numbers: read as people write them, kept as E.164, and never shown whole in a log."""

from functools import lru_cache
from typing import Annotated
from zoneinfo import available_timezones

import phonenumbers
from phonenumbers import timezone
from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

UNKNOWN_ZONE = "Etc/Unknown"
MOST_ZONES = 64
"""More than any number has: one of the free ones of +1 has 42."""


def normal(text: str, region: str | None = None) -> str | None:
    """A number as E.164; None for what cannot be one. `region`: of one without a country code."""
    try:
        parsed = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return None
    if parsed.extension or not phonenumbers.is_possible_number(parsed):
        return None
    return str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))


def is_valid(number: str) -> bool:
    """Whether an E.164 number is of a kind that its country gives out, not only of a length it could have."""
    try:
        return bool(phonenumbers.is_valid_number(phonenumbers.parse(number)))
    except phonenumbers.NumberParseException:
        return False


def zones(number: str) -> tuple[str, ...]:
    """The time zones that a number's owner may live in; empty where its digits do not say."""
    try:
        found = timezone.time_zones_for_number(phonenumbers.parse(number))
    except phonenumbers.NumberParseException:
        return ()
    return tuple(zone for zone in found[:MOST_ZONES] if zone != UNKNOWN_ZONE)


def country(number: str) -> str:
    """The country of an E.164 number, as two letters; empty where it has none."""
    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(number)) or ""
    except phonenumbers.NumberParseException:
        return ""


def masked(number: str) -> str:
    """A number for a log: its last two digits."""
    return f"…{number[-2:]}"


def _as_e164(text: str) -> str:
    if (number := normal(text)) is None:
        raise PydanticCustomError("phone_number", "Not a telephone number in E.164 form, like +14155550123")
    return number


E164 = Annotated[str, Field(max_length=50), AfterValidator(_as_e164)]
"""A number with its country code, however it is spaced."""


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(available_timezones())


def is_zone(name: str) -> bool:
    """Whether this is a name of the IANA time zone database."""
    return name in _zone_names()


def _as_zone(name: str) -> str:
    if not is_zone(name):
        raise PydanticCustomError("time_zone", "Not a time zone, like Europe/Istanbul")
    return name


TimeZone = Annotated[str, Field(max_length=50), AfterValidator(_as_zone)]
"""A name of the IANA time zone database."""
