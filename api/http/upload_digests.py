"""What tells one upload from another: a hash of the body, made while whoever reads the form reads it.

The boundary differs each time a client writes the same form, so it is left out. However large the
body is, a few megabytes of it are held.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from api.http.errors import RequestTimeout

_HELD = 2 * 1024 * 1024
"""A form's reader puts back what it read too much; more than this it never does."""
_LEFT = 1024 * 1024
_PIECE = 64 * 1024
READ_SECONDS = 600


class WatchedBody:
    """Stands in for a request's stream, and hashes what is read of it."""

    def __init__(self, stream: Any, boundary: bytes) -> None:
        self._stream, self._boundary = stream, boundary
        self._sum, self._held = hashlib.sha256(), bytearray()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, *asked: Any, **named: Any) -> bytes:
        """As the stream's own."""
        return self._seen(await self._stream.read(*asked, **named))

    async def readline(self, *asked: Any, **named: Any) -> bytes:
        """As the stream's own."""
        return self._seen(await self._stream.readline(*asked, **named))

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """As the stream's own."""
        while data := await self.read(size):
            yield data

    async def readany(self) -> bytes:
        """As the stream's own."""
        return self._seen(await self._stream.readany())

    def unread_data(self, data: bytes) -> None:
        """As the stream's own: it will be read again."""
        self._stream.unread_data(data)
        if data:
            del self._held[-len(data) :]

    def _seen(self, data: bytes) -> bytes:
        self._held += data
        if len(self._held) > 2 * _HELD:
            self._count(len(self._held) - _HELD)
        return data

    def _count(self, end: int) -> None:
        """Hash what is held up to there, or to the beginning of a boundary that reaches across it."""
        before = max(0, end - len(self._boundary) + 1)
        across = self._held.find(self._boundary, before, end + len(self._boundary) - 1)
        end = across if across >= 0 else end
        self._sum.update(bytes(self._held[:end]).replace(self._boundary, b""))
        del self._held[:end]

    async def digest(self, most: int = _LEFT) -> str:
        """The hash of all of it, once what is left was read; empty where more than `most` is left."""
        left = 0
        try:
            async with asyncio.timeout(READ_SECONDS):
                while chunk := await self.read(_PIECE):
                    if (left := left + len(chunk)) > most:
                        return ""
        except TimeoutError:
            raise RequestTimeout from None
        self._count(len(self._held))
        return self._sum.hexdigest()


def watch(request: web.Request) -> WatchedBody | None:
    """Have the body of a form watched, from its first byte on; None for a body that is none."""
    if not request.content_type.startswith("multipart/"):
        return None
    boundary = request.headers.get("Content-Type", "").partition("boundary=")[2].partition(";")[0].strip('" ')
    # Forms are read from this attribute, and aiohttp has no other place to stand in between. `content`
    # remembers what it was when it was first asked for, so it must not be before.
    watched = WatchedBody(request._payload, boundary.encode("utf-8", "surrogateescape") or b"\r\n\r\n--")
    request._payload = watched  # type: ignore[assignment]
    return watched
