"""Where calls may go: the rules against toll fraud, asked before anything is dialled."""

import phonenumbers
from phonenumbers import PhoneNumberType
from phonenumbers.shortnumberinfo import is_emergency_number

from api import telephone
from api.http.errors import Forbidden
from api.telephone_settings import Tolls

_COSTLY = {PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST}
_EMERGENCY = {"112", "911"}
"""Everywhere; others are the country's of the number that the call would come from."""
_EXTENSION_DIGITS = 5
"""What is shorter than any number of the public network is an extension of a PBX."""


class DestinationRefused(Forbidden):
    """This installation calls nobody at this number"""


def check(tolls: Tolls, number: str) -> None:
    """Raise `DestinationRefused`, with a sentence, for an E.164 number that must not be dialled."""
    if any(number.startswith(prefix) for prefix in tolls.blocked_prefixes):
        raise DestinationRefused("Numbers that begin like this one are not called from here")
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        raise DestinationRefused from None
    if not tolls.allows_costly and phonenumbers.number_type(parsed) in _COSTLY:
        raise DestinationRefused("Premium-rate and shared-cost numbers are not called from here")
    if tolls.countries and not _regions(parsed) <= tolls.countries:
        raise DestinationRefused("Numbers of this country are not called from here")


def destination(tolls: Tolls, asked: str, region: str, ours: str) -> str:
    """Whom a call from our number is to be handed to, as it is dialled. Raises `DestinationRefused`."""
    digits = asked.strip()
    if digits.isascii() and digits.isdecimal() and len(digits) <= _EXTENSION_DIGITS:
        # An agent must be nobody's way to an ambulance, nor a prankster's.
        if digits in _EMERGENCY or is_emergency_number(digits, telephone.country(ours)):
            raise DestinationRefused("Emergency numbers are not called from here")
        return digits
    if (number := telephone.normal(asked, region)) is None:
        raise DestinationRefused("That is no telephone number")
    check(tolls, number)
    return number


def _regions(parsed: phonenumbers.PhoneNumber) -> set[str]:
    """Where a number is; every country that shares its code where its digits do not say."""
    if region := phonenumbers.region_code_for_number(parsed):
        return {str(region)}
    return {str(one) for one in phonenumbers.region_codes_for_country_code(parsed.country_code or 0)} or {
        "001"
    }
