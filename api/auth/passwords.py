"""Passwords: argon2id in a few threads, never more at once than this machine can bear."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from api.http.errors import Unavailable

T = TypeVar("T")

MAX_BYTES = 72
"""Of a password; the contract's limit."""

# OWASP's minimum for argon2id: 19 MiB, two passes, one lane. About 95 ms on a slow core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$KmDGWFaV8lG5wJ0ovvpOxw$jmZhVuEJ0LmNQMUNWqO7qMxrEL9gzWYWXGtZlcVSIkc"
"""What is checked when there is no such user, so that both refusals take as long."""


class TooManyLogins(Unavailable):
    """Too many people are signing in at once; try again in a moment"""


class Passwords:
    """Hashes and checks passwords. At most `threads` at once, and `waiting` behind them."""

    def __init__(self, *, threads: int = 2, waiting: int = 64) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="argon2")
        self._places = threads + waiting
        self._taken = 0

    async def hash(self, password: str) -> str:
        """The hash to keep."""
        return await self._run(_HASHER.hash, password)

    async def matches(self, kept: str | None, password: str) -> bool:
        """Whether this password made this hash. None for a user who does not exist takes as long."""
        is_same = await self._run(_verify, kept or _NOBODY, password)
        return is_same and kept is not None

    async def _run(self, work: Callable[..., T], *arguments: str) -> T:
        if self._taken >= self._places:
            raise TooManyLogins(headers={"Retry-After": "1"})
        self._taken += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        finally:
            self._taken -= 1

    def close(self) -> None:
        """Wait for nobody; the threads end with what they are doing."""
        self._pool.shutdown(wait=False, cancel_futures=True)


def _verify(kept: str, password: str) -> bool:
    try:
        return _HASHER.verify(kept, password)
    except (VerificationError, InvalidHashError):
        return False
