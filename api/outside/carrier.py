"""Whoever sells telephone numbers: one protocol, and what is known of numbers and orders there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from api.outside.texts import Receipt, TextIn, Texts


class CarrierUnavailable(Exception):
    """The carrier did not answer, or not as it should: what was asked for may have happened"""


class CarrierRefused(Exception):
    """The carrier refused: the message is for a person. Nothing happened"""


class Forged(Exception):
    """This event is not signed by the carrier"""


@dataclass(frozen=True)
class Wanted:
    """Which numbers to look for."""

    country: str
    kind: str = ""
    """`local`, `toll_free`, `mobile`, `national` or `shared_cost`; empty: any."""
    area_code: str = ""
    locality: str = ""
    features: tuple[str, ...] = ()
    contains: str = ""
    """Digits; the whole number without its country code finds that number alone."""
    limit: int = 20


@dataclass(frozen=True)
class Offer:
    """A number that can be bought, and what the carrier takes for it."""

    number: str
    monthly_micros: int
    upfront_micros: int
    features: tuple[str, ...] = ()
    locality: str = ""


@dataclass(frozen=True)
class Order:
    """An order of one number, as far as it is."""

    order_id: str
    number: str
    status: Literal["pending", "success", "failure"]
    needs_documents: bool = False
    """True where the carrier waits for papers about who will have it."""


@dataclass(frozen=True)
class Held:
    """A number of ours at the carrier."""

    number_id: str
    number: str
    status: str
    """`active` where it can be called."""
    connection_id: str = ""


@dataclass(frozen=True)
class Reservation:
    """A number that nobody else can buy for a while."""

    reservation_id: str
    expires_at: str
    """As the carrier writes it: ISO 8601."""


@dataclass(frozen=True)
class Credentials:
    """How the exchange signs in at the carrier's SIP server. The name is the connection's, too."""

    name: str
    password: str


@dataclass(frozen=True)
class Account:
    """What is left at the carrier."""

    balance: str
    available: str
    currency: str


@dataclass(frozen=True)
class Event:
    """One verified event: about an order, a message to us, one of ours, or nothing that matters here."""

    event_id: str
    type: str
    order_id: str = ""
    text: TextIn | None = None
    receipt: Receipt | None = None


class Carrier(Protocol):
    """One seller of numbers. Each method raises `CarrierUnavailable`, and `CarrierRefused` where it may."""

    name: str
    texts: Texts

    async def search(self, wanted: Wanted) -> Sequence[Offer]:
        """Numbers that can be bought now."""

    async def order(self, number: str, reference: str, connection_id: str) -> Order:
        """Buy a number. Not to be repeated before `ordered` was asked for this reference."""

    async def ordered(self, reference: str) -> Order | None:
        """What was ordered under a reference of ours."""

    async def get_order(self, order_id: str) -> Order:
        """An order as it is now."""

    async def cancel(self, order_id: str) -> None:
        """Ask that a pending order come to nothing. Whether it does, the order says."""

    async def reserve(self, number: str, reference: str) -> Reservation:
        """Keep a number from others for a while."""

    async def held(self, number: str) -> Held | None:
        """A number, where it is ours."""

    async def assign(self, number_id: str, connection_id: str) -> None:
        """Have a number's calls come over a connection."""

    async def release(self, number_id: str) -> None:
        """Give a number back; one that is gone already is fine."""

    async def connect(self, credentials: Credentials) -> str:
        """A connection with these credentials, made once: its id."""

    async def account(self) -> Account:
        """What is left there."""

    def read(self, headers: Mapping[str, str], raw: bytes, now: float) -> Event:
        """Verify an event. Raises `Forged`, or `ValueError` for what is no event."""

    async def close(self) -> None:
        """Let the connections go."""
