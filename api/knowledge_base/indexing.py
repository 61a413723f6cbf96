"""One index of all that a base holds: built beside the api, published for workers to fetch."""

import tempfile
from pathlib import Path
from typing import Any

from sqlmodel import col, select

from api.db.columns import now
from api.durable import engine
from api.knowledge_base import apart
from api.knowledge_base.blobs import chunks, copy_if_there, index_name, part_name
from api.knowledge_base.ingestion import base_to_change
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow


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
            if await copy_if_there(blobs, part_name(source_id, part_revision), path):
                paths.append(str(path))
        out = Path(folder) / "index"
        made = await apart.run(
            {"do": "build", "space": base.space, "parts": paths, "out": str(out)}, base.owner_id
        )
        await blobs.put(index_name(base_id, revision), chunks(out), 16 * 1024**3)
    return await _publish(base_id, revision, made)


async def _publish(base_id: str, version: int, made: dict[str, Any]) -> bool:
    async with engine.reach().database.transaction() as session:
        base = await base_to_change(session, base_id)
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
