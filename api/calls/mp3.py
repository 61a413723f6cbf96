"""A recording as MP3, made when somebody asks: kept as Opus, which is smaller and better."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter

from api.calls import recordings
from api.calls.table import CallRow
from api.http.errors import Unavailable
from api.keys import STORAGE
from api.outside import sounds

CONTENT_TYPE = "audio/mpeg"
AT_ONCE = 2
WAITING = 8
SECONDS = 300.0
_free = asyncio.Semaphore(AT_ONCE)
_waiting = 0


class TooManyConversions(Unavailable):
    """Too many recordings are being converted now: try again in a moment, or take the Ogg file"""


class _WhileItIsThere(web.FileResponse):
    """A file that is gone once it was sent."""

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        # aiohttp prepares once more what a handler returns; looking for the file again cost the connection.
        return None if self.prepared else await super().prepare(request)


async def reply(request: web.Request, call: CallRow, size: int) -> web.StreamResponse:
    """The recording, whole or in ranges."""
    global _waiting  # noqa: PLW0603 - one count for the process
    if _waiting >= WAITING:
        raise TooManyConversions(headers={"Retry-After": "5"})
    _waiting += 1
    try:
        async with _free:
            return await _converted(request, call, size)
    finally:
        _waiting -= 1


async def _converted(request: web.Request, call: CallRow, size: int) -> web.StreamResponse:
    with TemporaryDirectory(prefix="call2me-mp3-") as folder:
        source, target = Path(folder) / "in.ogg", Path(folder) / f"{call.id}.mp3"
        with source.open("wb") as written:
            async for chunk in request.app[STORAGE].read(recordings.blob_name(call.id), 0, size):
                written.write(chunk)
        try:
            async with asyncio.timeout(SECONDS):
                await asyncio.to_thread(sounds.mp3_file, source, target)
        except (sounds.NotAudio, TimeoutError) as error:
            raise TooManyConversions from error
        response = _WhileItIsThere(
            target, headers={"Content-Disposition": f'inline; filename="{call.id}.mp3"'}
        )
        response.content_type = CONTENT_TYPE
        await response.prepare(request)  # which sends all of it, while the file is there
        return response
