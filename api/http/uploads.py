"""One small file out of a form, whatever its sender says that it is.

The official Python SDK sends a multipart form under `Content-Type: application/json`: a body that
begins with a boundary is a form all the same. A file may also be the whole body.
"""

import asyncio
import re

from aiohttp import web

from api.http.errors import BadRequest, Invalid, RequestTimeout, TooLarge, UnsupportedMedia

UPLOAD_SECONDS = 120.0
_AROUND_BYTES = 64 * 1024
"""What a form may have beside its file."""
_CHUNK_BYTES = 256 * 1024
_BOUNDARY = re.compile(rb"--([^\r\n]{1,200}?)[ \t]*\r?\n")
_NAME = re.compile(rb'[;\s]name="?([^";\r\n]*)"?', re.IGNORECASE)
_PLAIN = frozenset({"text/csv", "text/plain", "application/octet-stream", "application/vnd.ms-excel"})


class NoFile(Invalid):
    """There is no file in the form"""

    def __init__(self) -> None:
        super().__init__(
            [{"loc": ["body", "file"], "msg": "Field required", "type": "missing", "input": None}]
        )


async def read_file(request: web.Request, max_bytes: int, field: str = "file") -> bytes:
    """The file of a request. Raises `TooLarge` as soon as more than that comes, and `NoFile`."""
    length = request.content_length
    if length is not None and length > max_bytes + _AROUND_BYTES:
        raise TooLarge
    raw = bytearray()
    if request.content.at_eof():  # somebody before us read it, to know the request again by its key
        raw += await request.read()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            async for chunk in request.content.iter_chunked(_CHUNK_BYTES):
                raw += chunk
                if len(raw) > max_bytes + _AROUND_BYTES:
                    raise TooLarge
    except TimeoutError:
        raise RequestTimeout from None
    found = _found(request, bytes(raw), field.encode())
    if len(found) > max_bytes:
        raise TooLarge
    return found


def _found(request: web.Request, raw: bytes, field: bytes) -> bytes:
    if request.content_type == "multipart/form-data":
        boundary = str(request.headers["Content-Type"]).partition("boundary=")[2].split(";")[0].strip('" ')
        if not boundary:
            raise BadRequest("The form has no boundary")
        return _part(raw, boundary.encode("utf-8", "replace"), field)
    if (begins := _BOUNDARY.match(raw)) is not None:
        return _part(raw, begins[1], field)
    if request.content_type in _PLAIN:
        return raw
    raise UnsupportedMedia("A file is sent as multipart/form-data")


def _part(raw: bytes, boundary: bytes, field: bytes) -> bytes:
    """The part of a form that has this name; else the only one that is a file."""
    files: dict[bytes, bytes] = {}
    for part in (b"\r\n" + raw).split(b"\r\n--" + boundary)[1:]:
        if part.startswith(b"--"):
            break
        head, ends, body = part.partition(b"\r\n\r\n")
        name = _NAME.search(head)
        if ends and name is not None and (name[1] == field or b"filename=" in head):
            files[name[1]] = body
    if field in files:
        return files[field]
    if len(files) == 1:
        return next(iter(files.values()))
    raise NoFile
