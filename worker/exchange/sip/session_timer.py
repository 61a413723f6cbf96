"""Session timers (RFC 4028): a call whose far side has vanished without a BYE ends by itself.

we refresh     ├────── half ──────┤ UPDATE or re-INVITE ├────── half ──────┤ …
they refresh   ├──────────── all but a third, 32 s at most ────────────┤ BYE, unless they did
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from worker.exchange.sip.messages import Header, Headers, parameter

ALLOW = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, INFO, REFER, NOTIFY"


@dataclass(frozen=True)
class SessionTimer:
    """What was agreed: for how long a session lives without a refresh, whose it is, and since when (seconds
    of the epoch, which another process understands, too)."""

    seconds: int
    we_refresh: bool
    since: float

    @property
    def due_in(self) -> float:
        """Seconds until we have to do something: refresh, or give up."""
        wait = self.seconds / 2 if self.we_refresh else self.seconds - min(32, self.seconds / 3)
        return max(0.0, self.since + wait - time.time())

    @property
    def left(self) -> float:
        """Seconds until the session is over."""
        return self.since + self.seconds - time.time()


def started(seconds: int, *, we_refresh: bool) -> SessionTimer:
    """A timer that runs from now on."""
    return SessionTimer(seconds, we_refresh, time.time())


def interval(headers: Headers) -> int | None:
    """Session-Expires, in seconds."""
    return _number(headers.first("Session-Expires"))


def least(headers: Headers) -> int | None:
    """Min-SE, in seconds."""
    return _number(headers.first("Min-SE"))


def knows_timers(headers: Headers) -> bool:
    """Whether the far side supports session timers."""
    return any("timer" in _tokens(headers, name) for name in ("Supported", "Require"))


def allows(headers: Headers, method: str) -> bool | None:
    """Whether the far side takes such a request; None when it does not say."""
    methods = _tokens(headers, "Allow")
    return method.lower() in methods if methods else None


def offered(seconds: int, minimum: int) -> list[Header]:
    """What an INVITE of ours says."""
    headers: list[Header] = [("Allow", ALLOW), ("Supported", "timer")]
    if seconds:
        headers += [("Session-Expires", str(max(seconds, minimum))), ("Min-SE", str(minimum))]
    return headers


def refreshing(seconds: int, minimum: int) -> list[Header]:
    """What a refresh of ours says: we are its client, and go on to refresh."""
    return [
        ("Supported", "timer"),
        ("Session-Expires", f"{seconds};refresher=uac"),
        ("Min-SE", str(minimum)),
    ]


def granted(headers: Headers) -> SessionTimer | None:
    """What the answer to an INVITE or refresh of ours agreed to."""
    seconds = interval(headers)
    if seconds is None:
        return None
    refresher = parameter(headers.first("Session-Expires") or "", "refresher") or "uac"
    return started(seconds, we_refresh=refresher.lower() == "uac")


def answered(request: Headers, ours: int) -> tuple[list[Header], SessionTimer | None]:
    """What our 200 to an INVITE or UPDATE says, and what is agreed with it. `ours`: what we would like, 0
    nothing."""
    headers: list[Header] = [("Supported", "timer")]
    seconds, is_known = interval(request), knows_timers(request)
    if seconds is None:
        if not is_known or not ours:
            return headers, None
        return [*headers, ("Session-Expires", f"{ours};refresher=uas")], started(ours, we_refresh=True)
    wished = parameter(request.first("Session-Expires") or "", "refresher")
    refresher = (wished or "uac").lower() if is_known else "uas"
    headers.append(("Session-Expires", f"{seconds};refresher={refresher}"))
    if refresher == "uac":
        headers.append(("Require", "timer"))
    return headers, started(seconds, we_refresh=refresher == "uas")


def _number(value: str | None) -> int | None:
    digits = (value or "").split(";", 1)[0].strip()
    return int(digits) if digits.isdecimal() and 0 < len(digits) < 10 else None


def _tokens(headers: Headers, name: str) -> set[str]:
    return {token for value in headers.every(name) for token in _split(value)}


def _split(value: str) -> Iterable[str]:
    return (token.strip().lower() for token in value.split(",") if token.strip())
