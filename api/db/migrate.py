"""Bring a database to the newest revision, and compare revisions with tables."""

import asyncio
import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData
from sqlalchemy.ext.asyncio import AsyncEngine

from api.db.engine import Database

_MIGRATIONS = Path(__file__).parent / "migrations"
FIRST = "0001"
_BUSY_TRIES = 50
_TIDY = {
    "hooks": "format, fix",
    "fix.type": "module",
    "fix.module": "ruff",
    "fix.options": "check --fix --quiet REVISION_SCRIPT_FILENAME",
    "format.type": "module",
    "format.module": "ruff",
    "format.options": "format --quiet REVISION_SCRIPT_FILENAME",
}
"""A new revision is a source file like any other: the linter and the formatter go over it."""


async def upgrade(url: str) -> None:
    """Run every migration that this database has not seen. Safe to repeat, and to run twice at once."""
    database = Database(url)
    if database.is_sqlite and (file := database.engine.url.database):
        await asyncio.to_thread(_make_file, Path(file))
    try:
        await _within(database.engine, lambda config: command.upgrade(config, "head"))
    finally:
        await database.close()


async def current(url: str) -> str:
    """The revision a database is at; empty where it was never migrated."""
    database = Database(url)
    try:
        async with database.engine.connect() as connection:
            return await connection.run_sync(
                lambda sync: MigrationContext.configure(sync).get_current_revision() or ""
            )
    finally:
        await database.close()


async def differences(url: str, metadata: MetaData) -> list[Any]:
    """What the tables say that the database does not, as Alembic words it; empty when they agree."""
    database = Database(url)
    try:
        async with database.engine.connect() as connection:
            return await connection.run_sync(lambda sync: _compared(sync, metadata))
    finally:
        await database.close()


async def write_first_revision(metadata: MetaData) -> Path:
    """Replace revision 0001 by one made from the tables as they are now."""
    path = _MIGRATIONS / "versions" / f"{FIRST}_first.py"
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite+aiosqlite:///{folder}/empty.sqlite")
        try:
            await _within(
                database.engine,
                lambda config: command.revision(config, "first", autogenerate=True, rev_id=FIRST),
                metadata,
            )
        finally:
            await database.close()
    return path


def _make_file(file: Path) -> None:
    """An empty database that is private, since what people said is in it, and has a write-ahead log.

    SQLite would let the umask decide, and its other files follow this one. One that is there stays as it is.
    """
    with contextlib.suppress(OSError):  # what is wrong with the path or the file is told by who uses it
        os.close(os.open(file, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    # Changing the journal needs the file for oneself, and SQLite does not wait for who has it.
    for _ in range(_BUSY_TRIES):
        try:
            with contextlib.closing(sqlite3.connect(file, timeout=0.1)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
                return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY:
                return
        except sqlite3.DatabaseError:
            return
        time.sleep(0.1)


async def _within(
    engine: AsyncEngine, work: Callable[[Config], Any], metadata: MetaData | None = None
) -> None:
    """Let an Alembic command run on one connection of this engine, in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    for option, value in _TIDY.items():
        config.set_section_option("post_write_hooks", option, value)

    def run(connection: Connection) -> None:
        config.attributes["connection"] = connection
        config.attributes["metadata"] = metadata
        work(config)

    async with asyncio.timeout(300), engine.begin() as connection:
        # One at a time: SQLite's begins with any statement, as a writer; PostgreSQL needs a lock of ours.
        lock = "pg_advisory_xact_lock(223226300)" if engine.dialect.name == "postgresql" else "1"
        await connection.exec_driver_sql(f"SELECT {lock}")
        await connection.run_sync(run)


def _compared(connection: Connection, metadata: MetaData) -> list[Any]:
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=OPTIONS), metadata)
    return found


OPTIONS: dict[str, Any] = {"render_as_batch": True, "compare_type": True, "compare_server_default": True}
"""How Alembic looks at tables here; SQLite can change one only by copying it (batch)."""
