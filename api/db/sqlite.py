"""SQLite's driver, as we use it.

One hop to the connection's thread for each statement: `BEGIN` goes along with the first one, and its
rows come back with it. Writers of this process stand in one queue; their commits share a sync.

    a  ┤BEGIN … COMMIT├┄┄ sync ┄┄┤answered
    b          waits  ┤BEGIN … COMMIT├┄┄┄┄┄┄┄ sync ┄┄┤answered
    c                          waits ┤BEGIN … COMMIT├┄┤answered      (the same sync as b's)
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar, cast

import aiosqlite
from sqlalchemy import PoolProxiedConnection
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

R = TypeVar("R")

WAIT_SECONDS = 10.0
"""For a turn to write; other processes' writers are waited for as long (`busy_timeout`)."""


class Writers:
    """Those of this process who write to one file: first come, first served, and one sync for many.

    SQLite itself lets waiters try again after pauses that grow: the last of them may wait for seconds.
    """

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._syncing = asyncio.Lock()
        self._asked = self._synced = 0
        self._thread = ThreadPoolExecutor(1, "sync")

    async def begin(self) -> None:
        """Wait for the turn to write."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise sqlite3.OperationalError("database is locked") from None

    def end(self) -> None:
        """The next one's turn."""
        self._turn.release()

    async def sync(self, path: str) -> None:
        """Return once everything that was committed before this call is on the disk."""
        self._asked += 1
        mine = self._asked
        async with self._syncing:
            if self._synced >= mine:
                return  # somebody else's sync began after our commit
            upto = self._asked
            await asyncio.get_running_loop().run_in_executor(self._thread, _sync, f"{path}-wal")
            self._synced = upto

    def close(self) -> None:
        """No more syncs are asked for."""
        self._thread.shutdown(wait=False)


def _sync(log: str) -> None:
    # Opened anew each time: a log that is deleted and made again would be another file. SQLite locks
    # other files than this one, so that closing it here takes no lock from a connection.
    try:
        file = os.open(log, os.O_RDWR)
    except FileNotFoundError:
        return  # the last connection closed, and put everything into the database before it did
    try:
        getattr(os, "fdatasync", os.fsync)(file)
    finally:
        os.close(file)


class Connection(aiosqlite.Connection):
    """A connection whose transactions begin with their first statement."""

    def __init__(self, writers: Writers, path: str, **options: Any) -> None:
        # Python's driver would open transactions at moments of its own choosing.
        connect = partial(sqlite3.connect, path, isolation_level=None, **options)
        super().__init__(connect, iter_chunk_size=64)
        self._thread.daemon = True
        self._writers = writers
        self._path = path
        self._level = ""
        self._opening: tuple[str, ...] = ()
        self._is_open = self._has_turn = self._has_written = False

    def begin(self, *, writes: bool, level: str) -> None:
        """Let the next statement open a transaction; `level` is that of `PRAGMA synchronous`."""
        set_level = (f"PRAGMA synchronous={level}",) if level != self._level else ()
        self._level = level  # it can only be changed between transactions
        self._opening = (*set_level, "BEGIN IMMEDIATE" if writes else "BEGIN")

    def cursor(self) -> "Cursor":  # type: ignore[override]  # as much as SQLAlchemy asks for
        """Something to say statements with."""
        return Cursor(self)

    async def say(self, sql: str, parameters: Any, *, is_many: bool = False) -> "Answer":
        """Execute a statement and bring its rows."""
        if opening := self._opening:
            if opening[-1] == "BEGIN IMMEDIATE":
                await self._writers.begin()
                self._has_turn = True
            self._opening = ()
            self._is_open = True
        if self._is_open and not sql.startswith("SELECT"):
            self._has_written = True
        return await self._hop(partial(_said, self._conn, opening, sql, parameters, is_many))

    async def rows(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """What a statement brings, said without SQLAlchemy; its failures look as SQLAlchemy's do."""
        try:
            return (await self.say(sql, values)).rows
        except sqlite3.IntegrityError as error:
            raise IntegrityError(sql, None, error, hide_parameters=True) from error
        except sqlite3.Error as error:
            raise OperationalError(sql, None, error, hide_parameters=True) from error

    async def commit(self) -> None:
        """Keep what was done. Whatever was written is on the disk when this returns."""
        self._opening = ()
        if not self._is_open:
            return
        if not self._has_turn and not self._has_written:
            # Nobody needs to wait for the end of having read: this thread does one thing after another.
            self._tx.put_nowait((None, self._conn.commit))
            self._over()
            return
        await self._hop(self._conn.commit)
        is_synced = not self._has_written or self._level == "FULL"
        self._over()
        if not is_synced:
            await self._writers.sync(self._path)

    async def rollback(self) -> None:
        """Undo what was done."""
        self._opening = ()
        if not self._is_open:
            return
        try:
            await self._hop(self._conn.rollback)
        finally:
            self._over()

    def stop(self) -> asyncio.Future[Any] | None:
        """Close the connection and end its thread."""
        self._over()
        return super().stop()

    def _hop(self, function: Callable[[], R]) -> "asyncio.Future[R]":
        if not self._running:
            raise ValueError("Connection closed")
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self._tx.put_nowait((future, function))
        return future

    def _over(self) -> None:
        has_turn = self._has_turn
        self._is_open = self._has_turn = self._has_written = False
        if has_turn:
            self._writers.end()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement brought."""

    description: Any
    rowcount: int
    lastrowid: int | None
    rows: list[Any]


def _said(
    connection: sqlite3.Connection, opening: Sequence[str], sql: str, parameters: Any, is_many: bool
) -> Answer:
    for statement in opening:
        connection.execute(statement).close()
    cursor = connection.cursor()
    try:
        if is_many:
            cursor.executemany(sql, parameters)
        else:
            cursor.execute(sql, parameters)
        rows = cursor.fetchall() if cursor.description else []
        return Answer(cursor.description, cursor.rowcount, cursor.lastrowid, rows)
    finally:
        cursor.close()


class Cursor:
    """As much of a cursor as SQLAlchemy asks for."""

    arraysize = 1

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._answer = Answer(None, -1, None, [])

    async def __aenter__(self) -> "Cursor":
        return self

    async def execute(self, sql: str, parameters: Any = ()) -> None:
        """One statement."""
        self._answer = await self._connection.say(sql, parameters)

    async def executemany(self, sql: str, parameters: Any) -> None:
        """The same statement with many values."""
        self._answer = await self._connection.say(sql, parameters, is_many=True)

    async def fetchall(self) -> list[Any]:
        """The rows; they are here already."""
        return self._answer.rows

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def description(self) -> Any:
        """The columns; None where a statement brings no rows."""
        return self._answer.description

    @property
    def rowcount(self) -> int:
        """How many rows it changed."""
        return self._answer.rowcount

    @property
    def lastrowid(self) -> int | None:
        """The row that it inserted last."""
        return self._answer.lastrowid


class Asking:
    """One connection for lookups: each is a row or two by a key, so that none waits long for another."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._opening = asyncio.Lock()
        self._held: PoolProxiedConnection | None = None

    async def ask(self, sql: str, values: Sequence[Any]) -> list[Any]:
        """The rows, as they are committed now."""
        if self._held is None:
            async with self._opening:
                if self._held is None:
                    self._held = await self._engine.raw_connection()
        return await _driver(self._held).rows(sql, values)

    async def close(self) -> None:
        """Give the connection up."""
        if self._held is not None:
            held, self._held = self._held, None
            driver = _driver(held)
            held.detach()
            await driver.close()


def driver_of(connection: AsyncConnection) -> Connection | None:
    """The driver below a connection, with its transaction; None where the database is not SQLite."""
    raw = connection.sync_connection
    driver = None if raw is None else raw.connection.driver_connection
    return driver if isinstance(driver, Connection) else None


def _driver(connection: PoolProxiedConnection) -> Connection:
    return cast("Connection", connection.driver_connection)
