"""Rate limits that many processes share: the same sliding windows, kept in Redis by the library `limits`.

Redis counts; it never decides whether we work. While it does not answer, each process counts for itself.
"""

import asyncio
import logging
import time
from typing import Any

from api.http.rate_limits import Limit, MemoryWindows, Standing, standing_of
from pipelines.environment import SettingsError

_LOG = logging.getLogger(__name__)

ANSWER_SECONDS = 0.5
"""A request waits no longer than this for Redis."""
REST_SECONDS = 5.0
"""After a failure Redis is left alone for so long."""


class RedisWindows:
    """`redis://[:password@]host:port/db`. Close it at the end."""

    def __init__(self, url: str) -> None:
        try:
            from limits import RateLimitItemPerSecond  # noqa: PLC0415 - only where there is a Redis
            from limits.aio.storage import RedisStorage  # noqa: PLC0415

            self._storage: Any = RedisStorage(
                f"async+{url}",
                implementation="redispy",
                key_prefix="call2me",
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
            )
        except Exception as error:  # the library says a missing client in a way of its own
            raise SettingsError(
                f"CALL2ME_REDIS_URL cannot be used ({type(error).__name__}); "
                "is the extra `redis` installed, and the address like redis://host:6379/0?"
            ) from error
        self._item = RateLimitItemPerSecond
        self._alone = MemoryWindows()
        self._rests_until = 0.0

    async def use(self, limit: Limit, key: str, *, cost: int = 1) -> Standing:
        """Ask Redis; where it does not answer, count here."""
        if time.monotonic() < self._rests_until:
            return await self._alone.use(limit, key, cost=cost)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._shared(limit, key, cost)
        except Exception as error:  # noqa: BLE001 - whatever it is, requests must be answered
            self._rests_until = time.monotonic() + REST_SECONDS
            _LOG.warning("redis does not count requests", extra={"error": type(error).__name__})
            return await self._alone.use(limit, key, cost=cost)

    async def _shared(self, limit: Limit, key: str, cost: int) -> Standing:
        name = self._item(limit.count, limit.seconds, namespace=limit.name).key_for(key)
        is_allowed = not cost or await self._storage.acquire_sliding_window_entry(
            name, limit.count, limit.seconds, cost
        )
        before, before_ends_in, used, forgotten_in = await self._storage.get_sliding_window(
            name, limit.seconds
        )
        now = time.time()
        # A window is forgotten once it was the one before for its whole length.
        left = forgotten_in - limit.seconds if used else before_ends_in if before else limit.seconds
        began = now - (limit.seconds - min(max(left, 0.0), limit.seconds))
        if not cost:
            return standing_of(limit, now, began, before, used, 0)
        counted = standing_of(limit, now, began, before, max(0, used - cost) if is_allowed else used, cost)
        if counted.is_allowed == is_allowed:
            return counted
        # A neighbour's request came between the two questions; what Redis decided stands.
        return Standing(limit.count, 0, counted.reset_at, is_allowed, 0 if is_allowed else 1)

    async def close(self) -> None:
        """Give the connections back."""
        await self._storage.bridge.storage.aclose()
