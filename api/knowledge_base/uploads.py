"""Files that arrive as multipart: streamed to the storage as they come, each with bounds of its own."""

import asyncio
import hashlib
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError
from pydantic import TypeAdapter, ValidationError

from api.http import forms
from api.http.errors import BadRequest, Invalid, RequestTimeout, TooLarge, UnsupportedMedia
from api.http.json_bodies import refuse_what_cannot_be_kept
from api.keys import KNOWLEDGE
from api.knowledge_base import blobs, service
from api.knowledge_base.schemas import Sites, Texts, Urls
from api.knowledge_base.table import KnowledgeSourceRow
from api.outside import storage

_LOG = logging.getLogger(__name__)

MAX_FILES = 20
MAX_FIELD_BYTES = 1024 * 1024
MAX_FIELDS = 20
MAX_FORM_BYTES = MAX_FILES * (blobs.MAX_FILE_BYTES + 64 * 1024) + MAX_FIELDS * MAX_FIELD_BYTES
UPLOAD_SECONDS = 600.0
_FILES = ("files", "files[]", "file")
_JSON: dict[str, TypeAdapter[Any]] = {
    "knowledge_base_texts": TypeAdapter(Texts),
    "knowledge_base_urls": TypeAdapter(Urls),
    "knowledge_base_sites": TypeAdapter(Sites),
}
_CHUNK_BYTES = 256 * 1024


class FileTooLarge(TooLarge):
    """A file may have 50 MB; split it, or upload its text"""


class TooManyFiles(TooLarge):
    """At most 20 files in one upload; send the others in another one"""


@dataclass
class Form:
    """A form that was read: its fields, and documents that are in the storage but in no row yet."""

    fields: dict[str, Any] = field(default_factory=dict)
    documents: list[KnowledgeSourceRow] = field(default_factory=list)


async def read(request: web.Request) -> Form:
    """Read a whole form. What was stored is removed again when something is wrong with it."""
    if request.content_type != "multipart/form-data":
        raise UnsupportedMedia("Files are sent as multipart/form-data")
    form = Form()
    try:
        async with asyncio.timeout(UPLOAD_SECONDS):
            await _read(request, form)
    except BaseException as error:
        await discard(request, [row.id for row in form.documents])
        if isinstance(error, TimeoutError):
            raise RequestTimeout from None
        if isinstance(error, ValueError | AssertionError | RuntimeError | HttpProcessingError):
            raise BadRequest("The form cannot be read") from error  # what aiohttp says of a form that is none
        raise
    return form


async def discard(request: web.Request, source_ids: list[str]) -> None:
    """Remove documents that no row took."""
    for source_id in source_ids:
        await request.app[KNOWLEDGE].delete(blobs.raw_name(source_id))


async def _read(request: web.Request, form: Form) -> None:
    fields = 0
    async for part in await forms.parts(request, MAX_FORM_BYTES):
        if not isinstance(part, BodyPartReader):
            raise BadRequest("A form in a form cannot be read")
        name = part.name or ""
        if name in _FILES and part.filename is not None:
            if len(form.documents) == MAX_FILES:
                raise TooManyFiles
            await _store(request, part, form)
        elif name in _FILES:
            raise Invalid.at("body", "files", msg="This is no file: it has no filename")
        elif fields == MAX_FIELDS:  # not their names: one may come again and again
            raise TooLarge
        else:
            fields += 1
            form.fields[name] = await _field(part, name)


async def _field(part: BodyPartReader, name: str) -> Any:
    raw = bytearray()
    while chunk := await part.read_chunk(_CHUNK_BYTES):
        raw += chunk
        if len(raw) > MAX_FIELD_BYTES:
            raise TooLarge
    if not raw.strip():
        return None
    if (reader := _JSON.get(name)) is None:
        try:
            text = raw.decode()
        except UnicodeDecodeError:
            raise Invalid.at("body", name, msg="This is not text", type="string_unicode") from None
        if "\0" in text:
            raise Invalid.at("body", name, msg="Text must not contain NUL", type="string_nul")
        return text
    try:
        refuse_what_cannot_be_kept(bytes(raw))
        return reader.validate_python(_either(json.loads(raw), name))
    except ValidationError as error:
        invalid = Invalid.of(error, "body")
        for found in invalid.errors:
            found["loc"] = ["body", name, *found["loc"][1:]]
        raise invalid from None
    except ValueError:
        raise Invalid.at("body", name, msg="This is not JSON", type="json_invalid") from None


def _either(value: Any, name: str) -> Any:
    # One URL alone is what a form with one field sends.
    return [value] if name == "knowledge_base_urls" and isinstance(value, str) else value


async def _store(request: web.Request, part: BodyPartReader, form: Form) -> None:
    digest = hashlib.sha256(b"document\0")

    async def chunks() -> AsyncIterator[bytes]:
        while chunk := await part.read_chunk(_CHUNK_BYTES):
            digest.update(chunk)
            yield chunk

    source_id = service.new_source_id()
    try:
        size = await request.app[KNOWLEDGE].put(blobs.raw_name(source_id), chunks(), blobs.MAX_FILE_BYTES)
    except storage.TooLarge:
        raise FileTooLarge from None
    form.documents.append(
        KnowledgeSourceRow(
            id=source_id,
            kind="document",
            title=safe_name(part.filename or ""),
            content_type=part.headers.get("Content-Type", "")[:200],
            size_bytes=size,
            digest=digest.hexdigest(),
            knowledge_base_id="",
        )
    )
    if size == 0:
        raise Invalid.at("body", "files", msg=f"{form.documents[-1].title} is empty")


def safe_name(filename: str) -> str:
    """The last part of a name, whatever path somebody put before it, without what no name should hold."""
    last = PurePosixPath(filename.replace("\\", "/")).name
    kept = "".join(letter for letter in last if letter.isprintable()).strip(" .")
    return kept[-200:] or "document"
