"""SIP as a test writes and reads it: text, whatever stands in it."""

import re
from collections.abc import Iterable

SDP = (
    "v=0\r\no=far 1 {n} IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    "m=audio 40000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na={direction}\r\n"
)
_LONG = {
    "v": "via",
    "f": "from",
    "t": "to",
    "i": "call-id",
    "m": "contact",
    "l": "content-length",
    "k": "supported",
}

Lines = Iterable[str]


def sdp(direction: str = "sendrecv", n: int = 1) -> str:
    """An offer or answer."""
    return SDP.format(n=n, direction=direction)


class Message:
    """One that was received, as text."""

    def __init__(self, data: bytes) -> None:
        head, _, self.body = data.decode(errors="replace").partition("\r\n\r\n")
        self.start, *lines = head.split("\r\n")
        self.headers: list[tuple[str, str]] = []
        for line in lines:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            self.headers.append((_LONG.get(name, name), value.strip()))
        self.code = int(self.start.split()[1]) if self.start.startswith("SIP/2.0") else 0
        self.method = (self.get("cseq").split() or [""])[-1] if self.code else self.start.split()[0]
        self.uri = "" if self.code else self.start.split()[1]

    def get(self, name: str) -> str:
        """The first value of a header, or nothing."""
        return next((value for known, value in self.headers if known == name), "")

    def all(self, name: str) -> list[str]:
        """Every value of a header that may be a list."""
        return [part.strip() for known, value in self.headers if known == name for part in value.split(",")]

    def tag(self, name: str) -> str:
        """The tag of From or To."""
        found = re.search(r";tag=([^;>\s]+)", self.get(name))
        return found[1] if found else ""

    @property
    def user(self) -> str:
        """Whom the request is for."""
        found = re.match(r"sips?:([^@]+)@", self.uri)
        return found[1] if found else ""

    @property
    def branch(self) -> str:
        """The transaction it belongs to."""
        return self.get("via").split("branch=")[-1].split(";")[0]


def host_in(uri: str) -> tuple[str, int]:
    found = re.search(r"sips?:(?:[^@>]*@)?([\d.]+):(\d+)", uri)
    assert found, uri
    return found[1], int(found[2])


def response(
    request: Message, code: int, reason: str, tag: str = "", body: str = "", headers: Lines = ()
) -> bytes:
    """An answer to a request."""
    to = request.get("to")
    if tag and ";tag=" not in to:
        to += f";tag={tag}"
    lines = [f"SIP/2.0 {code} {reason}"]
    lines += [f"Via: {via}" for name, via in request.headers if name == "via"]
    lines += [f"Record-Route: {route}" for name, route in request.headers if name == "record-route"]
    lines += [f"From: {request.get('from')}", f"To: {to}"]
    lines += [f"Call-ID: {request.get('call-id')}", f"CSeq: {request.get('cseq')}", *headers]
    if body:
        lines.append("Content-Type: application/sdp")
    return "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body]).encode()
