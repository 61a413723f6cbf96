"""Which index of each base is the newest, for calls that begin and for workers that hold one."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from pipelines.contract.brief import KnowledgeVersion

MAX_TITLES = 50


async def versions(
    session: AsyncSession, owner_id: str, base_ids: Sequence[str]
) -> tuple[KnowledgeVersion, ...]:
    """Which index of each of the owner's bases is the newest, in the order of the ids.

    Bases that are gone, or somebody else's, are passed over; one without an index yet has version 0.
    """
    if not base_ids:
        return ()
    found = await session.exec(
        select(KnowledgeBaseRow).where(
            KnowledgeBaseRow.owner_id == owner_id,
            col(KnowledgeBaseRow.id).in_(base_ids),
            col(KnowledgeBaseRow.deleted_at).is_(None),
        )
    )
    rows = {row.id: row for row in found.all()}
    named = await session.exec(
        select(KnowledgeSourceRow.knowledge_base_id, KnowledgeSourceRow.title)
        .where(col(KnowledgeSourceRow.knowledge_base_id).in_(rows), KnowledgeSourceRow.kind == "text")
        .order_by(col(KnowledgeSourceRow.position))
        .limit(MAX_TITLES)
    )
    titles: dict[str, list[str]] = {}
    for base_id, title in named.all():
        titles.setdefault(base_id, []).append(title)
    return tuple(
        _told(rows[base_id], titles.get(base_id, ()))
        for base_id in dict.fromkeys(base_ids)
        if base_id in rows
    )


async def newest(session: AsyncSession, base_ids: Sequence[str]) -> tuple[KnowledgeVersion, ...]:
    """The same for a worker that has these bases in use; one that was deleted is not in the answer."""
    found = await session.exec(
        select(KnowledgeBaseRow).where(
            col(KnowledgeBaseRow.id).in_(base_ids), col(KnowledgeBaseRow.deleted_at).is_(None)
        )
    )
    return tuple(_told(row) for row in found.all())


def _told(row: KnowledgeBaseRow, titles: Sequence[str] = ()) -> KnowledgeVersion:
    return KnowledgeVersion(
        base_id=row.id, name=row.name, version=row.version, digest=row.digest, titles=tuple(titles)
    )
