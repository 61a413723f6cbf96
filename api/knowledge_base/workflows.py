"""Reading what was added, once for each change: `ingest-<source>-<revision>`, `build-<base>-<revision>`.

    added ──► ingest: fetched ──► read, cut, embedded ──► complete ─┐
    removed ────────────────────────────────────────────────────────┴─► build: indexed ──► published

A step may run twice. What it leaves behind is named by source and revision, or is written only while
that revision is still the one that counts, so a second time changes nothing.
"""

import hashlib
import logging
from datetime import timedelta
from typing import Any

from dbos import DBOS
from sqlmodel import col, delete, or_, select, update

from api.db.columns import now
from api.durable import engine
from api.knowledge_base import apart, blobs, fetching, indexing, ingestion
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from api.stuck import service as stuck

_LOG = logging.getLogger(__name__)

REFRESH_SECONDS = 12 * 3600.0
OVERDUE_SECONDS = 300
"""Work without a sign of progress for this long stands still, and is begun again."""
ORPHAN_SECONDS = 3600.0
"""An upload may take this long before its row is there."""
REPLACED = stuck.Work("replaced-knowledge")
REPLACED_SECONDS = 600
"""So long a worker may still be fetching the version before the newest."""
UNTOLD_SECONDS = 86_400
_AT_ONCE = 200


def text_source(title: str, text: str) -> KnowledgeSourceRow:
    """A text as a source to be added."""
    digest = hashlib.sha256(b"text\0" + text.encode("utf-8", "replace")).hexdigest()
    return KnowledgeSourceRow(
        kind="text", title=title, text=text, size_bytes=len(text), digest=digest, knowledge_base_id=""
    )


def url_source(url: str) -> KnowledgeSourceRow:
    """A page as a source to be added."""
    return _fetched_source("url", url)


def site_source(url: str, depth: int, max_pages: int) -> KnowledgeSourceRow:
    """The pages at and below an address, as one source to be added."""
    return _fetched_source("site", url, depth, max_pages)


def _fetched_source(kind: str, url: str, depth: int = 0, max_pages: int = 0) -> KnowledgeSourceRow:
    address = url.strip().split("#")[0]
    digest = hashlib.sha256(f"{kind}\0{address}".encode("utf-8", "replace")).hexdigest()
    return KnowledgeSourceRow(
        kind=kind,
        title="",
        url=address,
        depth=depth,
        max_pages=max_pages,
        digest=digest,
        knowledge_base_id="",
    )


@DBOS.workflow(name="ingest")
async def ingest(source_id: str, revision: int) -> None:
    """Make a source something that can be answered from, or say why that cannot be."""
    with engine.at_work():
        fetched = await fetch(source_id, revision)
        made: dict[str, Any] = {"reason": fetched["reason"]}
        if fetched["is_new"]:
            made = await prepare(source_id, revision, (fetched["page"] or {}).get("content_type", ""))
        due = await complete(source_id, revision, fetched["page"], made)
        if due["build"] is not None:
            await start_build(*due["build"])
        for other_id, other_revision in due["sources"]:
            await start_ingestion(other_id, other_revision)
        await forget_earlier(source_id)
    _LOG.info("a source was read", extra={"source_id": source_id, "failed": bool(made.get("reason"))})


@DBOS.step(name="ingest.fetch")
async def fetch(source_id: str, revision: int) -> dict[str, Any]:
    """Fetch a page or a site; nothing to do for a text or a document."""
    if (work := await ingestion.task(source_id, revision)) is None:
        return {"is_new": False, "page": None, "reason": None}
    if work.source.kind not in ingestion.PAGED:
        return {"is_new": True, "page": None, "reason": None}
    try:
        page = await fetching.fetch(work)
    except apart.Failed as error:
        return {"is_new": False, "page": None, "reason": str(error)}
    return {"is_new": page is not None, "page": page, "reason": None}


@DBOS.step(name="ingest.prepare", retries_allowed=True, max_attempts=3)
async def prepare(source_id: str, revision: int, content_type: str) -> dict[str, Any]:
    """Read, cut and embed in a process beside this one."""
    if (work := await ingestion.task(source_id, revision)) is None:
        return {"reason": None}
    try:
        return await ingestion.prepare(work, content_type)
    except apart.Failed as error:
        return {"reason": str(error)}


@DBOS.step(name="ingest.complete", retries_allowed=True, max_attempts=5)
async def complete(
    source_id: str, revision: int, page: dict[str, Any] | None, made: dict[str, Any]
) -> dict[str, Any]:
    """Let what was read count; what is due after that."""
    due = ingestion.Due()
    if (work := await ingestion.task(source_id, revision)) is None:
        await blobs.forget_if_gone(source_id)
    elif made.get("reason"):
        await ingestion.fail(source_id, revision, made["reason"])
    else:
        due = await ingestion.complete(work, page, made if "passages" in made else None)
    return {"build": due.build, "sources": due.sources}


@DBOS.step(name="ingest.forget_earlier", retries_allowed=True, max_attempts=5)
async def forget_earlier(source_id: str) -> None:
    """Remove what earlier readings made."""
    await blobs.forget_earlier_parts(source_id)


@DBOS.workflow(name="build")
async def build(base_id: str, revision: int) -> None:
    """Make the index that holds all changes up to this revision."""
    with engine.at_work():
        if await index(base_id, revision):
            _LOG.info("knowledge published", extra={"base_id": base_id, "version": revision})


@DBOS.step(name="build.index", retries_allowed=True, max_attempts=3)
async def index(base_id: str, revision: int) -> bool:
    """Build and publish, in a process beside this one."""
    return await indexing.build(base_id, revision)


# ── starting it ──────────────────────────────────────────────────────────────────────────────────
async def start_ingestion(source_id: str, revision: int) -> None:
    """Never raises: the row is committed, and the sweeper starts what this did not."""
    try:
        await engine.start(f"ingest-{source_id}-{revision}", ingest, source_id, revision)
    except engine.NotLaunched:
        return  # `call2me up` lays out the demo before anything runs
    except Exception as error:  # noqa: BLE001
        _LOG.warning("ingestion not started", extra={"source_id": source_id, "error": type(error).__name__})


async def start_build(base_id: str, revision: int) -> None:
    """The same for a build."""
    try:
        await engine.start(f"build-{base_id}-{revision}", build, base_id, revision)
    except engine.NotLaunched:
        return
    except Exception as error:  # noqa: BLE001
        _LOG.warning("build not started", extra={"base_id": base_id, "error": type(error).__name__})


async def forget_blobs(prefixes: list[str]) -> None:
    """Remove files of what was deleted; what this cannot remove, the sweeper does."""
    try:
        await blobs.forget_blobs(prefixes)
    except Exception as error:  # noqa: BLE001 - the rows are gone; the sweeper looks for such files
        _LOG.warning("files not removed", extra={"error": type(error).__name__})


# ── what a crash, a full disk or the time leave to do ────────────────────────────────────────────
async def sweep_unread() -> None:
    """Start the ingestion and the builds that a crash kept from starting; again, where one stands still."""
    async with engine.reach().database.transaction(writes=False) as session:
        sources = await session.exec(
            select(KnowledgeSourceRow.id, KnowledgeSourceRow.revision, KnowledgeSourceRow.updated_at)
            .where(col(KnowledgeSourceRow.progress).in_(("waiting", "working")))
            .order_by(col(KnowledgeSourceRow.updated_at))
            .limit(1000)
        )
        unread = sources.all()
        bases = await session.exec(
            select(KnowledgeBaseRow.id, KnowledgeBaseRow.revision, KnowledgeBaseRow.changed_at)
            .where(
                KnowledgeBaseRow.version < KnowledgeBaseRow.revision,
                col(KnowledgeBaseRow.deleted_at).is_(None),
            )
            .limit(1000)
        )
        unbuilt = bases.all()
    for source_id, revision, updated_at in unread:
        if ingestion.is_older(updated_at, OVERDUE_SECONDS):
            await engine.start_again(f"ingest-{source_id}-{revision}", ingest, source_id, revision)
        else:
            await start_ingestion(source_id, revision)
    for base_id, revision, changed_at in unbuilt:
        if ingestion.is_older(changed_at, OVERDUE_SECONDS):
            await engine.start_again(f"build-{base_id}-{revision}", build, base_id, revision)
        else:
            await start_build(base_id, revision)


async def sweep_refresh() -> None:
    """Let pages that were fetched twelve hours ago be fetched anew, where their owner wants that."""
    due = now() - timedelta(seconds=REFRESH_SECONDS)
    started: list[tuple[str, int]] = []
    async with engine.reach().database.transaction() as session:
        found = await session.exec(
            select(KnowledgeSourceRow)
            .join(KnowledgeBaseRow, col(KnowledgeBaseRow.id) == KnowledgeSourceRow.knowledge_base_id)
            .where(
                col(KnowledgeSourceRow.kind).in_(ingestion.PAGED),
                col(KnowledgeBaseRow.is_auto_refreshed).is_(True),
                col(KnowledgeBaseRow.deleted_at).is_(None),
                col(KnowledgeSourceRow.progress).in_(("complete", "error")),
                col(KnowledgeSourceRow.updated_at) < due,
                or_(col(KnowledgeSourceRow.fetched_at).is_(None), col(KnowledgeSourceRow.fetched_at) < due),
            )
            .limit(_AT_ONCE)
            .with_for_update(of=KnowledgeSourceRow, skip_locked=True)
        )
        for row in found.all():
            ingestion.look_again(row)
            session.add(row)
            started.append((row.id, row.revision))
    for source_id, revision in started:
        await start_ingestion(source_id, revision)


async def sweep_replaced() -> None:
    """Remove indexes that were replaced a while ago: they hold what was deleted since."""
    long_ago, reach = now() - timedelta(seconds=REPLACED_SECONDS), engine.reach()
    async with reach.database.transaction(writes=False) as session:
        found = await session.exec(
            select(KnowledgeBaseRow.id, KnowledgeBaseRow.owner_id)
            .where(
                KnowledgeBaseRow.previous_version > 0,
                col(KnowledgeBaseRow.published_at) < long_ago,
                stuck.is_due(REPLACED, KnowledgeBaseRow.id),
            )
            .limit(_AT_ONCE)
        )
        replaced = found.all()
    await stuck.each(reach.database, REPLACED, replaced, _remove_replaced)


async def _remove_replaced(base_id: str) -> None:
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        base = await session.get(KnowledgeBaseRow, base_id)
    if base is None or not (version := base.previous_version):
        return
    await reach.knowledge.delete(blobs.index_name(base_id, version))
    async with reach.database.transaction() as session:
        await session.exec(
            update(KnowledgeBaseRow)
            .where(col(KnowledgeBaseRow.id) == base_id, col(KnowledgeBaseRow.previous_version) == version)
            .values(previous_version=0)
        )


async def sweep_forgotten() -> None:
    """Remove files that no row names any more, and rows of bases that everybody has heard of being gone."""
    reach = engine.reach()
    await reach.knowledge.forget_unfinished(ORPHAN_SECONDS)
    names = await reach.knowledge.names("", older_than_seconds=ORPHAN_SECONDS)
    async with reach.database.transaction() as session:
        await session.exec(
            delete(KnowledgeBaseRow).where(
                col(KnowledgeBaseRow.deleted_at) < now() - timedelta(seconds=UNTOLD_SECONDS)
            )
        )
    for start in range(0, len(names), _AT_ONCE):
        some = names[start : start + _AT_ONCE]
        async with reach.database.transaction(writes=False) as session:
            sources = await session.exec(
                select(KnowledgeSourceRow.id).where(
                    col(KnowledgeSourceRow.id).in_({name.split(".")[0].split("-")[0] for name in some})
                )
            )
            bases = await session.exec(
                select(
                    KnowledgeBaseRow.id, KnowledgeBaseRow.version, KnowledgeBaseRow.previous_version
                ).where(
                    col(KnowledgeBaseRow.id).in_({name.split("-")[0] for name in some}),
                    col(KnowledgeBaseRow.deleted_at).is_(None),
                )
            )
            kept = set(sources.all())
            indexes = {
                blobs.index_name(base_id, version)
                for base_id, *versions in bases.all()
                for version in versions
            }
        for name in some:
            if name not in indexes and name.split(".")[0].split("-")[0] not in kept:
                await reach.knowledge.delete(name)
