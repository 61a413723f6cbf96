"""Connections to providers over HTTP: certificates are read once, and calls with one key share what is open.

A client of its own for each call would read every certificate there is (16 ms in which every other call
of the process stands still), and shake hands anew before its first word.

    call 1, its language model ─┐
    call 1, its voice ──────────┼──► pool of (address, key) ──► connections that stay open
    call 2, its language model ─┘      └─ closed when nobody who used it is left, unless it is `kept`
"""

import asyncio
import contextlib
import functools
import os
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import httpx2

KEPT_SECONDS = 120.0
MAX_CONNECTIONS = 500
"""To one provider, of all calls of a process together; a shard holds a few dozen calls."""
MAX_IDLE = 50


def certificates() -> ssl.SSLContext:
    """Whom to trust: what each client of httpx2 reads for itself. Ask once before the first call."""
    # The environment counts as it is now; a bundle that is replaced in its place, when the process restarts.
    return _certificates(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@functools.cache
def _certificates(_file: str | None, _folder: str | None) -> ssl.SSLContext:
    return httpx2.create_ssl_context()


def client(base_url: str, key: str, timeout: httpx2.Timeout) -> httpx2.AsyncClient:
    """A client whose connections are those of everybody in this process with the same address and key.

    Whoever asks for it closes it, and closes nothing of the others.
    """
    return httpx2.AsyncClient(transport=_Borrowed(base_url, key), timeout=timeout, follow_redirects=True)


@contextlib.asynccontextmanager
async def kept() -> AsyncIterator[None]:
    """Keep what is open while nobody uses it, too: for a process that has one call after the other."""
    pools = _here()
    pools.are_kept = True
    try:
        yield
    finally:
        pools.are_kept = False
        await pools.tidy()


class _Pool:
    """Open connections of one loop to one address with one key."""

    def __init__(self) -> None:
        self.users = 0
        limits = httpx2.Limits(
            max_connections=MAX_CONNECTIONS,
            max_keepalive_connections=MAX_IDLE,
            keepalive_expiry=KEPT_SECONDS,
        )
        self.client = httpx2.AsyncClient(verify=certificates(), limits=limits)


@dataclass
class _Pools:
    """All pools of one loop: connections belong to the loop that opened them."""

    of: dict[tuple[str, str], _Pool] = field(default_factory=dict)
    are_kept: bool = False

    async def tidy(self) -> None:
        """Close what nobody uses."""
        idle = [key for key, pool in self.of.items() if not (pool.users or self.are_kept)]
        # All are taken out before the first wait, in which somebody may ask anew.
        for pool in [self.of.pop(key) for key in idle]:
            await pool.client.aclose()


_POOLS: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pools] = WeakKeyDictionary()


def _here() -> _Pools:
    return _POOLS.setdefault(asyncio.get_running_loop(), _Pools())


class _Borrowed(httpx2.AsyncBaseTransport):
    """Asks by the pool's connections, from its first request until it is closed."""

    def __init__(self, base_url: str, key: str) -> None:
        self._key = (base_url, key)
        self._pool: _Pool | None = None

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        if self._pool is None:
            # Not earlier: whoever makes a client may have no loop yet.
            pools = _here().of
            self._pool = pools.get(self._key) or pools.setdefault(self._key, _Pool())
            self._pool.users += 1
        # The proxies of the environment are the pool's client's.
        return await self._pool.client._transport_for_url(request.url).handle_async_request(request)

    async def aclose(self) -> None:
        pool, self._pool = self._pool, None
        if pool is not None:
            pool.users -= 1
            await _here().tidy()
