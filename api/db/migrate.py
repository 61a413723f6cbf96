"""Bring a database to another revision, and compare revisions with tables."""

import asyncio
import contextlib
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, MetaData, event

from api.db.engine import Database
from api.db.losses import Loss, counted, gone, shape

T = TypeVar("T")

_MIGRATIONS = Path(__file__).parent / "migrations"
VERSIONS = _MIGRATIONS / "versions"
FIRST = "0001"
NOTHING = "base"
"""Before the first revision: no tables at all."""
_SECONDS = 3600.0
"""Copying a large table takes a while; whoever waits for who copies it waits as long."""
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


class WouldLose(Exception):
    """Going back would take rows with it."""

    def __init__(self, losses: list[Loss]) -> None:
        super().__init__("; ".join(map(str, losses)))
        self.losses = losses


class OrphanedRows(Exception):
    """A migration left rows that refer to nothing; it was taken back."""


async def upgrade(url: str, *, versions: Path = VERSIONS) -> None:
    """Run every migration that this database has not seen. Safe to repeat, and to run twice at once."""
    database = Database(url)
    if database.is_sqlite and (file := database.engine.url.database):
        await asyncio.to_thread(_make_file, Path(file))
    await _within(database, lambda config, _: command.upgrade(config, "head"), versions)


async def downgrade(
    url: str, revision: str, *, loses_data: bool = False, versions: Path = VERSIONS
) -> list[Loss]:
    """Take a database back to an older revision, all of the way or not at all; what was lost with it.

    Raises `WouldLose`, and then nothing was changed, where a table or a column that goes has something
    in it and nobody said that this may be lost. Alembic's `CommandError` for a revision that there is not.
    """

    def back(config: Config, connection: Connection) -> list[Loss]:
        before = shape(connection)
        with connection.begin_nested() as attempt:  # to see what goes: only the revisions know
            command.downgrade(config, revision)
            going = gone(before, shape(connection))
            attempt.rollback()
        losses = counted(connection, going)
        if losses and not loses_data:
            raise WouldLose(losses)
        command.downgrade(config, revision)
        return losses

    return await _within(Database(url), back, versions)


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
    path = VERSIONS / f"{FIRST}_first.py"
    path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        await _within(
            Database(f"sqlite+aiosqlite:///{folder}/empty.sqlite"),
            lambda config, _: command.revision(config, "first", autogenerate=True, rev_id=FIRST),
            VERSIONS,
            metadata,
        )
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
    database: Database,
    work: Callable[[Config, Connection], T],
    versions: Path,
    metadata: MetaData | None = None,
) -> T:
    """Let Alembic commands run on one connection, in one transaction; then close the database."""
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.set_main_option("path_separator", "newline")
    config.set_main_option("version_locations", str(versions))
    for option, value in _TIDY.items():
        config.set_section_option("post_write_hooks", option, value)

    def run(connection: Connection) -> T:
        config.attributes["connection"] = connection
        config.attributes["metadata"] = metadata
        before = MigrationContext.configure(connection).get_current_revision()
        result = work(config, connection)
        if database.is_sqlite and before != MigrationContext.configure(connection).get_current_revision():
            _require_no_orphans(connection)
        return result

    is_sqlite = database.is_sqlite
    event.listen(database.engine.sync_engine, *(_COPYING if is_sqlite else _PATIENT))
    try:
        async with asyncio.timeout(_SECONDS), database.engine.begin() as connection:
            # One at a time: SQLite's begins with any statement, as a writer; PostgreSQL needs a lock of ours.
            await connection.exec_driver_sql(
                "SELECT 1" if is_sqlite else "SELECT pg_advisory_xact_lock(223226300)"
            )
            return await connection.run_sync(run)
    finally:
        await database.close()


def _copy_freely(connection: Any, _record: Any) -> None:
    # SQLite changes a table by copying it, and dropping the old one would cascade to all that refers to it.
    cursor = connection.cursor()
    cursor.execute("PRAGMA foreign_keys=OFF")
    cursor.close()


def _wait_long(_dialect: Any, _record: Any, _arguments: Any, options: dict[str, Any]) -> None:
    options["command_timeout"] = _SECONDS


_COPYING, _PATIENT = ("connect", _copy_freely), ("do_connect", _wait_long)


def _require_no_orphans(connection: Connection) -> None:
    orphans = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchmany(1)
    if orphans:
        raise OrphanedRows(
            f"In {orphans[0][0]} are rows that refer to rows of {orphans[0][2]} that are gone."
        )


def _compared(connection: Connection, metadata: MetaData) -> list[Any]:
    found: list[Any] = compare_metadata(MigrationContext.configure(connection, opts=OPTIONS), metadata)
    return found


OPTIONS: dict[str, Any] = {"render_as_batch": True, "compare_type": True, "compare_server_default": True}
"""How Alembic looks at tables here; SQLite can change one only by copying it (batch)."""
