"""Settling, killed after each of its awaits: `python -m tests.support.dying_settlement`.

    life 1  a call of its own ─ settle: await ✝
    life 2  a call of its own ─ settle: await, await ✝            and life 1's call goes on beside it
    …
    life n  a call of its own ─ settle: all of its awaits, no death left

Each life is a process, forked from one that has imported everything; each has the database and the engine of
the one before it, whose work it finds and goes on with. SIGKILL: no handler runs, nothing is flushed.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable, Coroutine, Generator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlmodel import select

from api.calls import workflows
from api.calls.table import CallAnalysisRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.durable import engine
from api.outside.mail import FileMail
from api.outside.storage import FolderStorage
from api.settings import Settings
from api.wallet import charges, rates
from pipelines.outbound import Guard
from tests.support.api import ROOT
from tests.support.rehearsed_calls import RehearsedRooms

STEPS = ("close_room", "write_usage", "charge", "mark_settled", "analyse")
SECONDS = 60
OWNER, TENANT = "user_1", "user_2"
MOST_LIVES = 400
_LIFE_SECONDS = 60.0

Step = Callable[[str], Coroutine[Any, Any, None]]


class _Counted:
    """A coroutine, with a word after each of its awaits that had to wait for something."""

    def __init__(self, coroutine: Coroutine[Any, Any, None], waited: Callable[[], None]) -> None:
        self._coroutine, self._waited = coroutine, waited

    def __await__(self) -> Generator[Any, Any, None]:
        go_on: Callable[[], Any] = lambda: self._coroutine.send(None)  # noqa: E731
        while True:
            try:
                waits_for = go_on()
            except StopIteration:
                return
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001 - whatever it was, it belongs to the coroutine
                go_on = lambda error=error: self._coroutine.throw(error)  # type: ignore[misc]  # noqa: E731
            else:
                go_on = lambda: self._coroutine.send(None)  # noqa: E731
            self._waited()


def die_after(number: int, mine: str) -> None:
    """Be gone after so many awaits in the settlement of one call, and say in which step that was."""
    seen = 0

    def counted(name: str, step: Step) -> Step:
        def waited() -> None:
            nonlocal seen
            seen += 1
            if seen == number:
                os.write(1, f"{name}\n".encode())
                os.kill(os.getpid(), signal.SIGKILL)

        async def awaited(call_id: str) -> None:
            await (_Counted(step(call_id), waited) if call_id == mine else step(call_id))

        return awaited

    for name in STEPS:
        setattr(workflows, name, counted(name, getattr(workflows, name)))


async def begin(database: Database, call_id: str) -> None:
    """A minute of a tenant's member, over and not settled."""
    tariff = charges.Tariff.of(
        rates.load(), is_phone=False, is_outbound=False, is_recorded=False, is_realtime=False
    ).model_copy(update={"tenant_owner_id": TENANT, "tenant_margin_percent": Decimal(50)})
    began = now() - timedelta(seconds=SECONDS)
    call = CallRow(
        id=call_id,
        owner_id=OWNER,
        room_name=f"room_{call_id}",
        attempt=1,
        worker_id="worker-1",
        briefed_at=began,
        status="completed",
        started_at=began,
        ended_at=began + timedelta(seconds=SECONDS),
    )
    async with database.transaction() as session:
        session.add(call)
        await charges.hold(
            session,
            call_id=call_id,
            owner_id=OWNER,
            tariff=tariff,
            longest_seconds=300,
            rates=rates.load(),
            is_billed=True,
        )


async def live(number: int) -> None:
    """One life. It ends by itself when everything that was begun is settled."""
    settings = Settings.load()
    database = Database(settings.database_url)
    folder = settings.home
    reach = engine.Reach(
        database,
        RehearsedRooms(),
        *(FolderStorage(folder / name) for name in ("r", "k")),
        Guard(),
        FileMail(folder, "a@b.c"),
    )
    call_id = f"call_{number:016x}"
    die_after(number, call_id)
    engine.launch(settings, reach)
    await begin(database, call_id)
    await workflows.start_settlement(call_id)
    await _until(lambda: _is_over(database, call_id))
    # No await was left to die after: the calls of all who died go on here.
    await workflows.sweep_unsettled()
    await _until(lambda: _is_over(database))
    await engine.close()
    await database.close()


async def _is_over(database: Database, call_id: str = "") -> bool:
    async with database.transaction(writes=False) as session:
        asked = select(CallRow.id, CallRow.settled_at, CallAnalysisRow.is_pending).outerjoin(
            CallAnalysisRow,
            CallAnalysisRow.call_id == CallRow.id,  # type: ignore[arg-type]
        )
        if call_id:
            asked = asked.where(CallRow.id == call_id)
        found = await session.exec(asked)
        return all(settled is not None and pending is False for _, settled, pending in found.all())


async def _until(is_so: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(_LIFE_SECONDS):
        while not await is_so():
            await asyncio.sleep(0.05)


def main() -> None:
    """Lives until one has nothing left to die after; prints in which step each of them died."""
    sys.stdout.flush()
    for number in range(1, MOST_LIVES):
        child = os.fork()
        if child == 0:
            asyncio.run(live(number))
            os._exit(0)
        ended = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if ended != -signal.SIGKILL:  # 0, or 1 after a traceback
            sys.exit(ended)
    sys.exit(2)


def deaths(home: Path, database_url: str) -> list[str]:
    """In which step each life died, in order."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.dying_settlement"],
        env={
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(ROOT),
            "CALL2ME_HOME": str(home),
            "CALL2ME_DATABASE_URL": database_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout.split()


if __name__ == "__main__":
    main()
