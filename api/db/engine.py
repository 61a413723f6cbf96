"""The database behind one URL: SQLite by default, PostgreSQL by its URL."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, TypeVar, cast

import sqlalchemy
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db import sealed
from api.db.lookups import Compiled, Lookup
from api.db.pool import Pool
from api.db.sqlite import Asking, Connection, Writers
from api.db.vault import Vault

T = TypeVar("T")
Hook = Callable[[], Awaitable[None]]

IDLE_SECONDS = 1.0
"""A connection to PostgreSQL that rested for longer is asked whether it is alive before it is used."""
_USED_AT = "call2me.used_at"
_HOOKS = "call2me.after_commit"
_BEFORE = "call2me.before_commit"
_BUSY_MS = 10_000


class Database:
    """One engine with two ways in: transactions that read, and transactions that write.

    On SQLite a writing transaction begins with `BEGIN IMMEDIATE`: it waits for its turn at the
    start, where waiting is possible, rather than failing in the middle, where it is not.
    """

    def __init__(self, url: str, vault: Vault | None = None) -> None:
        """`vault` opens the sealed columns; whoever touches none needs none."""
        self._writers = Writers()
        self.engine = writing = _engine(url, self._writers)
        if self.is_sqlite:  # of their own: whoever waits for a turn to write keeps nobody from reading
            writing = _engine(url, self._writers, connections=4)
        if vault is not None:
            sealed.give(self.engine.dialect, vault)
            sealed.give(writing.dialect, vault)
        # PostgreSQL gives each statement a view of its own in a transaction, too: reading needs none.
        level = {} if self.is_sqlite else {"isolation_level": "AUTOCOMMIT"}
        self._reads = self.engine.execution_options(call2me_writes=False, **level)
        self._writes = writing.execution_options(call2me_writes=True)
        self._durable = writing.execution_options(call2me_writes=True, call2me_durable=True)
        self._compiled: dict[Lookup[Any], Compiled[Any]] = {}
        self._asking = Asking(self.engine) if self.is_sqlite else None

    @property
    def is_sqlite(self) -> bool:
        """True for the embedded database."""
        return self.engine.dialect.name == "sqlite"

    def session(self, *, writes: bool, is_durable: bool = False) -> AsyncSession:
        """A session that takes a connection only when it is first used. Whoever asks commits and closes.

        What was committed is on the disk when `commit` returns. That of a durable one is there before
        anybody else reads it: for money, and whatever else is acted on.
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

    async def ask(self, lookup: Lookup[T], **values: Any) -> list[T]:
        """What is committed now, without a session.

        Not while the same request holds a session that was used: two connections for each of many
        requests can wait for each other.
        """
        compiled: Compiled[T] | None = self._compiled.get(lookup)
        if compiled is None:
            compiled = self._compiled[lookup] = lookup.compiled(self.engine.dialect)
        asked = compiled.values(values)
        if self._asking is not None:
            rows = await self._asking.ask(compiled.sql, asked)
        else:
            async with self._reads.connect() as connection:
                rows = list((await connection.exec_driver_sql(compiled.sql, asked)).all())
        return [compiled.read(row) for row in rows]

    async def close(self) -> None:
        """Give every connection back."""
        if self._asking is not None:
            await self._asking.close()
        await self.engine.dispose()
        await self._writes.dispose()
        self._writers.close()


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
    if session.in_transaction():  # one that was never used costs nothing
        await session.commit()
    for hook in session.info.pop(_HOOKS, ()):
        await hook()


def _engine(url: str, writers: Writers, *, connections: int = 8) -> AsyncEngine:
    # hide_parameters: a statement's values are what people said; they must not reach a log.
    if url.startswith("sqlite"):
        engine = create_async_engine(
            url,
            hide_parameters=True,
            poolclass=Pool,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=10,
            connect_args={"timeout": 10, "async_creator_fn": partial(Connection, writers)},
        )
        event.listen(engine.sync_engine, "connect", _prepare_sqlite)
        event.listen(engine.sync_engine, "begin", _begin_sqlite)
        return engine
    engine = create_async_engine(
        url,
        hide_parameters=True,
        poolclass=Pool,
        pool_size=20,
        max_overflow=0,  # what overflows is connected anew each time, which costs a hundred questions
        pool_timeout=10,
        connect_args={"timeout": 10, "command_timeout": 30},
    )
    event.listen(engine.sync_engine, "checkin", _note_use)
    event.listen(engine.sync_engine, "checkout", _ask_whether_it_lives)
    return engine


def _note_use(_connection: Any, record: Any) -> None:
    record.info[_USED_AT] = time.monotonic()


def _ask_whether_it_lives(connection: Any, record: Any, _proxy: Any) -> None:
    # Before each use, as `pool_pre_ping` does it, it would cost as much as the question itself.
    if time.monotonic() - record.info.get(_USED_AT, 0.0) < IDLE_SECONDS:
        return
    try:
        connection.ping()
    except Exception as error:
        raise DisconnectionError from error  # the pool makes another one


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    try:
        for pragma in (
            "journal_mode=WAL",
            f"busy_timeout={_BUSY_MS}",
            "foreign_keys=ON",
            "temp_store=MEMORY",
            # What is deleted is written over, so that it is not in the file for who looks with other eyes.
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
    finally:
        cursor.close()


def _truncate_log(connection: sqlalchemy.Connection) -> None:
    cursor = connection.connection.cursor()
    try:
        # Writers wait with it for readers that still need the log: not for long.
        for pragma in ("busy_timeout=500", "wal_checkpoint(TRUNCATE)", f"busy_timeout={_BUSY_MS}"):
            cursor.execute(f"PRAGMA {pragma}")
            cursor.fetchall()
    finally:
        cursor.close()


def _begin_sqlite(connection: sqlalchemy.Connection) -> None:
    options = connection.get_execution_options()
    cast("Connection", connection.connection.driver_connection).begin(
        writes=options.get("call2me_writes", True),
        level="FULL" if options.get("call2me_durable", False) else "NORMAL",
    )
