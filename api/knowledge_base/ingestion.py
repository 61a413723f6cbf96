"""What the steps of ingestion do: read, cut, embed, count; each may run twice, and leaves the same behind."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlmodel import col, select, update
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.durable import engine
from api.knowledge_base import apart, blobs
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from kb.embeddings import E5Embedder

PAGED = ("url", "site")
"""Kinds of sources that are fetched, and fetched anew."""
_TOLD_SECONDS = 0.5
_ALIVE_SECONDS = 60.0
"""Whoever is silent for five minutes is begun again (`workflows.OVERDUE_SECONDS`)."""


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


async def prepare(work: Task, content_type: str) -> dict[str, Any]:
    """Make a source's part; what it is. Raises `apart.Failed`."""
    source, base, storage = work.source, work.base, engine.reach().knowledge
    with tempfile.TemporaryDirectory(prefix="call2me-knowledge-") as name:
        folder = Path(name)
        before, out = folder / "before", folder / "out"
        has_before = source.part_revision > 0 and await blobs.copy_if_there(
            storage, blobs.part_name(source.id, source.part_revision), before
        )
        job = {
            "do": "prepare",
            "source_id": source.id,
            "kind": source.kind,
            "title": source.title,
            "files": await _files(source, content_type or source.content_type, folder),
            "embedder": base.embedder,
            "server": asdict(server) if (server := engine.reach().embeddings) else None,
            "space": base.space,
            "before": str(before) if has_before else "",
            "out": str(out),
        }
        async with telling(source) as tell:
            made = await apart.run(job, base.owner_id, tell)
        await storage.put(blobs.part_name(source.id, source.revision), blobs.chunks(out), 4 * 1024**3)
    return made


async def _files(source: KnowledgeSourceRow, content_type: str, folder: Path) -> list[dict[str, str]]:
    """What is to be read: one file, or those of a site's pages."""
    storage = engine.reach().knowledge
    if source.kind == "site":
        pages = (await blobs.site(source.id, source.revision)).pages
        files = []
        for number, page in enumerate(pages):
            raw = folder / f"page-{number}"
            if await blobs.copy_if_there(storage, page.blob, raw):
                files.append({"raw": str(raw), "name": page.url, "declared_type": page.content_type})
        return files
    raw = folder / "raw"
    if source.kind == "text":
        await asyncio.to_thread(raw.write_text, source.text or "", "utf-8")
    else:
        await blobs.copy(storage, blobs.raw_name(source.id), raw)
    name = source.title if source.kind == "document" else (source.url or source.title)
    return [{"raw": str(raw), "name": name, "declared_type": content_type}]


@contextlib.asynccontextmanager
async def telling(source: KnowledgeSourceRow) -> AsyncIterator[apart.OnProgress]:
    """Progress into the source's row, twice a second at most; and signs of life while it waits its turn."""
    news, last = asyncio.Event(), ("waiting", 0, 0)

    def tell(stage: str, done: int, total: int) -> None:
        nonlocal last
        last = stage, done, total
        news.set()

    async def write() -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ALIVE_SECONDS):
                    await news.wait()
            news.clear()
            stage, done, total = last
            values = {"progress": "working", "stage": stage, "done": done, "total": total}
            await note(source.id, source.revision, **values)
            await asyncio.sleep(_TOLD_SECONDS)

    writing = asyncio.create_task(write(), name="progress of a source")
    try:
        yield tell
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)


async def complete(work: Task, page: dict[str, Any] | None, made: dict[str, Any] | None) -> Due:
    """A source can be answered from; `made` is None when it says what it said before."""
    source, due = work.source, Due()
    async with engine.reach().database.transaction() as session:
        base = await base_to_change(session, source.knowledge_base_id)
        row = await session.get(KnowledgeSourceRow, source.id, with_for_update=True)
        if base is None or row is None or row.revision != source.revision:
            return due
        row.progress, row.stage, row.reason = "complete", "", ""
        row.updated_at = now()
        if source.kind in PAGED:
            row.fetched_at = base.refreshed_at = now()
            for name in ("etag", "last_modified", "content_type", "size_bytes", "body_digest"):
                setattr(row, name, (page or {}).get(name, getattr(row, name)))
        if made is not None and row.part_revision != row.revision:
            row.part_revision = row.revision
            row.passage_count, row.space, row.language = made["passages"], made["space"], made["language"]
            if row.kind in PAGED:
                row.title = made["title"]
            row.page_count = made["pages"]
            row.reason = _remarks(made, page or {})
            base.revision += 1
            base.changed_at = base.updated_at = now()
            due.sources += await _agree(session, base, row)
        session.add_all([row, base])
        if base.version < base.revision:
            due.build = base.id, base.revision
    return due


def _remarks(made: dict[str, Any], page: dict[str, Any]) -> str:
    """What its owner should know of a source that was read."""
    said = []
    if scanned := made["scanned_pages"]:
        said.append(f"{scanned} of its pages are pictures without text and were not read.")
    if failed := made["failed_pages"] + page.get("failed_pages", 0):
        said.append(f"{failed} of its pages could not be read.")
    return " ".join(said)


async def _agree(
    session: AsyncSession, base: KnowledgeBaseRow, row: KnowledgeSourceRow
) -> list[tuple[str, int]]:
    """One base, one space: what was embedded otherwise is embedded again; returns those sources."""
    if row.space in ("", base.space):
        return []
    if base.embedder == "auto" and base.space == E5Embedder.space:
        again(row)  # it was embedded for English while something in another language came
        return [(row.id, row.revision)]
    base.space = row.space
    found = await session.exec(
        select(KnowledgeSourceRow)
        .where(
            KnowledgeSourceRow.knowledge_base_id == base.id,
            KnowledgeSourceRow.id != row.id,
            KnowledgeSourceRow.part_revision > 0,
            col(KnowledgeSourceRow.space).not_in(("", base.space)),
            # Whoever is being read now comes by here at its end.
            col(KnowledgeSourceRow.progress).in_(("complete", "error")),
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


async def base_to_change(session: AsyncSession, base_id: str) -> KnowledgeBaseRow | None:
    """A base while it is changed, unless it is gone."""
    base = await session.get(KnowledgeBaseRow, base_id, with_for_update=True)
    return None if base is None or base.deleted_at is not None else base


def is_older(moment: datetime | None, seconds: float) -> bool:
    """Whether something happened that long ago, or never."""
    return moment is None or (now() - moment).total_seconds() > seconds
