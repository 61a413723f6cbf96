"""Workers that are restarted one after the other, with a caller on the line all the while."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bench.parts.caller import Caller
from tests.support.speech import spoken
from tests.support.stack import COMMAND, ROOT, Stack, environment, ports_of, running
from tests.support.talk import HOURS
from tests.support.worker_host import short_home

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(600),
    # LiveKit's SDK drops handles of a participant twice that was put out of the room.
    pytest.mark.filterwarnings("ignore:.*FfiHandle:pytest.PytestUnraisableExceptionWarning"),
]


@contextlib.asynccontextmanager
async def second_worker(stack: Stack, home: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """`call2me worker` on a data folder of its own, beside the one of `call2me up`."""
    secrets = json.loads((stack.home / "secrets.json").read_text())
    ports = ports_of(stack.home)
    env = environment(
        home,
        CALL2ME_API_URL=stack.url,
        CALL2ME_INTERNAL_KEY=secrets["internal_key"],
        CALL2ME_FUNCTIONS=str(stack.home / "functions"),
        LIVEKIT_URL=f"ws://127.0.0.1:{ports['CALL2ME_LIVEKIT_PORT']}",
        LIVEKIT_API_KEY=secrets["livekit_api_key"],
        LIVEKIT_API_SECRET=secrets["livekit_api_secret"],
    )
    with (home / "worker.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            *COMMAND, "worker", env=env, cwd=ROOT, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), 20)
        if process.returncode is None:
            process.kill()
            await process.wait()


async def holder(stack: Stack, call_id: str, homes: list[Path]) -> int:
    """Which of the workers has the call now: it spools it."""
    async with asyncio.timeout(30):
        while True:
            for number, home in enumerate(homes):
                for spool in (home / "spool").glob(f"{call_id}.*.jsonl"):
                    with contextlib.suppress(FileNotFoundError):
                        if b"call_lost" not in spool.read_bytes():
                            return number
            await asyncio.sleep(0.1)


async def test_a_rolling_restart_of_workers_loses_no_call(tmp_path: Path) -> None:
    """Whichever has the call is stopped and handed on to the other, twice, so that both were restarted."""
    with short_home() as other:
        async with running(tmp_path / "home") as stack:
            homes = [stack.home, other]
            ticket = await stack.post("/v1/livekit/token", {})
            async with Caller.joined(ticket["url"], ticket["token"]) as caller:
                await caller.hear(after=0)
                await caller.quiet(seconds=1)
                async with second_worker(stack, other) as worker:
                    await _ready(other)
                    assert await holder(stack, ticket["call_id"], homes) == 0
                    first = (await stack.status())["processes"]["worker"]["pid"]
                    await _stopped_and_heard(caller, first)
                    assert await holder(stack, ticket["call_id"], homes) == 1
                    await _asked_and_answered(caller)
                    await _restarted(stack, first)
                    await _stopped_and_heard(caller, worker.pid)
                    assert await holder(stack, ticket["call_id"], homes) == 0
                    await _asked_and_answered(caller)
                    assert await asyncio.wait_for(worker.wait(), 20) == 0
            call = await stack.ended(ticket["call_id"], timeout=30)
    asked = [entry for entry in call["transcript_object"] if entry["role"] == "user"]
    assert len(asked) == 2, call["transcript"]
    assert (call["call_status"], call["attempt"]) == ("completed", 3), call


async def _stopped_and_heard(caller: Caller, pid: int) -> None:
    os.kill(pid, signal.SIGTERM)
    stopped = time.perf_counter()
    heard = await caller.hear(after=stopped + 0.3, timeout=60)
    print(f"worker stopped: heard again after {heard - stopped:.2f} s")  # noqa: T201 - for docs
    await caller.quiet(seconds=1)


async def _asked_and_answered(caller: Caller) -> None:
    ended = await caller.say(spoken(HOURS))
    await caller.hear(after=ended)
    await caller.quiet(seconds=1)


async def _ready(home: Path) -> None:
    async with asyncio.timeout(90):
        while b"worker.introduction  ready" not in (home / "worker.log").read_bytes():
            await asyncio.sleep(0.1)


async def _restarted(stack: Stack, before: int) -> None:
    """Another process, which is ready."""
    async with asyncio.timeout(90):
        while True:
            worker = (await stack.status())["processes"]["worker"]
            if worker["pid"] not in (None, before) and worker.get("state") == "running":
                break
            await asyncio.sleep(0.2)
        log = stack.home / "logs" / "worker.log"
        while b'"ready"' not in log.read_bytes().rsplit(b"linked to the api", 1)[-1]:
            await asyncio.sleep(0.1)
