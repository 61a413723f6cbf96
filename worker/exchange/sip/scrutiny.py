"""What an INVITE must be that is handed out: the stack reads more than the grammar allows.

A message that two readers understand differently is how strangers get past the first of them, so what is
said twice, or is not what it says it is, is refused.
"""

import email
import email.policy
import itertools

from worker.exchange.sip.messages import SDP, Headers

MOST_PARTS = 8
_ONCE = ("CSeq", "Call-ID", "From", "To", "Max-Forwards", "Content-Length", "Content-Type")
_SCHEMES = ("sip:", "sips:", "tel:")


def fault(uri: str, headers: Headers, body: bytes) -> int:
    """The code to refuse it with, 0 for one that is in order."""
    if any(len(headers.every(name)) > 1 for name in _ONCE):
        return 400
    if not uri.lower().startswith(_SCHEMES):
        return 416
    if (headers.first("CSeq") or "").split()[-1:] != ["INVITE"]:
        return 400
    length = (headers.first("Content-Length") or "").strip()
    if length and not (
        length.isascii() and length.isdigit() and len(length) < 7 and int(length) <= len(body)
    ):
        return 400
    if any(_is_open(headers.first(name) or "") for name in ("From", "To", "Contact")):
        return 400
    return 415 if body and not description(headers, body) else 0


def description(headers: Headers, body: bytes) -> bytes:
    """The session description: the body, or its part where a telephone network sends its own along."""
    kind = (headers.first("Content-Type") or SDP).partition(";")[0].strip().lower()
    if kind == SDP:
        return body
    if not kind.startswith("multipart/"):
        return b""
    told = f"Content-Type: {headers.first('Content-Type')}\r\n\r\n".encode("utf-8", "replace")
    message = email.message_from_bytes(told + body, policy=email.policy.HTTP)
    parts = message.iter_parts() if message.is_multipart() else ()
    for part in itertools.islice(parts, MOST_PARTS):
        if part.get_content_type() == SDP and isinstance(found := part.get_payload(decode=True), bytes):
            return found
    return b""


def _is_open(value: str) -> bool:
    """A quote that begins and does not end."""
    return value.replace(r"\\", "").replace(r"\"", "").count('"') % 2 == 1
