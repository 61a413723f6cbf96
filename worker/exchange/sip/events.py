"""What happens in a dialog."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from worker.exchange.sip.messages import SDP, Header, Headers

Respond = Callable[[int, Iterable[Header], bytes, str], None]


@dataclass(frozen=True)
class Progress:
    """Outbound: 180, 183 and the like. A body is early media's answer. `tag` tells forks apart."""

    code: int
    reason: str
    headers: Headers
    body: bytes
    tag: str


@dataclass(frozen=True)
class Answered:
    """Outbound: 2xx came, ACK was sent. Once; branches of a fork that answer too are ended by the engine."""

    code: int
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Confirmed:
    """Inbound: our 200 was acknowledged. Once. `body` is the answer when the 200 held our offer."""

    body: bytes


class Request:
    """A request inside of a dialog, to be answered within 32 s (else 501 is). A second answer is ignored."""

    def __init__(self, method: str, headers: Headers, body: bytes, respond: Respond) -> None:
        self.method = method
        self.headers = headers
        self.body = body
        self._respond = respond

    def accept(self, *, body: bytes = b"", headers: Iterable[Header] = (), content_type: str = SDP) -> None:
        """200, for a REFER 202. The session timer's headers are put in by the engine."""
        self._respond(202 if self.method == "REFER" else 200, headers, body, content_type)

    def refuse(self, code: int, *, headers: Iterable[Header] = ()) -> None:
        """Any code from 300 up: 488 for SDP that will not do, 491 when one of ours is under way."""
        if not 300 <= code <= 699:
            raise ValueError(f"no refusal: {code}")
        self._respond(code, headers, b"", SDP)


class Offer(Request):
    """A re-INVITE or UPDATE that may change the session (hold is one); also one without a body, which asks
    for an offer.

    The remote target is refreshed by the engine. An UPDATE without a body that only refreshes the session
    timer is answered by the engine and not told; so is one that crosses an offer of ours (491)."""


class Info(Request):
    """INFO; `headers.first("Content-Type")` says of what kind."""


class Referred(Request):
    """REFER: the far side asks us to go elsewhere. After `accept`, tell how it goes with `Dialog.notify`."""

    @property
    def target(self) -> str:
        """Refer-To without its angle brackets; empty when there is none."""
        value = self.headers.first("Refer-To") or ""
        return value.split("<", 1)[1].split(">", 1)[0] if "<" in value else value.split(";", 1)[0].strip()


@dataclass(frozen=True)
class Notified:
    """NOTIFY; already answered with 200. For one about our REFER `code` is the status in its sipfrag,
    `is_last` whether no more will follow."""

    event: str
    code: int | None
    is_last: bool
    headers: Headers
    body: bytes


@dataclass(frozen=True)
class Ended:
    """Always the last event, exactly once.

    by       far: BYE, CANCEL or a refusal · us: hang_up, reject · timeout: no answer, no ACK, the session
    timer
             lapsed · transport: no connection, certificate refused
    code     the final status of an INVITE that was not answered (486, 487, 603, 302 …), 200 after a BYE,
             408 for timeout, 503 for transport
    reason   the Reason header's text as sent, else the status line's, or what went wrong with the connection
    cause    Q.850 cause from the Reason header
    headers  of that final response, BYE or CANCEL: Contact of a 302, Retry-After of a 503
    """

    by: Literal["far", "us", "timeout", "transport"]
    code: int
    reason: str
    cause: int | None
    headers: Headers


Event = Progress | Answered | Confirmed | Offer | Info | Referred | Notified | Ended
