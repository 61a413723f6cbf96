"""SQLite as we drive it: writers in a queue, commits that share a sync, one hop for a statement."""

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlmodel import select, text

from api.agents import service as agents
from api.db import migrate, sqlite
from api.db.engine import Database
from api.users.table import UserRow


@pytest.fixture
async def database(tmp_path: Path) -> Database:
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}"
    await migrate.upgrade(url)
    return Database(url)


async def add(database: Database, name: str, *, is_durable: bool = False) -> None:
    async with database.transaction(is_durable=is_durable) as session:
        session.add(UserRow(id=name, email=name))


async def names(database: Database) -> set[str]:
    async with database.transaction(writes=False) as session:
        return set((await session.exec(select(UserRow.id))).all())


class SlowDisk:
    """A disk that takes its time, in the place of the real sync: counts, and waits until it is told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.began = 0
        self.may_end = threading.Semaphore(0)
        real = sqlite._sync

        def sync(log: str) -> None:
            self.began += 1
            assert self.may_end.acquire(timeout=10)
            real(log)

        monkeypatch.setattr(sqlite, "_sync", sync)

    async def has_begun(self, times: int) -> None:
        async with asyncio.timeout(5):
            while self.began < times:
                await asyncio.sleep(0.005)


async def test_a_commit_returns_once_it_is_on_the_disk_and_many_share_one_sync(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    first = asyncio.ensure_future(add(database, "first"))
    await disk.has_begun(1)
    others = [asyncio.ensure_future(add(database, f"{number}")) for number in range(3)]
    async with asyncio.timeout(5):
        while len(await names(database)) < 4:  # nobody waits for the disk with the turn to write in hand
            await asyncio.sleep(0.005)
    assert not first.done()
    disk.may_end.release()
    await first
    await disk.has_begun(2)
    assert not any(other.done() for other in others)  # what began before their commits is not theirs
    disk.may_end.release()
    await asyncio.gather(*others)
    assert disk.began == 2
    await database.close()


async def test_money_is_on_the_disk_before_anybody_reads_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    await add(database, "paid", is_durable=True)  # SQLite itself syncs inside of the commit
    assert disk.began == 0
    assert await names(database) == {"paid"}
    await database.close()


async def test_who_reads_or_changes_nothing_waits_for_no_disk(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = SlowDisk(monkeypatch)
    assert await names(database) == set()
    async with database.transaction() as session:
        await session.exec(select(UserRow))
    assert disk.began == 0
    await database.close()


async def test_writers_come_in_their_order_and_one_that_gives_up_lets_the_next_one(
    database: Database,
) -> None:
    order: list[str] = []

    async def write(name: str) -> None:
        await add(database, name)
        order.append(name)

    async with database.transaction() as holder:
        holder.add(UserRow(id="holder", email="holder"))
        await holder.flush()
        waiting = []
        for name in ("a", "b", "c"):
            waiting.append(asyncio.ensure_future(write(name)))
            await asyncio.sleep(0.05)
        waiting[1].cancel()
        assert await names(database) == set()  # readers do not wait
    await asyncio.gather(waiting[0], waiting[2])
    assert order == ["a", "c"]
    assert await names(database) == {"holder", "a", "c"}
    await database.close()


async def test_one_that_fails_or_is_cancelled_in_its_turn_gives_it_back(database: Database) -> None:
    async def fail() -> None:
        async with database.transaction() as session:
            await session.exec(text("UPDATE nothing SET x = 1"))  # type: ignore[call-overload]

    async def hang() -> None:
        async with database.transaction() as session:
            session.add(UserRow(id="hung", email="hung"))
            await session.flush()
            await asyncio.sleep(60)

    with pytest.raises(OperationalError):
        await fail()
    hanging = asyncio.ensure_future(hang())
    await asyncio.sleep(0.1)
    hanging.cancel()
    await asyncio.gather(hanging, return_exceptions=True)
    async with asyncio.timeout(2):
        await add(database, "next")
    assert await names(database) == {"next"}
    await database.close()


async def test_who_waits_too_long_for_a_turn_is_told_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "WAIT_SECONDS", 0.05)
    async with database.transaction() as holder:
        holder.add(UserRow(id="holder", email="holder"))
        await holder.flush()
        with pytest.raises(OperationalError, match="locked"):
            await add(database, "late")
    assert await names(database) == {"holder"}
    await database.close()


async def test_a_reader_sees_one_state_however_many_it_asks(database: Database) -> None:
    async with database.transaction(writes=False) as session:
        assert (await session.exec(select(UserRow.id))).all() == []
        await add(database, "later")
        assert (await session.exec(select(UserRow.id))).all() == []
    assert await names(database) == {"later"}
    await database.close()


async def test_a_lookup_reads_what_is_committed_and_goes_on_after_a_failure(database: Database) -> None:
    with pytest.raises(agents.AgentNotFound):
        await agents.seen(database, "me", "agent_000000000000")
    assert database._asking is not None
    with pytest.raises(OperationalError) as broken:
        await database._asking.ask("SELECT x FROM nothing WHERE secret = ?", ("secret value",))
    assert "secret value" not in str(broken.value)
    with pytest.raises(agents.AgentNotFound):
        await agents.seen(database, "me", "agent_000000000000")
    await database.close()


async def test_a_read_is_one_hop_and_a_write_no_more_than_it_says(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    hops = 0
    real = sqlite.Connection._hop

    def counted(self: sqlite.Connection, function: object) -> object:
        nonlocal hops
        hops += 1
        return real(self, function)  # type: ignore[arg-type]

    await names(database)
    await add(database, "before")  # connections are open now
    monkeypatch.setattr(sqlite.Connection, "_hop", counted)
    await names(database)
    assert hops == 1
    hops = 0
    await add(database, "after")
    assert hops == 2  # the statement with its BEGIN, and the commit
    await database.close()
