"""Keys that were recognised a moment ago: a busy key is looked up once a second, not at each request.

A key that this process revokes is forgotten with the commit. What another process changes (the command
line, a second api) is seen here within `KNOWN_SECONDS`.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from api.db.columns import now
from api.http.callers import Caller

KNOWN_SECONDS = 1.0
MAX_KNOWN = 10_000


@dataclass
class KnownKey:
    """A key as its row said it."""

    caller: Caller
    expires_at: datetime | None
    last_used_at: datetime | None
    """As it is noted; who has a newer use noted says so here."""


class KnownKeys:
    """By the hashes of keys, the newest last."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, tuple[float, KnownKey]] = OrderedDict()
        self.generation = 0
        """Another one after each `forget`: what was read before it is not kept after it."""

    def find(self, hashed: str) -> KnownKey | None:
        """The key, unless it is too long ago, or it has expired meanwhile."""
        kept = self._kept.get(hashed)
        if kept is None:
            return None
        until, known = kept
        if self._clock() >= until or (known.expires_at is not None and known.expires_at <= now()):
            del self._kept[hashed]
            return None
        return known

    def keep(self, hashed: str, known: KnownKey, generation: int) -> None:
        """Remember a key for a moment; `generation` is what it was before the row was read."""
        if generation != self.generation:
            return
        self._kept[hashed] = (self._clock() + KNOWN_SECONDS, known)
        self._kept.move_to_end(hashed)
        if len(self._kept) > MAX_KNOWN:
            self._kept.popitem(last=False)

    async def forget(self) -> None:
        """Look every key up again: one was revoked, or its owner is no more. An `after_commit` hook."""
        self.generation += 1
        self._kept.clear()
