"""The parts of a form, with a bound on all of it also where it comes in chunks and says no length."""

from typing import Any

from aiohttp import MultipartReader, web

from api.http.errors import TooLarge


class _Counted:
    """Stands in for a request's stream, and ends a body that is larger than it may be.

    A part that nobody wants is passed over by the form's reader, so its bytes are counted here.
    """

    def __init__(self, stream: Any, most: int) -> None:
        self._stream, self._left = stream, most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    async def read(self, *asked: Any, **named: Any) -> bytes:
        """As the stream's own."""
        return self._counted(await self._stream.read(*asked, **named))

    async def readline(self, *asked: Any, **named: Any) -> bytes:
        """As the stream's own."""
        return self._counted(await self._stream.readline(*asked, **named))

    def unread_data(self, data: bytes) -> None:
        """As the stream's own: it will be read again."""
        self._stream.unread_data(data)
        self._left += len(data)

    def _counted(self, data: bytes) -> bytes:
        self._left -= len(data)
        if self._left < 0:
            raise TooLarge
        return data


async def parts(request: web.Request, most: int) -> MultipartReader:
    """The form of a request. Raises `TooLarge`, now or as it is read, where it has more than `most` bytes."""
    if (request.content_length or 0) > most:
        raise TooLarge  # before a byte of it is read
    # As in `upload_digests`: aiohttp reads forms from this attribute.
    request._payload = _Counted(request._payload, most)  # type: ignore[assignment]
    return await request.multipart()
