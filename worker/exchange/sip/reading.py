"""What is read out of headers and bodies for a dialog, and put into them."""

import re

from worker.exchange.sip.events import Notified
from worker.exchange.sip.messages import SDP, Header, Headers, parameter

PHRASES = {
    100: "Trying",
    180: "Ringing",
    183: "Session Progress",
    200: "OK",
    480: "Temporarily Unavailable",
    486: "Busy Here",
    487: "Request Terminated",
    503: "Service Unavailable",
    603: "Decline",
}


def typed(body: bytes) -> list[Header]:
    """The header that a body needs."""
    return [("Content-Type", SDP)] if body else []


def reason_of(headers: Headers) -> tuple[str, int | None]:
    """RFC 3326: the first text, and the cause of Q.850."""
    text, cause = "", None
    for value in (
        part
        for header in headers.every("Reason")
        for part in re.split(r',(?=(?:[^"]*"[^"]*")*[^"]*$)', header)
    ):
        text = text or (parameter(value, "text") or "")
        digits = parameter(value, "cause") or ""
        if value.strip().lower().startswith("q.850") and digits.isdecimal() and len(digits) < 4:
            cause = int(digits)
    return text, cause


def notified(headers: Headers, body: bytes) -> Notified:
    """A NOTIFY, with what a sipfrag says of our REFER."""
    status = re.match(rb"SIP/2\.0 +(\d{3})", body.lstrip())
    state = (headers.first("Subscription-State") or "").strip().lower()
    event = (headers.first("Event") or "").split(";", 1)[0].strip()
    return Notified(event, int(status[1]) if status else None, state.startswith("terminated"), headers, body)
