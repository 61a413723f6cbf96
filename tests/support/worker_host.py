"""The part of a worker's supervisor that watches calls and delivers what they wrote, in this process."""

import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from pipelines.contract.websocket import HangUp
from tests.support.fake_api import KEY, FakeApi
from worker.liveness import Liveness
from worker.presence import CallHere
from worker.reporter import Reporter
from worker.spool import SpoolKey

ROOT = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def short_home() -> Iterator[Path]:
    """A data folder with a path short enough for sockets."""
    home = Path(tempfile.mkdtemp(prefix="c2m-"))
    for name in ("spool", "run", "logs"):
        (home / name).mkdir()
    try:
        yield home
    finally:
        shutil.rmtree(home, ignore_errors=True)


async def until(claim: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until a claim holds."""
    async with asyncio.timeout(seconds):
        while not claim():
            await asyncio.sleep(0.01)


@dataclass
class WorkerHost:
    """Watches and delivers as the supervisor does."""

    home: Path
    liveness: Liveness
    reporter: Reporter
    lost: list[CallHere] = field(default_factory=list)

    @property
    def spool(self) -> Path:
        return self.home / "spool"

    @property
    def is_empty(self) -> bool:
        """True when every file of every call has been delivered and removed."""
        return not self.reporter.call_ids and not any(self.spool.iterdir())


@contextlib.asynccontextmanager
async def hosting(home: Path, api: FakeApi) -> AsyncIterator[WorkerHost]:
    """Watch the calls of a data folder and deliver to `api`, which may be down."""
    lost: list[CallHere] = []

    def is_connected(key: SpoolKey) -> bool:
        here = liveness.calls.get(key.call_id)
        return here is not None and here.attempt in (0, key.attempt)

    def gone(here: CallHere) -> None:
        lost.append(here)
        reporter.look_now()

    def refused(key: SpoolKey) -> None:
        liveness.hang_up(HangUp(call_id=key.call_id, reason="replaced", hands_over=True), key.attempt)

    async with aiohttp.ClientSession(headers={"X-Internal-Key": KEY}) as http:
        reporter = Reporter(
            home / "spool", "worker-1", api.url, http, is_connected=is_connected, on_refused=refused
        )
        liveness = Liveness(home / "run" / "calls.sock", on_change=reporter.look_now, on_lost=gone)
        async with liveness.listening():
            running = asyncio.create_task(reporter.run())
            try:
                yield WorkerHost(home, liveness, reporter, lost)
                assert not running.done(), running.exception()
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


@contextlib.asynccontextmanager
async def calling(
    home: Path, call_id: str, *, attempt: int = 1, events: int = 0
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process that acts as a call and has connected; killed at the end, if it still runs."""
    arguments = (str(home), call_id, str(attempt), str(events))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.support.spooling_call",
        *arguments,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 20) == b"here\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
