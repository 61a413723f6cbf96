"""How often somebody may ask: sliding windows, one for each key.

      previous window      this window
    ├───────────────────┼───────┬───────────┤
            used: 80        20  now
                 └── counts as far as it is younger than a window: 80 × 60 % + 20 = 68 of 100

They are kept in the memory of this process; `api.http.shared_limits` keeps them for many.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from math import ceil
from typing import Protocol

from api.http.errors import TooManyRequests


@dataclass(frozen=True)
class Limit:
    """At most `count` requests in `seconds`, counted together under `name`."""

    name: str
    count: int
    seconds: int = 60


CALLER_LIMIT = Limit("caller", 100)
"""Of one user, whatever credentials they use. The operator may allow more, an API key be given less."""
PUBLIC_LIMIT = Limit("public", 30)
"""Of one address, over everything that needs no credentials."""
LINK_LIMIT = Limit("link", 120)
"""Of one address that carries signed links: a player asks for a recording piece by piece."""
ACCOUNT_LIMIT = Limit("account", 30)
"""Of logins of one user, wherever they come from."""
WRONG_LIMIT = Limit("wrong", 20, 900)
"""Of wrong passwords for one user, wherever they come from."""
LETTER_LIMIT = Limit("letter", 5, 3600)
"""Of letters that a stranger may have sent to one address."""
TAKEN_LIMIT = Limit("taken", 10, 3600)
"""Of sign-ups of one address with an email that is somebody's: nobody learns long lists of who is here."""
REFUSED_LIMIT = Limit("refused", 120)
"""Of one address whose credentials are no good."""
UNLIMITED = Limit("", 0)

MAX_WINDOWS = 50_000
"""The key that was idle longest is forgotten first: memory stays bounded under a flood."""


@dataclass(frozen=True)
class Standing:
    """What the X-RateLimit headers say after a request."""

    limit: int
    remaining: int
    reset_at: int
    """Unix seconds at which all of it may be used again, if nobody asks meanwhile."""
    is_allowed: bool = True
    wait_seconds: int = 0
    """Of a refusal: after how long asking again is of use."""

    @property
    def headers(self) -> dict[str, str]:
        """The three headers."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }


class Windows(Protocol):
    """Where the counts are kept."""

    async def use(self, limit: Limit, key: str, *, cost: int = 1) -> Standing:
        """Count a request where it is allowed. A `cost` of 0 only looks whether one more would be."""


class MemoryWindows:
    """Of this process alone."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str], tuple[int, int, int]] = OrderedDict()

    async def use(self, limit: Limit, key: str, *, cost: int = 1) -> Standing:
        """No await in here: one request is counted at a time."""
        now = self._clock()
        number = int(now // limit.seconds)
        seen, before, used = self._kept.pop((limit.name, key), (number, 0, 0))
        if seen < number:  # a clock that was set back stays in the window that it knew
            before, used = (used if seen == number - 1 else 0), 0
            seen = number
        standing = standing_of(limit, now, seen * limit.seconds, before, used, cost)
        if standing.is_allowed:
            used += cost
        self._kept[limit.name, key] = (seen, before, used)
        if len(self._kept) > MAX_WINDOWS:
            self._kept.popitem(last=False)
        return standing


def standing_of(limit: Limit, now: float, began: float, before: int, used: int, cost: int) -> Standing:
    """How somebody stands who used so much in the window that began then, and in the one before it."""
    passed = min(max(0.0, now - began), float(limit.seconds))
    weighted = before * (1 - passed / limit.seconds) + used
    is_allowed = weighted + max(cost, 1) <= limit.count
    remaining = max(0, int(limit.count - weighted) - (cost if is_allowed else 0))
    is_used = used + (cost if is_allowed else 0) > 0
    reset_at = ceil(began + limit.seconds * (2 if is_used else 1))
    return Standing(
        limit.count,
        remaining,
        reset_at,
        is_allowed,
        0 if is_allowed else max(1, ceil(_wait(limit, passed, before, used))),
    )


def _wait(limit: Limit, passed: float, before: int, used: int) -> float:
    """Seconds until one more request is allowed."""
    room = limit.count - 1
    if used <= room:  # the window before has to grow old enough
        return limit.seconds * (1 - (room - used) / before) - passed if before else 0.0
    return limit.seconds - passed + limit.seconds * (1 - room / used)


class RateLimits:
    """Whoever asks too often is told so."""

    def __init__(self, windows: Windows | None = None, *, is_on: bool = True) -> None:
        self.is_on = is_on
        self._windows = windows or MemoryWindows()

    async def take(self, limit: Limit, key: str) -> Standing | None:
        """Count a request of `key`, or raise `TooManyRequests`. None where nothing is counted."""
        return await self._ask(limit, key, 1)

    async def look(self, limit: Limit, key: str) -> None:
        """Raise `TooManyRequests` where `take` would; counts nothing."""
        await self._ask(limit, key, 0)

    async def _ask(self, limit: Limit, key: str, cost: int) -> Standing | None:
        if not self.is_on or limit.count <= 0:
            return None
        standing = await self._windows.use(limit, key, cost=cost)
        if not standing.is_allowed:
            raise TooManyRequests(headers={"Retry-After": str(standing.wait_seconds), **standing.headers})
        return standing


def network_of(address: str) -> str:
    """What is counted as one address: of IPv6 the network of 64 bits that one customer has."""
    try:
        known = ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return str(known)
    if known.ipv4_mapped is not None:
        return str(known.ipv4_mapped)
    return f"{IPv6Address(int(known) >> 64 << 64)}/64"
