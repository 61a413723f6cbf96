"""How many calls an owner has: what is old is counted once, and the sum is right after each change."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import delete

from api.calls import counting, service
from api.calls.schemas import CallQuery
from api.calls.table import CallCountRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.db.migrate import upgrade
from api.db.vault import Vault
from api.durable import engine
from api.http.callers import Caller
from api.secret_keys import fresh_encryption_key
from api.users import service as users

DAY = timedelta(days=1)


@dataclass(frozen=True)
class _Reach:
    database: Database


@dataclass
class Book:
    database: Database
    caller: Caller
    _ids: "count[int]"

    async def add(
        self, calls: int, age: timedelta, *, is_used: bool = True, status: str = "completed"
    ) -> list[str]:
        """Calls that are over, this old and a little more each."""
        ids = [f"call_{next(self._ids):016x}" for _ in range(calls)]
        async with self.database.transaction() as session:
            for number, call_id in enumerate(ids):
                at = now() - age - timedelta(seconds=number)
                session.add(
                    CallRow(
                        id=call_id,
                        owner_id=self.caller.owner_id,
                        status=status,
                        created_at=at,
                        briefed_at=at if is_used else None,
                        settled_at=at,
                    )
                )
        return ids

    async def total(self, **asked: Any) -> int:
        async with self.database.transaction(writes=False) as session:
            _, total = await service.list_calls(session, self.caller, CallQuery(limit=1, **asked))
        return total

    async def delete(self, call_id: str) -> None:
        async with self.database.transaction() as session:
            await service.delete(session, self.caller, call_id)

    async def kept(self) -> CallCountRow | None:
        async with self.database.transaction(writes=False) as session:
            return await session.get(CallCountRow, self.caller.owner_id)


@pytest.fixture
async def book(database_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Book]:
    await upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    monkeypatch.setattr(engine, "reach", lambda: _Reach(database))
    async with database.transaction() as session:
        owner = await users.create(session, email="a@example.com", password_hash="x")
        caller = Caller(owner.id, owner.id, "user")
    yield Book(database, caller, count(1))
    await database.close()


async def test_the_total_is_right_whatever_was_counted_before(
    book: Book, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "AT_ONCE", 7)
    old = await book.add(40, 3 * DAY)
    await book.add(3, 3 * DAY, is_used=False)
    young = await book.add(5, timedelta(minutes=1))
    assert await book.total() == 45
    for _ in range(2):
        await counting.sweep()
        assert await book.total() == 45
    kept = await book.kept()
    assert kept is not None
    assert sum(kept.calls.values()) == 40
    await book.delete(old[0])
    await book.delete(young[0])
    assert await book.total() == 43
    await book.add(2, timedelta(0))
    assert await book.total() == 45
    # A day later what was young is counted, too, and once.
    async with book.database.transaction() as session:
        for call_id in young[1:]:
            call = await session.get_one(CallRow, call_id)
            call.created_at = now() - 2 * DAY
            session.add(call)
        row = await session.get_one(CallCountRow, book.caller.owner_id)
        row.until = now() - 2 * DAY - timedelta(hours=8)
        session.add(row)
    for _ in range(3):
        await counting.sweep()
    assert await book.total() == 45
    kept = await book.kept()
    assert kept is not None
    assert sum(kept.calls.values()) == 43


async def test_a_list_that_is_asked_something_is_counted_as_well(book: Book) -> None:
    await book.add(6, 5 * DAY)
    await book.add(4, 4 * DAY, status="failed")
    (running,) = await book.add(1, 3 * DAY, status="in_progress")
    await book.add(3, 2 * DAY, status="failed")
    for _ in range(2):
        await counting.sweep()
    kept = await book.kept()
    assert kept is not None
    assert sum(kept.calls.values()) == 10, (
        "what goes on may still end in many ways, and nothing after it is kept"
    )
    assert [await book.total(status=one) for one in ("completed", "failed", "ongoing")] == [6, 7, 1]
    assert (await book.total(direction="web"), await book.total(direction="inbound")) == (14, 0)
    assert await book.total(agent_id="agent_1") == 0
    async with book.database.transaction() as session:
        call = await session.get_one(CallRow, running)
        call.status = "failed"
        session.add(call)
    async with book.database.transaction() as session:
        row = await session.get_one(CallCountRow, book.caller.owner_id)
        row.until = row.until - DAY / 2
        session.add(row)
    await counting.sweep()
    assert [await book.total(status=one) for one in ("completed", "failed", "ongoing")] == [6, 8, 0]


async def test_an_old_call_is_not_counted_again_for_each_list(book: Book) -> None:
    await book.add(30, 3 * DAY)
    for _ in range(2):
        await counting.sweep()
    async with book.database.transaction() as session:
        # Behind its back, to see that nobody looks.
        await session.exec(delete(CallRow))
    assert await book.total() == 30
