"""What the steps of ingestion do; each may run twice, and leaves the same behind."""

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aiohttp
from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.durable import engine
from api.knowledge_base import apart
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from api.outside import storage
from pipelines.outbound import NoAnswer

_LOG = logging.getLogger(__name__)

MAX_FILE_BYTES = 50_000_000
FETCH_SECONDS = 60.0
FETCH_HOPS = 5
_TOLD_SECONDS = 0.5
_FETCH_AS = "call2me/1.0 (knowledge base)"


@dataclass(frozen=True)
class Task:
    """A source that is to be read, as it is now."""

    source: KnowledgeSourceRow
    base: KnowledgeBaseRow


@dataclass
class Due:
    """What a source that was read leaves to do."""

    build: tuple[str, int] | None = None
    sources: list[tuple[str, int]] = field(default_factory=list)


def raw_name(source_id: str) -> str:
    """The blob of a document as it was uploaded, or of a page as it was fetched."""
    return f"{source_id}.raw"


def part_name(source_id: str, revision: int) -> str:
    """The blob of what one reading of a source made."""
    return f"{source_id}-{revision}.part"


def index_name(base_id: str, version: int) -> str:
    """The blob of one version of a base's index."""
    return f"{base_id}-{version}.index"


async def task(source_id: str, revision: int) -> Task | None:
    """The source, unless it is gone, or was to be read anew meanwhile."""
    async with engine.reach().database.transaction(writes=False) as session:
        found = await session.exec(
            select(KnowledgeSourceRow, KnowledgeBaseRow)
            .join(KnowledgeBaseRow, col(KnowledgeBaseRow.id) == KnowledgeSourceRow.knowledge_base_id)
            .where(KnowledgeSourceRow.id == source_id, col(KnowledgeBaseRow.deleted_at).is_(None))
        )
        pair = found.one_or_none()
    if pair is None or pair[0].revision != revision:
        return None
    return Task(*pair)


async def note(source_id: str, revision: int, **values: object) -> None:
    """Write down how far a source is, if it is still this reading that counts."""
    async with engine.reach().database.transaction() as session:
        await session.exec(
            update(KnowledgeSourceRow)
            .where(col(KnowledgeSourceRow.id) == source_id, col(KnowledgeSourceRow.revision) == revision)
            .values(updated_at=now(), **values)
        )


# ── fetching ─────────────────────────────────────────────────────────────────────────────────────
async def fetch(work: Task) -> dict[str, Any] | None:
    """Fetch a page into its blob, and what to remember of it; None when it says what it said before.

    Nothing is remembered yet: were this step to run again, the page would seem to be known already.
    Raises `apart.Failed`.
    """
    source = work.source
    await note(source.id, source.revision, progress="working", stage="fetching", done=0, total=1)
    headers = {"Accept": "text/html,application/pdf,text/plain;q=0.9,*/*;q=0.5", "User-Agent": _FETCH_AS}
    if source.part_revision:  # otherwise there is nothing that could be kept
        headers |= {"If-None-Match": source.etag} if source.etag else {}
        headers |= {"If-Modified-Since": source.last_modified} if source.last_modified else {}
    try:
        async with engine.reach().guard.asking(
            "GET", source.url or "", headers=headers, timeout_seconds=FETCH_SECONDS, follow=FETCH_HOPS
        ) as response:
            if response.status == 304:
                return None
            if response.status != 200:
                raise apart.Failed(f"The address answered {response.status} instead of a page.")
            page = await _keep(source, response)
    except NoAnswer as error:
        raise apart.Failed(str(error)) from None
    except storage.TooLarge:
        raise apart.Failed(f"The page is larger than {MAX_FILE_BYTES // 1_000_000} MB.") from None
    return None if source.part_revision and page["body_digest"] == source.body_digest else page


async def _keep(source: KnowledgeSourceRow, response: aiohttp.ClientResponse) -> dict[str, Any]:
    digest = hashlib.sha256()

    async def body() -> AsyncIterator[bytes]:
        async for chunk in response.content.iter_any():
            digest.update(chunk)
            yield chunk

    size = await engine.reach().knowledge.put(raw_name(source.id), body(), MAX_FILE_BYTES)
    headers = response.headers
    return {
        "etag": headers.get("ETag", "")[:500],
        "last_modified": headers.get("Last-Modified", "")[:100],
        "content_type": headers.get("Content-Type", "")[:200],
        "size_bytes": size,
        "body_digest": digest.hexdigest(),
    }


# ── reading, cutting, embedding ──────────────────────────────────────────────────────────────────
async def prepare(work: Task, content_type: str) -> dict[str, Any]:
    """Make a source's part; what it is. Raises `apart.Failed`."""
    source, base, blobs = work.source, work.base, engine.reach().knowledge
    with tempfile.TemporaryDirectory(prefix="call2me-knowledge-") as folder:
        raw, before, out = (Path(folder) / name for name in ("raw", "before", "out"))
        if source.kind == "text":
            await asyncio.to_thread(raw.write_text, source.text or "", "utf-8")
        else:
            await _copy(blobs, raw_name(source.id), raw)
        has_before = source.part_revision > 0 and await _copy_if_there(
            blobs, part_name(source.id, source.part_revision), before
        )
        job = {
            "do": "prepare",
            "source_id": source.id,
            "kind": source.kind,
            "title": source.title,
            "name": source.title if source.kind == "document" else (source.url or source.title),
            "declared_type": content_type or source.content_type,
            "embedder": base.embedder,
            "space": base.space,
            "raw": str(raw),
            "before": str(before) if has_before else "",
            "out": str(out),
        }
        teller = _Teller(source)
        telling = asyncio.create_task(teller.run())
        try:
            made = await apart.run(job, base.owner_id, teller.tell)
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        await blobs.put(part_name(source.id, source.revision), _chunks(out), 4 * 1024**3)
    return made


class _Teller:
    """Progress into the source's row, twice a second at most."""

    def __init__(self, source: KnowledgeSourceRow) -> None:
        self._source = source
        self._news = asyncio.Event()
        self._last = ("", 0, 0)

    def tell(self, stage: str, done: int, total: int) -> None:
        self._last = (stage, done, total)
        self._news.set()

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            stage, done, total = self._last
            await note(
                self._source.id, self._source.revision,
                progress="working", stage=stage, done=done, total=total,
            )  # fmt: skip
            await asyncio.sleep(_TOLD_SECONDS)


async def complete(work: Task, page: dict[str, Any] | None, made: dict[str, Any] | None) -> Due:
    """A source can be answered from; `made` is None when it says what it said before."""
    source, due = work.source, Due()
    async with engine.reach().database.transaction() as session:
        base = await _base(session, source.knowledge_base_id)
        row = await session.get(KnowledgeSourceRow, source.id, with_for_update=True)
        if base is None or row is None or row.revision != source.revision:
            return due
        row.progress, row.stage, row.reason = "complete", "", ""
        row.updated_at = now()
        if source.kind == "url":
            row.fetched_at = base.refreshed_at = now()
            for name, value in (page or {}).items():
                setattr(row, name, value)
        if made is not None and row.part_revision != row.revision:
            row.part_revision = row.revision
            row.passage_count, row.space, row.language = made["passages"], made["space"], made["language"]
            if row.kind == "url":
                row.title = made["title"]
            if scanned := made["scanned_pages"]:
                row.reason = f"{scanned} of its pages are pictures without text and were not read."
            base.revision += 1
            base.changed_at = base.updated_at = now()
            due.sources += await _agree(session, base, row)
        session.add_all([row, base])
        if base.version < base.revision:
            due.build = base.id, base.revision
    return due


async def _agree(
    session: AsyncSession, base: KnowledgeBaseRow, row: KnowledgeSourceRow
) -> list[tuple[str, int]]:
    """One base, one space: what was embedded otherwise is embedded again; returns those sources."""
    if row.space in ("", base.space):
        return []
    base.space = row.space
    found = await session.exec(
        select(KnowledgeSourceRow)
        .where(
            KnowledgeSourceRow.knowledge_base_id == base.id,
            KnowledgeSourceRow.id != row.id,
            KnowledgeSourceRow.part_revision > 0,
            col(KnowledgeSourceRow.space).not_in(("", base.space)),
        )
        .with_for_update()
    )
    others = list(found.all())
    for other in others:
        again(other)
        session.add(other)
    return [(other.id, other.revision) for other in others]


def look_again(row: KnowledgeSourceRow) -> None:
    """Let a source be read once more, a page only if it changed; its old part is used until then."""
    row.revision += 1
    row.progress, row.stage, row.done, row.total, row.reason = "waiting", "", 0, 0, ""
    row.updated_at = now()


def again(row: KnowledgeSourceRow) -> None:
    """The same, although a page may say what it said before."""
    look_again(row)
    row.etag = row.last_modified = row.body_digest = ""


async def fail(source_id: str, revision: int, reason: str) -> None:
    """A source could not be read; what an earlier reading made of it is still used."""
    await note(source_id, revision, progress="error", stage="", reason=reason[:500])


# ── the index ────────────────────────────────────────────────────────────────────────────────────
async def build(base_id: str, revision: int) -> bool:
    """Make and publish the base's index as of now; False where that is done, or left to a later change."""
    blobs = engine.reach().knowledge
    async with engine.reach().database.transaction(writes=False) as session:
        base = await session.get(KnowledgeBaseRow, base_id)
        if base is None or base.deleted_at is not None or base.version >= revision:
            return False
        if base.revision > revision:
            return False  # whoever changed it meanwhile has started a build of its own
        found = await session.exec(
            select(KnowledgeSourceRow.id, KnowledgeSourceRow.part_revision)
            .where(KnowledgeSourceRow.knowledge_base_id == base_id, KnowledgeSourceRow.part_revision > 0)
            .order_by(col(KnowledgeSourceRow.position), col(KnowledgeSourceRow.id))
        )
        parts = found.all()
    with tempfile.TemporaryDirectory(prefix="call2me-knowledge-") as folder:
        paths = []
        for source_id, part_revision in parts:
            path = Path(folder) / f"{source_id}.part"
            if await _copy_if_there(blobs, part_name(source_id, part_revision), path):
                paths.append(str(path))
        out = Path(folder) / "index"
        made = await apart.run(
            {"do": "build", "space": base.space, "parts": paths, "out": str(out)}, base.owner_id
        )
        await blobs.put(index_name(base_id, revision), _chunks(out), 16 * 1024**3)
    return await _publish(base_id, revision, made)


async def _publish(base_id: str, version: int, made: dict[str, Any]) -> bool:
    async with engine.reach().database.transaction() as session:
        base = await _base(session, base_id)
        if base is None or base.version >= version:
            forgotten = version
        else:
            forgotten = base.previous_version
            base.previous_version, base.version = base.version, version
            base.digest, base.size_bytes = made["digest"], made["size"]
            base.passage_count = made["passages"]
            base.published_at = now()
            session.add(base)
    # A worker may be fetching the version before; the one before that is nobody's any more.
    if forgotten:
        await engine.reach().knowledge.delete(index_name(base_id, forgotten))
    return forgotten != version


async def _base(session: AsyncSession, base_id: str) -> KnowledgeBaseRow | None:
    base = await session.get(KnowledgeBaseRow, base_id, with_for_update=True)
    return None if base is None or base.deleted_at is not None else base


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
    revision = row.part_revision if row is not None else 0
    for name in await blobs.names(f"{source_id}-"):
        made_by = name.removeprefix(f"{source_id}-").removesuffix(".part")
        if made_by.isdigit() and int(made_by) < revision:
            await blobs.delete(name)


async def _copy(blobs: storage.Storage, name: str, path: Path) -> None:
    with path.open("wb") as file:
        async for chunk in blobs.read(name):
            await asyncio.to_thread(file.write, chunk)


async def _copy_if_there(blobs: storage.Storage, name: str, path: Path) -> bool:
    try:
        await _copy(blobs, name, path)
    except FileNotFoundError:
        return False
    return True


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, 1024 * 1024):
            yield chunk


def is_older(moment: datetime | None, seconds: float) -> bool:
    """Whether something happened that long ago, or never."""
    return moment is None or (now() - moment).total_seconds() > seconds
