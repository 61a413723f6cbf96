"""Whoever takes money for us: one protocol, and what its events come to."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import aiohttp

SECONDS = 20.0
MAX_ANSWER_BYTES = 1024 * 1024
TOLERANCE_SECONDS = 300
"""A signature older than this is a replay: providers sign each delivery, repeated ones too, anew."""
MICROS_PER_CENT = 10_000


class PaymentsUnavailable(Exception):
    """The payment provider did not answer, or not as it should"""


class Declined(Exception):
    """The payment provider refused: the message is a code of theirs"""


class Forged(Exception):
    """This event is not signed by the payment provider"""


@dataclass(frozen=True)
class Order:
    """What somebody wants to pay. The same `payment_id` twice is one checkout."""

    payment_id: str
    cents: int
    description: str
    email: str
    success_url: str
    cancel_url: str
    customer_id: str = ""
    """Of the provider: whose card is saved."""


@dataclass(frozen=True)
class Opened:
    """A checkout that waits for its payer."""

    session_id: str
    url: str


@dataclass(frozen=True)
class Paid:
    """Money has come in for a payment of ours."""

    payment_id: str
    reference: str
    """The provider's name for the payment, by which its refunds are known."""
    micros: int


@dataclass(frozen=True)
class NotPaid:
    """A payment of ours came to nothing, or an attempt at it did."""

    payment_id: str
    why: str
    status: Literal["failed", "cancelled", "pending"]
    """`pending`: the payer may try again."""


@dataclass(frozen=True)
class Reversal:
    """Money that goes back, as far as is known at a moment: its newest state counts."""

    reference: str
    payment_reference: str
    kind: Literal["refund", "dispute"]
    micros: int
    """Below nothing: what was taken back comes again."""
    is_in_force: bool
    at: int
    """Of the event, in milliseconds since 1970."""


@dataclass(frozen=True)
class CardSaved:
    """A customer's card can be charged later."""

    customer_id: str
    method_id: str
    brand: str
    last_four: str
    kind: str


@dataclass(frozen=True)
class CardGone:
    """It cannot any more."""

    method_id: str


News = Paid | NotPaid | Reversal | CardSaved | CardGone


@dataclass(frozen=True)
class Event:
    """One verified event. `news` is None for what does not concern us."""

    event_id: str
    type: str
    news: News | None


class Provider(Protocol):
    """One payment provider."""

    name: str
    can_save_cards: bool

    async def checkout(self, order: Order) -> Opened:
        """Open a checkout. Raises `Declined` or `PaymentsUnavailable`."""

    async def customer(self, owner_id: str, email: str) -> str:
        """The provider's name for one of our owners; asked twice, it is the same."""

    async def charge(self, order: Order, method_id: str) -> None:
        """Charge a saved card. Whether money came is told by an event, not here."""

    async def forget_card(self, method_id: str) -> None:
        """Forget a saved card; one that is gone already is fine."""

    async def close(self) -> None:
        """Let the connections go."""

    def read(self, headers: Mapping[str, str], raw: bytes, now: float) -> Event:
        """Verify an event and say what it means. Raises `Forged`, or `ValueError` for what is no event."""


class Line:
    """HTTP to a provider: bounded, with a timeout, closed at the end."""

    def __init__(self, url: str, headers: Mapping[str, str]) -> None:
        self._url, self._headers = url.rstrip("/"), dict(headers)
        self._session: aiohttp.ClientSession | None = None

    async def ask(
        self,
        method: str,
        path: str,
        *,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """The status, and the answer's JSON. Raises `PaymentsUnavailable`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))
        sent = {**self._headers, **(headers or {})}
        try:
            async with self._session.request(
                method, self._url + path, data=data, headers=sent, allow_redirects=False
            ) as reply:
                raw = await reply.content.read(MAX_ANSWER_BYTES)
                told = _json(raw)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise PaymentsUnavailable(f"no answer: {type(error).__name__}") from error
        if reply.status >= 500 or reply.status in {401, 403, 429}:
            raise PaymentsUnavailable(f"answered {reply.status}")
        return reply.status, told

    async def close(self) -> None:
        """Let the connections go."""
        if self._session is not None:
            await self._session.close()


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw or b"{}")
    except ValueError as error:
        raise PaymentsUnavailable("the answer is not JSON") from error


def is_signed(message: bytes, signatures: list[str], keys: tuple[str, ...]) -> bool:
    """True where one of the keys made one of the signatures: HMAC-SHA256, hexadecimal."""
    wanted = [hmac.new(key.encode(), message, hashlib.sha256).hexdigest() for key in keys]
    return any(
        hmac.compare_digest(one.encode(), given.encode("utf-8", "replace"))
        for one in wanted
        for given in signatures
    )


def text(value: Any) -> str:
    """Text out of an event; raises `ValueError` for anything else."""
    if not isinstance(value, str):
        raise ValueError("text is missing")
    return value[:255].replace("\x00", "")


def whole(value: Any) -> int:
    """A whole number out of an event, also where it is written as text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a number is missing")
    return int(value)
