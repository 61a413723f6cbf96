"""The database on both engines: migrations, transactions, what is committed and when."""

import asyncio
import contextlib
import os
import sqlite3
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from api import tables
from api.agents.table import AgentRow
from api.db import migrate
from api.db.engine import Database, after_commit, commit
from api.users.table import UserRow


@pytest.fixture
async def database(database_url: str) -> Database:
    """A migrated database of each kind."""
    await migrate.upgrade(database_url)
    return Database(database_url)


async def test_the_revisions_make_exactly_the_tables(database_url: str) -> None:
    assert await migrate.current(database_url) == ""
    await migrate.upgrade(database_url)
    found = await migrate.differences(database_url, tables.load())
    assert found == [], "run `python -m api.tables`"
    assert await migrate.current(database_url) == migrate.FIRST


async def test_two_may_migrate_at_once_and_again(database_url: str) -> None:
    await asyncio.gather(*(migrate.upgrade(database_url) for _ in range(3)))
    await migrate.upgrade(database_url)
    assert await migrate.current(database_url) == migrate.FIRST


async def test_a_file_that_somebody_else_holds_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "new.sqlite"
    with contextlib.closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asyncio.get_running_loop().call_later(0.5, other.rollback)
        await migrate.upgrade(f"sqlite+aiosqlite:///{file}")
    assert await migrate.current(f"sqlite+aiosqlite:///{file}") == migrate.FIRST


def _user(email: str) -> UserRow:
    return UserRow(email=email, password_hash="x")


async def _emails(database: Database) -> set[str]:
    async with database.transaction(writes=False) as session:
        return set((await session.exec(select(UserRow.email))).all())


async def test_a_transaction_that_raises_leaves_nothing(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as session:
            session.add(_user("a@example.com"))
            await session.flush()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert await _emails(database) == set()
    await database.close()


async def test_what_waits_for_the_commit_runs_after_it_and_not_without_it(database: Database) -> None:
    seen: list[set[str]] = []

    async def look() -> None:
        seen.append(await _emails(database))

    async with database.transaction() as session:
        session.add(_user("a@example.com"))
        after_commit(session, look)
    assert seen == [{"a@example.com"}]

    async def fail() -> None:
        async with database.transaction() as session:
            after_commit(session, look)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail()
    assert len(seen) == 1
    await database.close()


async def test_a_commit_in_between_lets_others_write_while_the_network_is_asked(database: Database) -> None:
    async with database.session(writes=True) as session:
        session.add(_user("a@example.com"))
        await commit(session)
        async with asyncio.timeout(2):
            async with database.transaction() as other:
                other.add(_user("b@example.com"))
        session.add(_user("c@example.com"))
        await commit(session)
    assert await _emails(database) == {"a@example.com", "b@example.com", "c@example.com"}
    await database.close()


async def test_many_who_read_and_then_write_all_succeed(database: Database) -> None:
    """On SQLite a transaction that turned from reading to writing would fail here at once."""

    async def one(number: int) -> None:
        async with database.transaction() as session:
            (await session.exec(select(UserRow))).all()
            session.add(_user(f"{number}@example.com"))

    await asyncio.gather(*(one(number) for number in range(20)))
    assert len(await _emails(database)) == 20
    await database.close()


async def test_readers_do_not_wait_for_a_writer(database: Database) -> None:
    async with database.session(writes=True) as writer:
        writer.add(_user("a@example.com"))
        await writer.flush()
        async with asyncio.timeout(2):
            assert await _emails(database) == set()
    await database.close()


async def test_foreign_keys_hold(database: Database) -> None:
    with pytest.raises(IntegrityError) as broken:
        async with database.transaction() as session:
            session.add(AgentRow(owner_id="user_nobody", name="secret name", config={}))
    assert "secret name" not in str(broken.value)
    await database.close()


async def test_a_moment_comes_back_as_it_went_whatever_its_zone(database: Database) -> None:
    at = datetime(2026, 3, 29, 2, 30, 0, 123456, timezone(timedelta(hours=5, minutes=45)))
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="a@example.com", password_hash="x", created_at=at))
    async with database.transaction(writes=False) as session:
        row = (await session.exec(select(UserRow))).one()
        assert row.created_at == at
        assert row.created_at.tzinfo is UTC
        earlier = select(UserRow).where(UserRow.created_at < at + timedelta(microseconds=1))
        assert (await session.exec(earlier)).one().id == "user_1"
    with pytest.raises(Exception, match="time zone"):
        async with database.transaction() as session:
            session.add(UserRow(email="b@example.com", password_hash="x", created_at=datetime(2026, 1, 1)))  # noqa: DTZ001
    await database.close()


async def test_json_comes_back_as_it_went(database: Database) -> None:
    config = {"text": "ğü🦷", "none": None, "number": 1.5, "list": [{"a": []}]}
    async with database.transaction() as session:
        session.add(UserRow(id="user_1", email="a@example.com", password_hash="x"))
        await session.flush()
        session.add(AgentRow(owner_id="user_1", name="n", config=config))
    async with database.transaction(writes=False) as session:
        assert (await session.exec(select(AgentRow))).one().config == config
    await database.close()


async def test_what_was_deleted_is_in_no_file(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}"
    await migrate.upgrade(url)
    database = Database(url)

    def is_kept(what: bytes) -> bool:
        return any(what in path.read_bytes() for path in tmp_path.iterdir())

    async with database.transaction() as session:
        session.add_all(
            UserRow(id=f"user_{number}", email=f"whisper{number}@example.com", password_hash="x" * 300)
            for number in range(200)
        )
    await database.scrub()
    assert is_kept(b"whisper117@example.com")
    async with database.transaction() as session:
        await session.exec(delete(UserRow).where(col(UserRow.id) != "user_0"))
    await database.scrub()
    assert not is_kept(b"whisper117@example.com")
    assert is_kept(b"whisper0@example.com")
    await database.close()


def test_only_its_owner_may_read_a_new_database(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        asyncio.run(migrate.upgrade(f"sqlite+aiosqlite:///{tmp_path / 'new.sqlite'}"))
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
