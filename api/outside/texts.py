"""Text messages over a carrier: one protocol, and what its events tell of them."""

from dataclasses import dataclass
from typing import Literal, Protocol

Outcome = Literal["sent", "delivered", "failed", "unconfirmed"]


@dataclass(frozen=True)
class TextIn:
    """A message that somebody sent to a number of ours."""

    carrier_id: str
    sender: str
    recipient: str
    words: str
    has_media: bool = False
    is_answered: bool = False
    """True where the carrier answered a STOP, START or HELP itself."""


@dataclass(frozen=True)
class Receipt:
    """What became of a message of ours."""

    carrier_id: str
    sender: str
    recipient: str
    outcome: Outcome
    why: str = ""
    """Of a failure."""
    cost_micros: int | None = None
    """What the carrier takes for it; None where it does not say yet."""


@dataclass(frozen=True)
class TextOut:
    """A message to be sent. The same `key` again is the same message, for a day."""

    key: str
    sender: str
    recipient: str
    words: str
    receipts_url: str = ""
    """Where the carrier tells what becomes of it; empty: nowhere."""


@dataclass(frozen=True)
class Accepted:
    """The carrier has it."""

    carrier_id: str
    cost_micros: int


class Texts(Protocol):
    """Each method raises `CarrierUnavailable`, and `CarrierRefused` where it may."""

    async def send(self, text: TextOut) -> Accepted:
        """Send it. May be repeated within a day: a key is one message."""

    async def profile(self, name: str, events_url: str, countries: frozenset[str]) -> str:
        """Where messages of our numbers are told, made once: its id. `countries`: empty for all."""

    async def enable(self, number_id: str, profile_id: str) -> None:
        """Have a number's messages come over a profile."""
