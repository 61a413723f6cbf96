"""The files of knowledge: how they are named, copied, and removed together with what they belong to."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from pydantic import BaseModel

from api.durable import engine
from api.knowledge_base.table import KnowledgeSourceRow
from api.outside import storage

MAX_FILE_BYTES = 50_000_000
_MAX_SITE_BYTES = 16_000_000


class SitePage(BaseModel):
    """A page of a site as it was last fetched; its bytes are in `blob`."""

    url: str
    blob: str
    digest: str
    content_type: str = ""
    etag: str = ""
    last_modified: str = ""


class Site(BaseModel):
    """The pages of a site, in the order in which they were found."""

    pages: list[SitePage] = []


def raw_name(source_id: str) -> str:
    """The blob of a document as it was uploaded, or of a page as it was fetched."""
    return f"{source_id}.raw"


def part_name(source_id: str, revision: int) -> str:
    """The blob of what one reading of a source made."""
    return f"{source_id}-{revision}.part"


def site_name(source_id: str, revision: int) -> str:
    """The blob that tells which pages one reading of a site found."""
    return f"{source_id}-{revision}.site"


def page_name(source_id: str, revision: int, digest: str) -> str:
    """The blob of one page of a site."""
    return f"{source_id}-{revision}-{digest[:32]}.page"


def index_name(base_id: str, version: int) -> str:
    """The blob of one version of a base's index."""
    return f"{base_id}-{version}.index"


async def site(source_id: str, revision: int) -> Site:
    """What a reading of a site found; nothing, where there was none."""
    try:
        found = b"".join(
            [part async for part in engine.reach().knowledge.read(site_name(source_id, revision))]
        )
    except FileNotFoundError:
        return Site()
    return Site.model_validate_json(found)


async def keep_site(source_id: str, revision: int, found: Site) -> None:
    """Write down what a reading of a site found."""
    name = site_name(source_id, revision)
    await engine.reach().knowledge.put(name, _once(found.model_dump_json().encode()), _MAX_SITE_BYTES)


async def keep_page(name: str, body: bytes) -> None:
    """Write one page of a site."""
    await engine.reach().knowledge.put(name, _once(body), MAX_FILE_BYTES)


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def forget_blobs(prefixes: list[str]) -> None:
    """Remove every blob whose name begins with one of these."""
    blobs = engine.reach().knowledge
    for prefix in prefixes:
        for name in await blobs.names(prefix):
            await blobs.delete(name)


async def forget_if_gone(source_id: str) -> None:
    """Remove what was made of a source that was deleted meanwhile."""
    async with engine.reach().database.transaction(writes=False) as session:
        is_there = await session.get(KnowledgeSourceRow, source_id) is not None
    if not is_there:
        await forget_blobs([f"{source_id}.", f"{source_id}-"])


async def forget_earlier_parts(source_id: str) -> None:
    """Remove what earlier readings of a source made, once a later one counts."""
    blobs = engine.reach().knowledge
    async with engine.reach().database.transaction(writes=False) as session:
        row = await session.get(KnowledgeSourceRow, source_id)
    if row is None:
        return
    used = {page.blob for page in (await site(source_id, row.part_revision)).pages}
    for name in await blobs.names(f"{source_id}-"):
        made_by, _, kind = name.removeprefix(f"{source_id}-").partition(".")
        is_earlier = int(made_by.split("-")[0]) < row.part_revision + (kind == "page")
        if is_earlier and name not in used:
            await blobs.delete(name)


async def copy(blobs: storage.Storage, name: str, path: Path) -> None:
    with path.open("wb") as file:
        async for chunk in blobs.read(name):
            await asyncio.to_thread(file.write, chunk)


async def copy_if_there(blobs: storage.Storage, name: str, path: Path) -> bool:
    try:
        await copy(blobs, name, path)
    except FileNotFoundError:
        return False
    return True


async def chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, 1024 * 1024):
            yield chunk
