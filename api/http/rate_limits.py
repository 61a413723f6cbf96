"""How often somebody may ask: token buckets in memory, one for each key.

A bucket holds `count` tokens and fills evenly over `seconds`; a request takes one.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

from api.http.errors import TooManyRequests


@dataclass(frozen=True)
class Limit:
    """At most `count` requests in `seconds`, counted together under `name`."""

    name: str
    count: int
    seconds: int = 60


CALLER_LIMIT = Limit("caller", 600)
"""Of one who signed in. An API key brings a number of its own."""
PUBLIC_LIMIT = Limit("public", 120)
"""Of one address that needs no credentials."""
LOGIN_LIMIT = Limit("login", 30)
"""Of one address at everything that takes a password or a one-time token."""
ACCOUNT_LIMIT = Limit("account", 30)
"""Of guesses at one user's password, wherever they come from."""
REFUSED_LIMIT = Limit("refused", 120)
"""Of one address whose credentials are no good."""
UNLIMITED = Limit("", 0)

MAX_BUCKETS = 50_000
"""The bucket that was idle longest is forgotten first: memory stays bounded under a flood."""


@dataclass
class Standing:
    """What the X-RateLimit headers say after a request."""

    limit: int
    remaining: int
    reset_at: int
    """Unix seconds at which the bucket is full again."""

    @property
    def headers(self) -> dict[str, str]:
        """The three headers."""
        return {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(self.reset_at),
        }


class RateLimits:
    """Every bucket of this process."""

    def __init__(self, *, is_on: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.is_on = is_on
        self._clock = clock
        self._buckets: OrderedDict[tuple[str, str], tuple[float, float]] = OrderedDict()

    def take(self, limit: Limit, key: str) -> Standing | None:
        """Take a token for `key`, or raise `TooManyRequests`. None where nothing is counted."""
        if not self.is_on or limit.count <= 0:
            return None
        now = self._clock()
        rate = limit.count / limit.seconds
        tokens, seen_at = self._buckets.pop((limit.name, key), (float(limit.count), now))
        tokens = min(limit.count, tokens + max(0.0, now - seen_at) * rate)
        is_allowed = tokens >= 1
        if is_allowed:
            tokens -= 1
        self._buckets[limit.name, key] = (tokens, now)
        if len(self._buckets) > MAX_BUCKETS:
            self._buckets.popitem(last=False)
        standing = Standing(limit.count, int(tokens), ceil(now + (limit.count - tokens) / rate))
        if not is_allowed:
            wait = max(1, ceil((1 - tokens) / rate))
            raise TooManyRequests(headers={"Retry-After": str(wait), **standing.headers})
        return standing
