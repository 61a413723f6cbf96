"""What agents know: texts, whose they are, and how many of them fit into a brief."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from pipelines.contract import KnowledgeText

MAX_BRIEF_CHARACTERS = 400_000
"""What one brief carries at most: 200 pages. More than that wants an index of its own."""


async def texts(
    session: AsyncSession, owner_id: str, knowledge_base_ids: Sequence[str]
) -> tuple[tuple[KnowledgeText, ...], bool]:
    """The owner's texts of these knowledge bases, in their order, and whether all of them fit.

    Bases that are gone, or somebody else's, are passed over.
    """
    if not knowledge_base_ids:
        return (), True
    found = await session.exec(
        select(KnowledgeSourceRow)
        .join(KnowledgeBaseRow, col(KnowledgeBaseRow.id) == KnowledgeSourceRow.knowledge_base_id)
        .where(KnowledgeBaseRow.owner_id == owner_id, col(KnowledgeBaseRow.id).in_(knowledge_base_ids))
        .order_by(
            col(KnowledgeSourceRow.knowledge_base_id),
            col(KnowledgeSourceRow.position),
            col(KnowledgeSourceRow.id),
        )
    )
    kept: list[KnowledgeText] = []
    room = MAX_BRIEF_CHARACTERS
    for source in found.all():
        if len(source.text) > room:
            return tuple(kept), False
        room -= len(source.text)
        kept.append(KnowledgeText(source_id=source.id, title=source.title, text=source.text))
    return tuple(kept), True


async def create(
    session: AsyncSession, owner_id: str, name: str, sources: Sequence[tuple[str, str]]
) -> KnowledgeBaseRow:
    """A new knowledge base with these texts, each a title and a text."""
    base = KnowledgeBaseRow(owner_id=owner_id, name=name)
    session.add(base)
    await session.flush()
    session.add_all(
        KnowledgeSourceRow(knowledge_base_id=base.id, title=title, text=text, position=position)
        for position, (title, text) in enumerate(sources)
    )
    return base
