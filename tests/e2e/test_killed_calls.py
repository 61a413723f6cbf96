"""Calls whose process is killed: what was said is kept, once, and the talk goes on."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from bench.parts.caller import Caller
from pipelines.contract.events import SEQUENCES_PER_ATTEMPT
from tests.support.recordings import RATE, decoded
from tests.support.speech import spoken
from tests.support.stack import Stack, process_of, running
from tests.support.talk import HOURS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(900),
    # LiveKit's SDK drops handles of a participant twice that was put out of the room.
    pytest.mark.filterwarnings("ignore:.*FfiHandle:pytest.PytestUnraisableExceptionWarning"),
]

KILLS = 20
STILL_UNDER_WAY_SECONDS = 0.3
"""Sound that had left before the kill may be heard for this long."""
SEED = 20261123


async def test_twenty_calls_killed_at_random_moments_go_on_and_lose_nothing(tmp_path: Path) -> None:
    """Every event that was spooled is stored once, in order, and the caller hears the agent again."""
    dice = random.Random(SEED)  # noqa: S311 - moments, not secrets
    async with running(tmp_path / "home") as stack:
        for number in range(KILLS):
            await _one_killed_call(stack, dice.uniform(0.3, 7.0), number)
        twice = sqlite3.connect(tmp_path / "home" / "call2me.sqlite").execute(
            "select call_id, sequence, count(*) from call_events group by 1, 2 having count(*) > 1"
        )
        assert twice.fetchall() == []
        async with asyncio.timeout(10):  # the last recording may still be on its way
            while list((tmp_path / "home" / "spool").glob("call_*")):
                await asyncio.sleep(0.1)


async def _one_killed_call(stack: Stack, seconds: float, number: int) -> None:
    ticket = await stack.post("/v1/livekit/token", {})
    call_id = ticket["call_id"]
    async with Caller.joined(ticket["url"], ticket["token"]) as caller:
        joined = time.perf_counter()
        saying = asyncio.ensure_future(_ask(caller))
        process = await process_of(call_id)
        await asyncio.sleep(max(0.0, seconds - (time.perf_counter() - joined)))
        process.send_signal(signal.SIGSTOP)  # so that what the spool holds now is all it ever holds
        ghosts = set(caller.room.remote_participants)
        spooled = _spooled(stack.home, call_id)
        heard_seconds = (time.perf_counter() - first) if (first := caller.heard.first_sound_after(0)) else 0.0
        process.kill()
        saying.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await saying
        killed = time.perf_counter()
        async with asyncio.timeout(30):  # what the dead one said may still be under way
            while not set(caller.room.remote_participants) - ghosts:
                await asyncio.sleep(0.01)
        heard_again = await caller.hear(after=time.perf_counter(), timeout=30)
        silence = heard_again - killed
        print(f"kill {number}: after {seconds:.1f} s, silence of {silence:.2f} s")  # noqa: T201 - for docs
    call = await stack.ended(call_id, timeout=40)
    assert (call["call_status"], call["disconnection_reason"]) == ("completed", "user_hangup"), call
    assert call["attempt"] == 2
    stored = _stored(stack.home, call_id)
    before = [sequence for sequence in stored if sequence < SEQUENCES_PER_ATTEMPT]
    after = [sequence - SEQUENCES_PER_ATTEMPT for sequence in stored[len(before) :]]
    assert before[: len(spooled)] == spooled, f"kill {number}: {spooled} {stored}"
    assert before == list(range(len(before))), f"kill {number}: {stored}"
    assert after == list(range(len(after))), f"kill {number}: {stored}"
    # One that was killed before a first page of sound was on disk has only what came after.
    whole_seconds = heard_seconds + silence if heard_seconds >= 1.5 else 0.0
    await _recording_plays(stack, call_id, whole_seconds, number)


async def test_a_call_outlives_its_agent_server_the_supervisor_and_the_api_on_the_way(
    tmp_path: Path,
) -> None:
    """One call, one caller: the agent server with its nursery; a supervisor that stands still, and dies."""
    async with running(tmp_path / "home") as stack:
        ticket = await stack.post("/v1/livekit/token", {})
        async with Caller.joined(ticket["url"], ticket["token"]) as caller:
            await caller.hear(after=0)
            await caller.quiet(seconds=1)
            await _asked_and_answered(caller)
            agents = (await process_of(ticket["call_id"])).parent().parent()  # type: ignore[union-attr]
            os.kill(agents.pid, signal.SIGKILL)  # type: ignore[union-attr]
            await _heard_again(caller, "agent server")
            await _asked_and_answered(caller)
            process = await process_of(ticket["call_id"])
            supervisor = (await stack.status())["processes"]["worker"]["pid"]
            os.kill(supervisor, signal.SIGSTOP)
            try:
                await _attempt(stack, ticket["call_id"], 3)  # it has been silent for three seconds
                await _asked_and_answered(caller)
            finally:
                os.kill(supervisor, signal.SIGCONT)
            await _attempt(stack, ticket["call_id"], 2)
            await _all_said(stack, ticket["call_id"], 3)
            assert process.is_running()
            os.kill(supervisor, signal.SIGKILL)
            killed = time.perf_counter()
            ended = await caller.say(spoken(HOURS))  # while nobody supervises
            heard = await caller.hear(after=ended)
            print(f"supervisor killed: answered {heard - ended:.2f} s after the question")  # noqa: T201
            await _back(stack)
            print(f"supervisor killed: back after {time.perf_counter() - killed:.2f} s")  # noqa: T201
            assert process.is_running()
            await caller.quiet(seconds=1)
            await _all_said(stack, ticket["call_id"], 4)
            await stack.post(f"/v1/calls/{ticket['call_id']}/say", {"text": "Your table is ready now."})
            await caller.hear(after=time.perf_counter())
            await caller.quiet(seconds=1)
        call = await stack.ended(ticket["call_id"], timeout=20)
    assert (call["call_status"], call["disconnection_reason"]) == ("completed", "user_hangup"), call
    assert call["attempt"] == 2, "neither the supervisor's silence nor its death cost an attempt"
    assert "Agent: Your table is ready now." in call["transcript"]


async def test_an_api_that_is_killed_while_a_call_is_resumed_resumes_it_when_it_is_back(
    tmp_path: Path,
) -> None:
    async with running(tmp_path / "home") as stack:
        ticket = await stack.post("/v1/livekit/token", {})
        async with Caller.joined(ticket["url"], ticket["token"]) as caller:
            await caller.hear(after=0)
            await caller.quiet(seconds=1)
            api = (await stack.status())["processes"]["api"]["pid"]
            (await process_of(ticket["call_id"])).kill()
            os.kill(api, signal.SIGKILL)
            await _heard_again(caller, "process and api")
            await _asked_and_answered(caller)
            await _back(stack)
            await _all_said(stack, ticket["call_id"], 1)
        call = await stack.ended(ticket["call_id"], timeout=30)
    assert (call["call_status"], call["attempt"]) == ("completed", 2), call


async def _heard_again(caller: Caller, what: str) -> None:
    killed = time.perf_counter()
    heard = await caller.hear(after=killed + STILL_UNDER_WAY_SECONDS, timeout=60)
    print(f"{what} killed: silence of {heard - killed:.2f} s")  # noqa: T201 - for docs
    await caller.quiet(seconds=1)


async def _asked_and_answered(caller: Caller) -> None:
    ended = await caller.say(spoken(HOURS))
    await caller.hear(after=ended)
    await caller.quiet(seconds=1)


async def _attempt(stack: Stack, call_id: str, number: int) -> None:
    async with asyncio.timeout(15):
        while (await stack.get(f"/v1/calls/{call_id}"))["attempt"] != number:
            await asyncio.sleep(0.1)


async def _all_said(stack: Stack, call_id: str, questions: int) -> None:
    """Every question so far is on record, also those that dead processes heard."""
    async with asyncio.timeout(15):
        while True:
            call = await stack.get(f"/v1/calls/{call_id}")
            if sum(entry["role"] == "user" for entry in call["transcript_object"]) >= questions:
                return
            await asyncio.sleep(0.2)


async def _ask(caller: Caller) -> None:
    while True:
        await caller.say(spoken(HOURS))
        await asyncio.sleep(1)


def _spooled(home: Path, call_id: str) -> list[int]:
    """Sequence numbers of whole lines in the spool. Read before the kill, so nothing is delivered away."""
    numbers = []
    for file in (home / "spool").glob(f"{call_id}.*.jsonl"):
        with contextlib.suppress(FileNotFoundError):
            whole = file.read_bytes().split(b"\n")[:-1]
            numbers += list(range(len(whole)))
    return numbers


def _stored(home: Path, call_id: str) -> list[int]:
    with contextlib.closing(sqlite3.connect(home / "call2me.sqlite")) as database:
        rows = database.execute(
            "select sequence from call_events where call_id = ? order by sequence", (call_id,)
        )
        return [int(sequence) for (sequence,) in rows]


async def _recording_plays(stack: Stack, call_id: str, heard_seconds: float, number: int) -> None:
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    url = f"{stack.url}/v1/calls/{call_id}/recording"
    seconds = 0.0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(15):  # the last attempt's part may still be on its way
            while seconds <= heard_seconds - 1.5:
                async with stack.http.get(url, headers=headers) as reply:
                    if reply.status == 200:
                        sound: Any = decoded(await reply.read())
                        seconds = sound.shape[1] / RATE
                await asyncio.sleep(0.1)
    assert seconds > heard_seconds - 1.5, f"kill {number}: {seconds} s"


async def test_the_api_killed_in_a_call_costs_nothing(tmp_path: Path) -> None:
    """The call goes on; what happened meanwhile arrives when the api is back, none twice."""
    async with running(tmp_path / "home") as stack:
        ticket = await stack.post("/v1/livekit/token", {})
        async with Caller.joined(ticket["url"], ticket["token"]) as caller:
            await caller.hear(after=0)
            await caller.quiet(seconds=1)
            for _ in range(3):
                os.kill((await stack.status())["processes"]["api"]["pid"], signal.SIGKILL)
                ended = await caller.say(spoken(HOURS))
                await caller.hear(after=ended)
                await caller.quiet(seconds=1)
        await _back(stack)
        call = await stack.ended(ticket["call_id"], timeout=30)
    asked = [entry for entry in call["transcript_object"] if entry["role"] == "user"]
    assert len(asked) == 3, call["transcript_object"]
    assert call["call_status"] in {"completed", "ended"}, call["call_status"]
    stored = _stored(stack.home, ticket["call_id"])
    assert stored == list(range(len(stored)))


async def _back(stack: Stack) -> None:
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(OSError):
                async with stack.http.get(stack.url + "/ready") as reply:
                    if reply.status == 200:
                        return
            await asyncio.sleep(0.2)
