"""Server-sent events: how one goes over the wire, and a stream that is followed for hours."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from aiohttp import web

from api.http.errors import TooManyRequests
from api.keys import CALLER, WATCHERS

EVENT_STREAM = "text/event-stream"
HEADERS = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
NOTHING_NEW = b""
"""What a source gives where there is nothing to tell: it is asked again, later."""
SIGN_OF_LIFE_SECONDS = 10.0
LONGEST_SECONDS = 3 * 3600.0
AT_ONCE, OF_ONE_OWNER = 200, 20


class TooManyStreams(TooManyRequests):
    """Too many streams are being watched at once"""


class Watchers:
    """How many streams there are in this process, and whose."""

    def __init__(self) -> None:
        self.is_closing = False
        """True once this process stops: streams end, and go on elsewhere behind their last event."""
        self._of: Counter[str] = Counter()

    def take(self, owner_id: str) -> None:
        """One more. Raises `TooManyStreams`."""
        if self._of.total() >= AT_ONCE or self._of[owner_id] >= OF_ONE_OWNER:
            raise TooManyStreams(headers={"Retry-After": "5"})
        self._of[owner_id] += 1

    def give(self, owner_id: str) -> None:
        """One less."""
        self._of[owner_id] -= 1
        if self._of[owner_id] <= 0:
            del self._of[owner_id]


async def follow(
    request: web.Request, told: AsyncGenerator[bytes, None], *, look_seconds: float
) -> web.StreamResponse:
    """Send the caller what is told, to its end; after `NOTHING_NEW` ask again, `look_seconds` later.

    Raises `TooManyStreams` before anything is sent. Whoever leaves, leaves nothing behind.
    """
    watchers, owner_id = request.app[WATCHERS], request[CALLER].owner_id
    watchers.take(owner_id)
    try:
        async with aclosing(told):
            return await _followed(request, told, watchers, look_seconds)
    finally:
        watchers.give(owner_id)


async def _followed(
    request: web.Request, told: AsyncGenerator[bytes, None], watchers: Watchers, look_seconds: float
) -> web.StreamResponse:
    response = web.StreamResponse(headers=HEADERS)
    loop = asyncio.get_running_loop()
    began = told_at = loop.time()
    try:
        await response.prepare(request)
        async for piece in told:
            if piece:
                told_at = loop.time()
                await response.write(piece)
                continue
            if loop.time() - told_at > SIGN_OF_LIFE_SECONDS:
                told_at = loop.time()
                await response.write(b": nothing new\n\n")
            await asyncio.sleep(look_seconds)
            if watchers.is_closing or loop.time() - began > LONGEST_SECONDS:
                break
        await response.write_eof()
    except ConnectionError:
        pass  # whoever watched has left
    return response


def event(name: str, data: dict[str, Any], number: int | None = None) -> bytes:
    """One as it goes over the wire; without a name it is a plain message."""
    head = f"id: {number}\n" if number is not None else ""
    head += f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
