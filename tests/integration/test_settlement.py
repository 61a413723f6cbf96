"""A call is settled exactly once, wherever the api is killed."""

import asyncio
import subprocess
import sys
import time
from collections import Counter
from decimal import Decimal
from pathlib import Path

import aiohttp
import pytest
from sqlmodel import col, select

from api.calls.table import CallAnalysisRow, CallRow, CallUsageRow
from api.db import migrate
from api.db.columns import now
from api.db.engine import Database
from api.wallet import charges, credit, ledger, rates
from api.wallet.table import EntryRow, HoldRow, TransactionRow
from tests.support import dying_settlement
from tests.support.api import ROOT, running_api
from tests.support.dying_api import POINTS
from tests.support.ports import free_port
from tests.support.postgres import new_database
from tests.support.rehearsed_worker import Script


async def begin_call(database_url: str) -> str:
    """A call that a worker has taken."""
    await migrate.upgrade(database_url)
    database = Database(database_url)
    call = CallRow(owner_id="user_1", room_name="room_1", attempt=1, worker_id="worker-1", briefed_at=now())
    tariff = charges.Tariff.of(
        rates.load(), is_phone=False, is_outbound=False, is_recorded=False, is_realtime=False
    )
    async with database.transaction() as session:
        session.add(call)
        welcome = TransactionRow(
            key="bonus:user_1",
            owner_id="user_1",
            type="topup",
            amount_micros=1_000_000,
            description="Welcome",
        )
        await ledger.post(session, welcome, {"bonus": -1_000_000, "wallet:user_1": 1_000_000})
        await charges.hold(
            session,
            call_id=call.id,
            owner_id="user_1",
            tariff=tariff,
            longest_seconds=300,
            rates=rates.load(),
            is_billed=True,
        )
    await database.close()
    return call.id


async def money(database_url: str) -> tuple[list[TransactionRow], dict[str, int], int, int]:
    """The charges, their entries, what the owner has, and how many calls hold something back."""
    database = Database(database_url)
    try:
        async with database.transaction(writes=False) as session:
            assert await ledger.faults(session) == []
            charged = list(
                (await session.exec(select(TransactionRow).where(TransactionRow.type == "usage"))).all()
            )
            entries = await session.exec(
                select(EntryRow).where(col(EntryRow.transaction_id).in_([row.id for row in charged]))
            )
            found = {row.account: row.amount_micros for row in entries.all()}
            holds = (await session.exec(select(HoldRow))).all()
            return charged, found, await ledger.balance(session, "user_1"), len(holds)
    finally:
        await database.close()


async def outcome(
    database_url: str, call_id: str
) -> tuple[CallRow, list[CallUsageRow], CallAnalysisRow | None]:
    """The call, every usage row there is, and what the call was about once that is known."""
    database = Database(database_url)
    try:
        async with database.transaction(writes=False) as session:
            call = await session.get_one(CallRow, call_id)
            known = await session.get(CallAnalysisRow, call_id)
            usage = list((await session.exec(select(CallUsageRow))).all())
            return call, usage, None if known is None or known.is_pending else known
    finally:
        await database.close()


async def deliver(
    url: str, key: str, events: list[dict[str, object]], *, until_dead: subprocess.Popen[bytes]
) -> None:
    """Deliver again and again, as a worker's courier does, until the api is dead."""
    async with aiohttp.ClientSession(
        headers={"X-Internal-Key": key}, timeout=aiohttp.ClientTimeout(total=5)
    ) as session:
        deadline = time.monotonic() + 180
        while until_dead.poll() is None:
            assert time.monotonic() < deadline, "the api did not die"
            try:
                body = {"worker_id": "worker-1", "events": events}
                async with session.post(f"{url}/internal/events", json=body) as reply:
                    assert reply.status == 200, await reply.text()
            except (aiohttp.ClientError, TimeoutError):
                pass
            await asyncio.sleep(0.1)


def settle_through_a_death(point: str, home: Path, database_url: str) -> None:
    call_id = asyncio.run(begin_call(database_url))
    script = Script(call_id)
    events = [
        script.started(),
        script.said("agent", "Hello.", 1, 2),
        script.said("user", "Goodbye.", 3, 4.5),
        script.ended(5),
    ]
    port, key = free_port(), "k" * 32
    settings = {
        "CALL2ME_INTERNAL_KEY": key,
        "CALL2ME_LIVEKIT_PORT": str(free_port()),
        "CALL2ME_LOG_LEVEL": "WARNING",
    }
    home.mkdir(exist_ok=True)
    with (home / "dying.log").open("wb") as log:
        dying = subprocess.Popen(
            [sys.executable, "-m", "tests.support.dying_api", point],
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "CALL2ME_HOME": str(home),
                "CALL2ME_PORT": str(port),
                "CALL2ME_DATABASE_URL": database_url,
                **settings,
            },
            stdout=log,
            stderr=log,
        )
    try:
        asyncio.run(deliver(f"http://127.0.0.1:{port}", key, events, until_dead=dying))
    finally:
        dying.kill()
        dying.wait()
    assert dying.returncode == -9, (home / "dying.log").read_text()
    with running_api(home, database_url, **settings) as api:
        body = {"worker_id": "worker-1", "events": events}
        assert api.ask("POST", "/internal/events", body, headers={"X-Internal-Key": key}).status == 200
        deadline = time.monotonic() + 120
        while (found := asyncio.run(outcome(database_url, call_id)))[2] is None:
            assert time.monotonic() < deadline, "the call was not settled and analysed"
            time.sleep(0.1)
        time.sleep(0.3)
        found = asyncio.run(outcome(database_url, call_id))
    call, (usage,), known = found
    assert known is not None
    assert known.analysis is not None
    assert known.analysis["call_summary"] == "The caller spoke once in 0:05. Ended: user_hangup."
    assert (call.status, call.transcript) == ("completed", "Agent: Hello.\nUser: Goodbye.")
    assert usage.call_id == call_id
    assert (usage.duration_ms, usage.agent_talk_ms, usage.user_talk_ms) == (5000, 1000, 1500)
    assert (usage.tts_characters, usage.stt_seconds) == (42, 3.5)
    (charged,), entries, balance, holds = asyncio.run(money(database_url))
    assert charged.key == f"call:{call_id}"
    assert charged.description == "Call of 5 s at base $0.10/min"
    assert entries == {"wallet:user_1": -8333, "revenue": 8333}
    assert (balance, holds) == (1_000_000 - 8333, 0)


@pytest.mark.slow
@pytest.mark.parametrize("point", POINTS)
def test_a_call_is_settled_once_wherever_the_api_is_killed(point: str, tmp_path: Path) -> None:
    settle_through_a_death(point, tmp_path / "home", f"sqlite+aiosqlite:///{tmp_path / 'test.sqlite'}")


@pytest.mark.slow
@pytest.mark.parametrize(
    "point",
    [
        "events committed, settlement not started",
        "charge committed, step not noted",
    ],
)
def test_it_is_settled_once_on_postgresql_too(
    point: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = new_database(request, "postgresql").replace("postgresql://", "postgresql+asyncpg://")
    settle_through_a_death(point, tmp_path / "home", url)


async def grant(database_url: str) -> None:
    await migrate.upgrade(database_url)
    database = Database(database_url)
    async with database.transaction() as session:
        await credit.grant(session, dying_settlement.OWNER, Decimal(100), note="", granted_by="test")
    await database.close()


async def settled_calls(database_url: str) -> tuple[dict[str, list[object]], int, int, int, list[str]]:
    """What each call has; both balances; how many holds there are; what is wrong with the book."""
    database = Database(database_url)
    try:
        async with database.transaction(writes=False) as session:
            found: dict[str, list[object]] = {}
            for call in (await session.exec(select(CallRow))).all():
                found[call.id] = [call.settled_at is not None]
            for usage in (await session.exec(select(CallUsageRow))).all():
                found[usage.call_id].append(("usage", usage.duration_ms))
            rows = await session.exec(
                select(TransactionRow)
                .where(col(TransactionRow.type).in_(("usage", "earning")))
                .order_by(TransactionRow.key)
            )
            for row in rows.all():
                found[row.key.partition(":")[2]].append((row.type, row.amount_micros))
            for known in (await session.exec(select(CallAnalysisRow))).all():
                found[known.call_id].append(("analysed", not known.is_pending))
            return (
                found,
                await ledger.balance(session, dying_settlement.OWNER),
                await ledger.balance(session, dying_settlement.TENANT),
                len((await session.exec(select(HoldRow))).all()),
                await ledger.faults(session),
            )
    finally:
        await database.close()


@pytest.mark.slow
@pytest.mark.timeout(1800)  # some seventy processes, one after the other
def test_a_call_is_settled_once_after_whichever_await_of_it_the_process_is_killed(
    database_url: str, tmp_path: Path
) -> None:
    asyncio.run(grant(database_url))
    home = tmp_path / "home"
    home.mkdir()
    deaths = dying_settlement.deaths(home, database_url)
    died_in = Counter(deaths)
    assert set(died_in) == set(dying_settlement.STEPS)  # how often a step has to wait is not always the same
    assert min(died_in.values()) >= 3
    assert died_in["charge"] >= 20
    calls, had, earned, holds, faults = asyncio.run(settled_calls(database_url))
    assert len(calls) == len(deaths) + 1  # one for each death, and one that lived
    once = [True, ("usage", 60_000), ("usage", -150_000), ("earning", 50_000), ("analysed", True)]
    assert all(sorted(found, key=str) == sorted(once, key=str) for found in calls.values()), calls
    assert (had, earned) == (100_000_000 - 150_000 * len(calls), 50_000 * len(calls))
    assert (holds, faults) == (0, [])


def test_what_comes_after_the_settlement_still_counts(database_url: str, tmp_path: Path) -> None:
    call_id = asyncio.run(begin_call(database_url))
    script = Script(call_id)
    started, said, ended = script.started(), script.said("user", "Late.", 1, 2.5), script.ended(5)
    with running_api(tmp_path / "home", database_url) as api:
        headers = {"X-Internal-Key": api.secrets["internal_key"]}
        for events in ([started, ended], [said]):
            body = {"worker_id": "worker-1", "events": events}
            assert api.ask("POST", "/internal/events", body, headers=headers).status == 200
            deadline = time.monotonic() + 20
            while (found := asyncio.run(outcome(database_url, call_id)))[0].settled_at is None:
                assert time.monotonic() < deadline, "the call was not settled"
                time.sleep(0.1)
    call, (usage,), _ = found
    assert call.transcript == "User: Late."
    assert (usage.user_talk_ms, usage.duration_ms) == (1500, 5000)
