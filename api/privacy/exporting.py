"""Everything of a person in one file: `export-<export_id>`.

account.json · <table>.jsonl, a row a line, for each table · documents/… · recordings/<call_id>.ogg
"""

import asyncio
import json
import logging
import tempfile
import zipfile
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

from dbos import DBOS
from sqlalchemy import ColumnElement, Table
from sqlmodel import col, select

from api.calls import recordings
from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import Database
from api.durable import engine
from api.knowledge_base.blobs import raw_name
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from api.outside.storage import Storage, TooLarge
from api.privacy.owned import NOT_EXPORTED, belonging, exported
from api.privacy.schemas import KEPT
from api.privacy.table import AccountExportRow
from api.users.table import UserRow

_LOG = logging.getLogger(__name__)

MAX_SOUND_BYTES = 2 * 1024**3
"""Of recordings and documents in one export; what has no room is left out, newest first in."""
MAX_BYTES = MAX_SOUND_BYTES + 1024**3
OVERDUE_SECONDS = 600.0
_ROWS = 1000
_CHUNK = 1024 * 1024


def blob_name(export_id: str) -> str:
    """Where an export lies, beside the recordings."""
    return f"{export_id}.zip"


@DBOS.workflow(name="export")
async def export(export_id: str) -> None:
    """Make the file."""
    with engine.at_work():
        await make(export_id)


async def start(export_id: str) -> None:
    """Begin it. Never raises, since the sweeper begins what this did not."""
    try:
        await engine.start(f"export-{export_id}", export, export_id)
    except Exception as error:  # noqa: BLE001 - the wish is committed
        _LOG.warning("export not started", extra={"export_id": export_id, "error": type(error).__name__})


async def sweep() -> None:
    """Go on with what stands still; remove what was kept long enough."""
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        pending = await session.exec(
            select(AccountExportRow.id, AccountExportRow.created_at).where(
                AccountExportRow.status == "pending"
            )
        )
        old = await session.exec(
            select(AccountExportRow.id).where(col(AccountExportRow.created_at) < now() - KEPT).limit(100)
        )
        waiting, gone = pending.all(), old.all()
    for export_id, created_at in waiting:
        if now() - created_at > timedelta(seconds=OVERDUE_SECONDS):
            await engine.start_again(f"export-{export_id}", export, export_id)
        else:
            await start(export_id)
    for export_id in gone:
        await reach.storage.delete(blob_name(export_id))
        async with reach.database.transaction() as session:
            if (row := await session.get(AccountExportRow, export_id)) is not None:
                await session.delete(row)


@DBOS.step(name="export.make", retries_allowed=True, max_attempts=3)
async def make(export_id: str) -> None:
    """Write it beside, then store it whole; again, it is written anew."""
    reach = engine.reach()
    async with reach.database.transaction(writes=False) as session:
        row = await session.get(AccountExportRow, export_id)
    if row is None or row.status != "pending":
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "export.zip"
        writing = _File(path)
        try:
            await _write_rows(writing, reach.database, row.owner_id)
            left_out = await _write_files(
                writing, reach.database, reach.storage, reach.knowledge, row.owner_id
            )
        finally:
            await asyncio.to_thread(writing.close)
        try:
            size: int | None = await reach.storage.put(blob_name(export_id), _chunks(path), MAX_BYTES)
        except TooLarge:
            size = None
    async with reach.database.transaction() as session:
        kept = await session.get(AccountExportRow, export_id, with_for_update=True)
        if kept is None:  # the account was erased meanwhile
            await reach.storage.delete(blob_name(export_id))
            return
        kept.status = "failed" if size is None else "complete"
        kept.size_bytes, kept.left_out, kept.completed_at = size or 0, left_out, now()
        session.add(kept)


class _File:
    """A zip file that is written piece by piece, off the loop."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)

    async def text(self, name: str, pieces: AsyncIterator[str]) -> None:
        await self.bytes(name, _encoded(pieces), is_compressed=True)

    async def bytes(self, name: str, pieces: AsyncIterator[bytes], *, is_compressed: bool = False) -> None:
        info = zipfile.ZipInfo(name, now().timetuple()[:6])
        info.compress_type = zipfile.ZIP_DEFLATED if is_compressed else zipfile.ZIP_STORED
        with self._zip.open(info, "w", force_zip64=True) as entry:
            async for piece in pieces:
                await asyncio.to_thread(entry.write, piece)

    def close(self) -> None:
        self._zip.close()


async def _encoded(pieces: AsyncIterator[str]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        yield piece.encode("utf-8", "replace")


async def _write_rows(file: _File, database: Database, owner_id: str) -> None:
    users: Any = UserRow.__table__  # type: ignore[attr-defined]
    await file.text("account.json", _lines(database, users, users.c.id == owner_id))
    for table, mine in belonging(owner_id):
        if table.name not in NOT_EXPORTED:
            await file.text(f"{table.name}.jsonl", _lines(database, table, mine))


async def _lines(database: Database, table: Table, mine: ColumnElement[bool]) -> AsyncIterator[str]:
    """The rows of one table as JSON, a line each; a page at a time, so that no transaction stays open."""
    columns, offset = exported(table), 0
    ordered = select(*columns).where(mine).order_by(*table.primary_key.columns)
    while True:
        async with database.transaction(writes=False) as session:
            connection = await session.connection()
            rows = (await connection.execute(ordered.limit(_ROWS).offset(offset))).mappings().all()
        if rows:
            yield "".join(json.dumps(dict(row), default=str, ensure_ascii=False) + "\n" for row in rows)
        if len(rows) < _ROWS:
            return
        offset += _ROWS


async def _write_files(
    file: _File, database: Database, storage: Storage, knowledge: Storage, owner_id: str
) -> int:
    """Documents and recordings, as far as there is room; returns how many recordings were left out."""
    async with database.transaction(writes=False) as session:
        calls = await session.exec(
            select(CallRow.id)
            .where(CallRow.owner_id == owner_id, col(CallRow.recording_bytes).is_not(None))
            .order_by(col(CallRow.created_at).desc())
        )
        sources = await session.exec(
            select(KnowledgeSourceRow.id)
            .join(KnowledgeBaseRow, col(KnowledgeBaseRow.id) == KnowledgeSourceRow.knowledge_base_id)
            .where(KnowledgeBaseRow.owner_id == owner_id, KnowledgeSourceRow.kind == "document")
        )
        wanted = [(f"documents/{source_id}", knowledge, raw_name(source_id)) for source_id in sources.all()]
        wanted += [(f"recordings/{id_}.ogg", storage, recordings.blob_name(id_)) for id_ in calls.all()]
    room, left_out = MAX_SOUND_BYTES, 0
    for name, place, blob in wanted:
        size = await place.size(blob)
        if size is None:
            continue
        if size > room:
            left_out += 1
            continue
        room -= size
        try:
            await file.bytes(name, place.read(blob))
        except FileNotFoundError:
            continue  # it was deleted meanwhile
    return left_out


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
