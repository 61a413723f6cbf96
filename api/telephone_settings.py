"""Who sells numbers here, which are lent, and where calls may go, as the environment says."""

import base64
import re
from dataclasses import dataclass, field

from pipelines.environment import Environment, SettingsError


@dataclass(frozen=True)
class Carrier:
    """Who sells numbers here: Telnyx; nobody where there is no key."""

    telnyx_key: str = field(repr=False)
    telnyx_public_keys: tuple[str, ...]
    """What its events are signed with, base64; several while one is being changed."""
    telnyx_url: str
    sip_server: str
    """Where calls of the numbers that are bought come from, and go to: `host` or `host:port`."""
    sip_transport: str
    countries: frozenset[str]
    """Two letters each: where numbers may be bought."""


@dataclass(frozen=True)
class Tolls:
    """Where calls may be placed to."""

    countries: frozenset[str] = frozenset()
    """Two letters each; empty: every country."""
    blocked_prefixes: tuple[str, ...] = ()
    """With their plus."""
    allows_costly: bool = False
    """Premium-rate and shared-cost numbers."""
    daily_usd: int = 0
    """What the calls out of one owner may cost within 24 hours; 0: as much as they like."""


def carrier_of(read: Environment) -> Carrier:
    """Who is configured to sell numbers. Raises `SettingsError`."""
    keys = read.several("TELNYX_PUBLIC_KEY")
    if not all(_is_public_key(key) for key in keys):
        raise SettingsError(
            "TELNYX_PUBLIC_KEY must be the public key of your account, as the portal shows it."
        )
    sip = re.fullmatch(
        r"(udp|tcp|tls):([\w.-]+(:\d{1,5})?)", read.text("CALL2ME_TELNYX_SIP", "udp:sip.telnyx.com")
    )
    if sip is None:
        raise SettingsError("CALL2ME_TELNYX_SIP must be like udp:sip.telnyx.com.")
    countries = frozenset(one.upper() for one in read.several("CALL2ME_NUMBER_COUNTRIES", "US,CA"))
    if not all(re.fullmatch(r"[A-Z]{2}", one) for one in countries):
        raise SettingsError("CALL2ME_NUMBER_COUNTRIES must be countries of two letters, like US,CA.")
    return Carrier(
        telnyx_key=read.text("TELNYX_API_KEY", ""),
        telnyx_public_keys=keys,
        telnyx_url=read.url("CALL2ME_TELNYX_URL", "https://api.telnyx.com/v2", ("http", "https")),
        sip_server=sip[2],
        sip_transport=sip[1],
        countries=countries,
    )


def tolls_of(read: Environment) -> Tolls:
    """Where calls may be placed to. Raises `SettingsError`."""
    countries = frozenset(one.upper() for one in read.several("CALL2ME_DIAL_COUNTRIES"))
    if not all(re.fullmatch(r"[A-Z]{2}", one) for one in countries):
        raise SettingsError("CALL2ME_DIAL_COUNTRIES must be countries of two letters, like TR,US.")
    # Satellites, worldwide networks and worldwide premium numbers.
    prefixes = read.several("CALL2ME_DIAL_BLOCKED_PREFIXES", "+870,+881,+882,+883,+979")
    if not all(re.fullmatch(r"\+[1-9]\d{0,14}", one) for one in prefixes):
        raise SettingsError("CALL2ME_DIAL_BLOCKED_PREFIXES must be beginnings of numbers, like +882,+1900.")
    is_costly = read.choice("CALL2ME_DIAL_PREMIUM", "off", ("off", "on")) == "on"
    return Tolls(countries, prefixes, is_costly, read.number("CALL2ME_DIAL_DAILY_USD", 0, 0, 1_000_000))


def demo_numbers_of(read: Environment) -> tuple[str, ...]:
    """Which numbers are lent. Raises `SettingsError`."""
    numbers = tuple(dict.fromkeys(read.several("CALL2ME_DEMO_NUMBERS")))
    if not all(re.fullmatch(r"\+[1-9]\d{6,14}", number) for number in numbers):
        raise SettingsError("CALL2ME_DEMO_NUMBERS must be numbers like +14155550100, separated by commas.")
    return numbers


def demo_caller_of(read: Environment) -> str:
    """The number that strangers are called from; empty: nobody is. Raises `SettingsError`."""
    number = read.text("CALL2ME_DEMO_CALLER", "")
    if number and not re.fullmatch(r"\+[1-9]\d{6,14}", number):
        raise SettingsError("CALL2ME_DEMO_CALLER must be a number like +14155550100.")
    return number


def _is_public_key(key: str) -> bool:
    try:
        return len(base64.b64decode(key, validate=True)) == 32
    except ValueError:
        return False
