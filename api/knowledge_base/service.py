"""What agents know: bases and their sources, whose they are, and what follows when they change."""

from collections.abc import Collection, Sequence
from functools import partial

from sqlalchemy import func
from sqlalchemy.orm import defer
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import col, delete, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.agents import service as agents
from api.db.columns import new_id, now
from api.db.engine import after_commit
from api.http.callers import Caller
from api.http.errors import Conflict, NotFound
from api.knowledge_base import ingestion, workflows
from api.knowledge_base.schemas import (
    SHOWN_IN_LISTS,
    KnowledgeBaseCreate,
    KnowledgeBaseQuery,
    KnowledgeBaseUpdate,
)
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow

MAX_BASES = 500
MAX_SOURCES = 1000


class KnowledgeBaseNotFound(NotFound):
    """Knowledge base not found"""


class SourceNotFound(NotFound):
    """Source not found"""


class TooManyBases(Conflict):
    """There are 500 knowledge bases already; delete one that is not used"""


class TooManySources(Conflict):
    """A knowledge base holds at most 1,000 sources; put more into another one, an agent can have several"""


async def create(
    session: AsyncSession, owner_id: str, wanted: KnowledgeBaseCreate, sources: Sequence[KnowledgeSourceRow]
) -> KnowledgeBaseRow:
    """A new base with these sources; they are read once the transaction is committed."""
    held = await session.exec(
        select(func.count())
        .select_from(KnowledgeBaseRow)
        .where(KnowledgeBaseRow.owner_id == owner_id, col(KnowledgeBaseRow.deleted_at).is_(None))
    )
    if held.one() >= MAX_BASES:
        raise TooManyBases
    base = KnowledgeBaseRow(
        owner_id=owner_id,
        name=wanted.knowledge_base_name,
        is_auto_refreshed=wanted.enable_auto_refresh,
        embedder=wanted.embedder,
    )
    session.add(base)
    await session.flush()
    if wanted.agent_id is not None:
        await link(session, base, wanted.agent_id)
    await add(session, base, sources)
    return base


async def page(session: AsyncSession, caller: Caller, wanted: KnowledgeBaseQuery) -> list[KnowledgeBaseRow]:
    """The owner's bases, newest first."""
    mine = select(KnowledgeBaseRow).where(
        KnowledgeBaseRow.owner_id == caller.owner_id, col(KnowledgeBaseRow.deleted_at).is_(None)
    )
    if wanted.agent_id is not None:
        agent = await agents.get(session, caller, wanted.agent_id)
        named = agents.settings_of(agent).knowledge_base_ids or []
        mine = mine.where(
            or_(KnowledgeBaseRow.agent_id == wanted.agent_id, col(KnowledgeBaseRow.id).in_(named))
        )
    found = await session.exec(
        mine.order_by(col(KnowledgeBaseRow.created_at).desc(), col(KnowledgeBaseRow.id))
        .limit(wanted.limit)
        .offset(wanted.offset)
    )
    return list(found.all())


async def get(
    session: AsyncSession, owner_id: str, base_id: str, *, to_change: bool = False
) -> KnowledgeBaseRow:
    """One of the owner's bases."""
    wanted = select(KnowledgeBaseRow).where(
        KnowledgeBaseRow.id == base_id,
        KnowledgeBaseRow.owner_id == owner_id,
        col(KnowledgeBaseRow.deleted_at).is_(None),
    )
    found = await session.exec(wanted.with_for_update() if to_change else wanted)
    if (base := found.one_or_none()) is None:
        raise KnowledgeBaseNotFound
    return base


async def owned(session: AsyncSession, owner_id: str, base_ids: Collection[str]) -> set[str]:
    """Those of these bases that are the owner's."""
    found = await session.exec(
        select(KnowledgeBaseRow.id).where(
            KnowledgeBaseRow.owner_id == owner_id,
            col(KnowledgeBaseRow.id).in_(base_ids),
            col(KnowledgeBaseRow.deleted_at).is_(None),
        )
    )
    return set(found.all())


async def source(session: AsyncSession, base: KnowledgeBaseRow, source_id: str) -> KnowledgeSourceRow:
    """One source of a base."""
    found = await session.exec(
        select(KnowledgeSourceRow).where(
            KnowledgeSourceRow.id == source_id, KnowledgeSourceRow.knowledge_base_id == base.id
        )
    )
    if (row := found.one_or_none()) is None:
        raise SourceNotFound
    return row


async def sources_of(
    session: AsyncSession, base_ids: Sequence[str], *, is_list: bool = False
) -> dict[str, list[KnowledgeSourceRow]]:
    """The sources of each base, in their order; for a list, only the beginning of each text."""
    wanted = (
        select(KnowledgeSourceRow)
        .where(col(KnowledgeSourceRow.knowledge_base_id).in_(base_ids))
        .order_by(
            col(KnowledgeSourceRow.position),
            col(KnowledgeSourceRow.created_at),
            col(KnowledgeSourceRow.id),
        )
    )
    if is_list:
        wanted = wanted.options(defer(KnowledgeSourceRow.text))  # type: ignore[arg-type]
    rows = (await session.exec(wanted)).all()
    if is_list:
        beginnings = await session.exec(
            select(KnowledgeSourceRow.id, func.substr(KnowledgeSourceRow.text, 1, SHOWN_IN_LISTS + 1)).where(
                col(KnowledgeSourceRow.knowledge_base_id).in_(base_ids)
            )
        )
        texts = dict(beginnings.all())
        for row in rows:
            set_committed_value(row, "text", texts.get(row.id))
    by_base: dict[str, list[KnowledgeSourceRow]] = {base_id: [] for base_id in base_ids}
    for row in rows:
        by_base[row.knowledge_base_id].append(row)
    return by_base


async def add(
    session: AsyncSession, base: KnowledgeBaseRow, sources: Sequence[KnowledgeSourceRow]
) -> list[str]:
    """Add sources; returns the ids of those that were not there yet. What had failed is tried again."""
    held = await session.exec(
        select(KnowledgeSourceRow)
        .where(KnowledgeSourceRow.knowledge_base_id == base.id)
        .options(defer(KnowledgeSourceRow.text))  # type: ignore[arg-type]
    )
    by_digest = {row.digest: row for row in held.all()}
    new: list[str] = []
    for wanted in sources:
        before = by_digest.get(wanted.digest)
        if before is None:
            wanted.knowledge_base_id = base.id
            wanted.position = len(by_digest)
            by_digest[wanted.digest] = wanted
            session.add(wanted)
            new.append(wanted.id)
            _start(session, wanted)
        elif (before.depth, before.max_pages) != (wanted.depth, wanted.max_pages):
            before.depth, before.max_pages = wanted.depth, wanted.max_pages
            _read_again(session, before, anew=True)
        elif before.progress == "error":
            _read_again(session, before)
    if len(by_digest) > MAX_SOURCES:
        raise TooManySources
    base.updated_at = now()
    if not sources and base.revision == 0:
        touch(session, base)
    session.add(base)
    await session.flush()
    return new


def _start(session: AsyncSession, row: KnowledgeSourceRow) -> None:
    after_commit(session, partial(workflows.start_ingestion, row.id, row.revision))


def _read_again(session: AsyncSession, row: KnowledgeSourceRow, *, anew: bool = False) -> None:
    (ingestion.again if anew else ingestion.look_again)(row)
    session.add(row)
    _start(session, row)


def touch(session: AsyncSession, base: KnowledgeBaseRow) -> None:
    """What the base holds has changed: it needs a new index."""
    base.revision += 1
    base.changed_at = base.updated_at = now()
    session.add(base)
    after_commit(session, partial(workflows.start_build, base.id, base.revision))


async def change(
    session: AsyncSession, base: KnowledgeBaseRow, wanted: KnowledgeBaseUpdate
) -> KnowledgeBaseRow:
    """Change what was sent."""
    if wanted.knowledge_base_name is not None:
        base.name = wanted.knowledge_base_name
    if wanted.enable_auto_refresh is not None:
        base.is_auto_refreshed = wanted.enable_auto_refresh
    if wanted.agent_id is not None:
        await link(session, base, wanted.agent_id)
    if wanted.embedder is not None and wanted.embedder != base.embedder:
        base.embedder = wanted.embedder
        for row in (await sources_of(session, [base.id]))[base.id]:
            _read_again(session, row, anew=True)
    base.updated_at = now()
    session.add(base)
    await session.flush()
    return base


async def refresh(session: AsyncSession, base: KnowledgeBaseRow) -> None:
    """Fetch every page and site anew, and try again what failed."""
    for row in (await sources_of(session, [base.id], is_list=True))[base.id]:
        if row.progress == "error" or (row.kind in ingestion.PAGED and row.progress == "complete"):
            _read_again(session, row)
    await session.flush()


async def link(session: AsyncSession, base: KnowledgeBaseRow, agent_id: str) -> None:
    """Let one of the owner's agents answer from the base."""
    await agents.know(session, base.owner_id, agent_id, base.id)
    base.agent_id = agent_id
    session.add(base)


async def remove_source(session: AsyncSession, base: KnowledgeBaseRow, source_id: str) -> None:
    """Forget a source: its text now, its files with the commit, its passages with the next index."""
    row = await source(session, base, source_id)
    await session.exec(delete(KnowledgeSourceRow).where(col(KnowledgeSourceRow.id) == row.id))
    touch(session, base)
    after_commit(session, partial(workflows.forget_blobs, [f"{row.id}.", f"{row.id}-"]))
    await session.flush()


async def remove(session: AsyncSession, base: KnowledgeBaseRow) -> None:
    """Forget a base: texts now, files and indexes with the commit; agents no longer name it."""
    sources = (await sources_of(session, [base.id], is_list=True))[base.id]
    await session.exec(delete(KnowledgeSourceRow).where(col(KnowledgeSourceRow.knowledge_base_id) == base.id))
    await agents.forget_base(session, base.owner_id, base.id)
    base.name, base.digest, base.agent_id = "", "", None
    base.deleted_at = base.published_at = base.updated_at = now()
    session.add(base)
    await session.flush()
    prefixes = [f"{row.id}{mark}" for row in sources for mark in ".-"]
    after_commit(session, partial(workflows.forget_blobs, [*prefixes, f"{base.id}-"]))


async def texts_added(
    session: AsyncSession, owner_id: str, name: str, texts: Sequence[tuple[str, str]]
) -> KnowledgeBaseRow:
    """A new base of texts in hand, each a title and a text."""
    base = KnowledgeBaseRow(owner_id=owner_id, name=name)
    session.add(base)
    await session.flush()
    await add(session, base, [workflows.text_source(title, text) for title, text in texts])
    return base


def new_source_id() -> str:
    """An id before there is a row: a document is stored under it while it arrives."""
    return new_id("source")
