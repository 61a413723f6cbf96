"""Recordings over HTTP: whole or in ranges, to a caller or to whoever carries a signed link."""

import hashlib
import hmac
import time
from datetime import UTC, datetime

from aiohttp import web

from api.calls.table import CallRow
from api.http.errors import Forbidden, RangeNotSatisfiable
from api.http.links import base_url
from api.keys import SETTINGS, STORAGE
from api.outside.storage import Storage

CONTENT_TYPE = "audio/ogg"
LINK_SECONDS = 3600
MAX_BYTES = 256 * 1024 * 1024
"""Two hours at 48 kb/s are 43 MB."""


class LinkInvalid(Forbidden):
    """This link is not valid, or no longer"""


def blob_name(call_id: str) -> str:
    """The name of a call's recording in the storage."""
    return f"{call_id}.ogg"


def url(request: web.Request, call: CallRow) -> str | None:
    """Where a caller fetches the recording, with credentials; None without one."""
    if call.recording_bytes is None:
        return None
    return f"{base_url(request)}/v1/calls/{call.id}/recording"


def signed_url(request: web.Request, call: CallRow) -> tuple[str, datetime]:
    """A link that needs no credentials, and the moment it ends: an hour from now."""
    expires = int(time.time()) + LINK_SECONDS
    signature = _signature(request, call.id, expires)
    link = f"{base_url(request)}/v1/recordings/{call.id}.ogg?expires={expires}&signature={signature}"
    return link, datetime.fromtimestamp(expires, UTC)


def check_link(request: web.Request, call_id: str, expires: int, signature: str) -> None:
    """Raise unless we signed this link and it has not ended."""
    expected = _signature(request, call_id, expires)
    is_ours = hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace"))
    if not is_ours or expires < time.time():
        raise LinkInvalid


def _signature(request: web.Request, call_id: str, expires: int) -> str:
    # A key of its own, derived: what signs links must not be able to sign access tokens.
    secret = request.app[SETTINGS].secrets.jwt.encode()
    key = hmac.digest(secret, b"call2me recording links", hashlib.sha256)
    return hmac.new(key, f"{call_id}:{expires}".encode(), hashlib.sha256).hexdigest()


async def reply(request: web.Request, call: CallRow, size: int) -> web.StreamResponse:
    """The recording's bytes: 200, 206 for one range, 304 for what the client has, 416 beyond the end."""
    etag = f'"{call.id}-{size:x}-{call.recording_ms or 0:x}"'
    headers = {
        "ETag": etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": "private, no-cache",
        "Content-Disposition": f'inline; filename="{blob_name(call.id)}"',
    }
    if etag in [tag.strip() for tag in request.headers.get("If-None-Match", "").split(",")]:
        return web.Response(status=304, headers=headers)
    start, length, is_part = _asked(request, size, etag)
    if is_part:
        headers["Content-Range"] = f"bytes {start}-{start + length - 1}/{size}"
    response = web.StreamResponse(status=206 if is_part else 200, headers=headers)
    response.content_type = CONTENT_TYPE
    response.content_length = length
    await response.prepare(request)
    if request.method != "HEAD":
        await _stream(request.app[STORAGE], blob_name(call.id), start, length, response)
    await response.write_eof()
    return response


async def _stream(storage: Storage, name: str, start: int, length: int, response: web.StreamResponse) -> None:
    async for chunk in storage.read(name, start, length):
        await response.write(chunk)


def _asked(request: web.Request, size: int, etag: str) -> tuple[int, int, bool]:
    """The start and length of what is asked for, and whether that is a part."""
    if "Range" not in request.headers or request.headers.get("If-Range", etag) != etag:
        return 0, size, False
    nothing = RangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})
    if "," in request.headers["Range"]:
        return 0, size, False  # several ranges at once: the whole is a valid answer
    try:
        asked = request.http_range
    except ValueError:
        raise nothing from None
    start, stop, _ = asked.indices(size)
    if stop <= start:
        raise nothing
    return start, stop - start, True
