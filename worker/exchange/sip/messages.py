"""What went over the wire, as plain values."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from worker.exchange.sip.errors import BadUri

Transport = Literal["udp", "tcp", "tls"]
Header = tuple[str, str]

SDP = "application/sdp"

_NAME = re.compile(r"[A-Za-z0-9\-.!%*_+`'~]+")
_COMPACT = {
    "c": "content-type", "e": "content-encoding", "f": "from", "i": "call-id", "k": "supported", "l":
    "content-length", "m": "contact", "o": "event", "r": "refer-to", "s": "subject", "t": "to", "v": "via",
    "x": "session-expires",
}  # fmt: skip


class Headers(tuple[Header, ...]):
    """A message's headers in their order, under their long names as they were sent."""

    __slots__ = ()

    def every(self, name: str) -> list[str]:
        """All values of a header, in order, whatever the case of its name."""
        wanted = name.lower()
        return [value for key, value in self if _COMPACT.get(key.lower(), key.lower()) == wanted]

    def first(self, name: str) -> str | None:
        """The first of its values."""
        return next(iter(self.every(name)), None)


@dataclass(frozen=True)
class Reply:
    """The final answer to a request of ours. When none came: 408 after SIP's 32 s, 503 when there is no
    connection (`is_from_wire` is false then)."""

    code: int
    reason: str
    headers: Headers
    body: bytes
    is_from_wire: bool = True

    @property
    def is_success(self) -> bool:
        """2xx."""
        return 200 <= self.code < 300


@dataclass(frozen=True)
class Invitation:
    """The INVITE a dialog began with. `source` is the address it came from, as seen on the socket."""

    uri: str
    headers: Headers
    body: bytes
    source: tuple[str, int]
    transport: Transport


def clean(headers: Iterable[Header]) -> list[Header]:
    """The same headers, when they can be sent: no value may smuggle in another line. BadUri."""
    checked = []
    for name, value in headers:
        if not _NAME.fullmatch(name) or any(
            ord(character) < 32 or character == "\x7f" for character in value
        ):
            raise BadUri(f"a header that cannot be sent: {name!r}")
        checked.append((name, value))
    return checked


def parameter(value: str, name: str) -> str | None:
    """`;name=…` of a header's value, without quotes."""
    found = re.search(rf';\s*{re.escape(name)}\s*=\s*("([^"]*)"|[^;,\s]+)', value, re.IGNORECASE)
    if found is None:
        return None
    return found[2] if found[2] is not None else found[1]


def tag(value: str | None) -> str:
    """The tag of a From or To."""
    return parameter(value or "", "tag") or ""
