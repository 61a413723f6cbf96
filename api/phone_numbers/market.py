"""What a carrier sells: searched there, priced here."""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import phonenumbers

from api import telephone
from api.http.errors import BadGateway, Conflict, Forbidden, Invalid, Unavailable
from api.outside.carrier import Carrier, CarrierRefused, CarrierUnavailable, Offer, Wanted
from api.phone_numbers.market_schemas import NumberOnSale, NumberSearch, NumbersFound, Purchase
from api.wallet.money import dollars, rounded
from api.wallet.rates import Rates

KINDS = {"toll-free": "toll_free", "tollfree": "toll_free", "shared-cost": "shared_cost"}
"""Other spellings."""


class NoCarrier(Unavailable):
    """No carrier is set up on this installation, so no number can be bought: set TELNYX_API_KEY for that, or
    register a number of your own with POST /v1/phone-numbers"""


class CarrierFailed(BadGateway):
    """The carrier did not answer as it should; nothing was bought. Try again in a moment"""


class CountryNotAllowed(Forbidden):
    """Numbers of this country cannot be bought here"""


class NotForSale(Conflict):
    """This number cannot be bought: search again, somebody else may have it now"""


@dataclass(frozen=True)
class Priced:
    """An offer, and what it costs here."""

    offer: Offer
    monthly_micros: int
    upfront_micros: int

    @classmethod
    def of(cls, offer: Offer, rates: Rates) -> "Priced":
        """The carrier's price with our margin."""
        factor = 1 + rates.margin_percent / 100
        monthly, upfront = (
            rounded(Decimal(amount) * factor) for amount in (offer.monthly_micros, offer.upfront_micros)
        )
        return cls(offer, monthly, upfront)


async def search(
    carrier: Carrier, query: NumberSearch, countries: frozenset[str], rates: Rates
) -> list[Priced]:
    """Numbers of an allowed country."""
    wanted = Wanted(
        country=_allowed(query.country, countries),
        kind=KINDS.get(query.phone_number_type, query.phone_number_type),
        area_code=query.area_code or "",
        locality=query.locality or "",
        features=tuple(part.strip() for part in (query.features or "").split(",") if part.strip()),
        limit=query.limit,
    )
    return [Priced.of(offer, rates) for offer in await _asked(carrier, wanted)]


async def find(carrier: Carrier, wanted: Purchase, countries: frozenset[str], rates: Rates) -> Priced:
    """The number that somebody wants to buy, or the first of a country. Raises `NotForSale`."""
    if wanted.phone_number is None:
        if wanted.country is None:
            raise Invalid.at("body", "phone_number", msg="Field required", type="missing")
        kind = KINDS.get(wanted.type or "", wanted.type or "local")
        area = wanted.area_code or ""
        asked = Wanted(_allowed(wanted.country, countries), kind, area, features=("voice",), limit=1)
        found = await _asked(carrier, asked)
    else:
        number = telephone.normal(wanted.phone_number)
        if number is None:
            raise Invalid.at("body", "phone_number", msg="Not a telephone number", type="phone_number")
        national = phonenumbers.national_significant_number(phonenumbers.parse(number))
        asked = Wanted(_allowed(telephone.country(number), countries), contains=national)
        found = [offer for offer in await _asked(carrier, asked) if offer.number == number]
    if not found:
        raise NotForSale
    return Priced.of(found[0], rates)


async def reserve(carrier: Carrier, number: str, reference: str) -> None:
    """Keep a number from others for half an hour. Raises `NotForSale`."""
    try:
        await carrier.reserve(number, reference)
    except CarrierUnavailable as error:
        raise CarrierFailed from error
    except CarrierRefused:
        raise NotForSale from None


def told(found: Sequence[Priced], kind: str, *, requires_payment: bool) -> NumbersFound:
    """What was found, as who searched sees it."""
    numbers = [
        NumberOnSale(
            phone_number=one.offer.number,
            country_code=telephone.country(one.offer.number),
            phone_number_type=KINDS.get(kind, kind),
            telnyx_cost_usd=dollars(one.offer.monthly_micros),
            monthly_price_usd=dollars(one.monthly_micros),
            upfront_price_usd=dollars(one.upfront_micros),
            features=list(one.offer.features),
            locality=one.offer.locality or None,
        )
        for one in found
    ]
    dearest = max((one.monthly_micros + one.upfront_micros for one in found), default=0)
    return NumbersFound(
        numbers=numbers,
        total=len(numbers),
        requires_payment=requires_payment,
        upfront_price_usd=dollars(dearest),
    )


def _allowed(country: str, countries: frozenset[str]) -> str:
    if country.upper() not in countries:
        raise CountryNotAllowed
    return country.upper()


async def _asked(carrier: Carrier, wanted: Wanted) -> Sequence[Offer]:
    try:
        found = await carrier.search(wanted)
    except CarrierUnavailable as error:
        raise CarrierFailed from error
    except CarrierRefused:
        return []  # that is how it says that it has none there
    return [offer for offer in found if telephone.normal(offer.number) == offer.number]
