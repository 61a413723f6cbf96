"""The database behind one URL: SQLite by default, PostgreSQL by its URL."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db import sealed
from api.db.vault import Vault

Hook = Callable[[], Awaitable[None]]

_HOOKS = "call2me.after_commit"
_BEFORE = "call2me.before_commit"
_LEVEL = "call2me.synchronous"
_BUSY_MS = 10_000


class Database:
    """One engine with two ways in: transactions that read, and transactions that write.

    On SQLite a writing transaction begins with `BEGIN IMMEDIATE`: it waits for its turn at the
    start, where waiting is possible, rather than failing in the middle, where it is not.
    """

    def __init__(self, url: str, vault: Vault | None = None) -> None:
        """`vault` opens the sealed columns; whoever touches none needs none."""
        self.engine = _engine(url)
        if vault is not None:
            sealed.give(self.engine.dialect, vault)
        self._reads = self.engine.execution_options(call2me_writes=False)
        self._writes = self.engine.execution_options(call2me_writes=True)
        self._durable = self.engine.execution_options(call2me_writes=True, call2me_durable=True)

    @property
    def is_sqlite(self) -> bool:
        """True for the embedded database."""
        return self.engine.dialect.name == "sqlite"

    def session(self, *, writes: bool, is_durable: bool = False) -> AsyncSession:
        """A session that takes a connection only when it is first used. Whoever asks commits and closes.

        What a durable one commits is on the disk when it returns, also if the power fails then.
        """
        engine = self._durable if is_durable else self._writes
        return AsyncSession(engine if writes else self._reads, expire_on_commit=False, autoflush=True)

    def make_durable(self, session: AsyncSession) -> None:
        """Let what a writing session commits be on the disk. Only before it is first used."""
        session.bind = self._durable
        session.sync_session.bind = self._durable.sync_engine

    @asynccontextmanager
    async def transaction(
        self, *, writes: bool = True, is_durable: bool = False
    ) -> AsyncIterator[AsyncSession]:
        """One transaction outside of a request: committed at the end, rolled back by an exception."""
        async with self.session(writes=writes, is_durable=is_durable) as session:
            yield session
            await commit(session)

    async def scrub(self) -> None:
        """Let what was deleted be nowhere: SQLite's log holds pages as they were until it is begun anew.

        Does nothing while somebody still reads what was; the next one does it then.
        """
        if self.is_sqlite:
            async with self.engine.connect() as connection:
                await connection.run_sync(_truncate_log)

    async def close(self) -> None:
        """Give every connection back."""
        await self.engine.dispose()


def after_commit(session: AsyncSession, hook: Hook) -> None:
    """Run `hook` once the session's transaction is committed and its connection given back.

    Hooks of a transaction that is rolled back never run; one that raises stops those after it.
    """
    session.info.setdefault(_HOOKS, []).append(hook)


def before_commit(session: AsyncSession, hook: Hook) -> None:
    """Run `hook` inside the session's transaction, just before it is committed; never in one that fails."""
    session.info.setdefault(_BEFORE, []).append(hook)


async def commit(session: AsyncSession) -> None:
    """Commit, then run what waited for it. Also used to let go before the network is asked."""
    for hook in session.info.pop(_BEFORE, ()):
        await hook()
    await session.commit()
    for hook in session.info.pop(_HOOKS, ()):
        await hook()


def _engine(url: str) -> AsyncEngine:
    # hide_parameters: a statement's values are what people said; they must not reach a log.
    if url.startswith("sqlite"):
        engine = create_async_engine(
            url,
            hide_parameters=True,
            pool_size=8,
            max_overflow=0,
            pool_timeout=10,
            connect_args={"timeout": 10},
        )
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    return create_async_engine(
        url,
        hide_parameters=True,
        pool_size=10,
        max_overflow=10,
        pool_timeout=10,
        pool_pre_ping=True,
        connect_args={"timeout": 10, "command_timeout": 30},
    )


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    # Python's driver would open transactions at moments of its own choosing; `_begin_sqlite` does.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for pragma in (
            "journal_mode=WAL",
            f"busy_timeout={_BUSY_MS}",
            "foreign_keys=ON",
            # Loses the last moments in a power cut, never the file; money is written with FULL.
            "synchronous=NORMAL",
            "temp_store=MEMORY",
            # What is deleted is written over, so that it is not in the file for who looks with other eyes.
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _truncate_log(connection: Connection) -> None:
    cursor = connection.connection.cursor()
    try:
        # Writers wait with it for readers that still need the log: not for long.
        for pragma in ("busy_timeout=500", "wal_checkpoint(TRUNCATE)", f"busy_timeout={_BUSY_MS}"):
            cursor.execute(f"PRAGMA {pragma}")
            cursor.fetchall()
    finally:
        cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    options = connection.get_execution_options()
    writes = options.get("call2me_writes", True)
    level = "FULL" if options.get("call2me_durable", False) else "NORMAL"
    if connection.info.get(_LEVEL, "NORMAL") != level:  # it can only be changed between transactions
        connection.exec_driver_sql(f"PRAGMA synchronous={level}")
        connection.info[_LEVEL] = level
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
