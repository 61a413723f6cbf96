"""The same talk in rooms: a real livekit-server, the product's agent server, callers over WebRTC."""

import asyncio
import time
from typing import Any

import numpy as np
import psutil

from bench.parts.caller import Caller
from bench.parts.costs import cpu_seconds, memory_mb
from bench.parts.onset import BARGED_IN, SCRIPT
from bench.parts.phone_caller import BARGE_IN_AFTER_SECONDS, QUIET_SECONDS, Figures
from bench.parts.script import RATE, utterances
from bench.parts.telephony import ENDPOINTING, Run
from pipelines.agent_config import AgentConfig
from pipelines.contract.brief import CallBrief
from tests.support.rehearsal import Rehearsal, rehearsal
from worker.lines.rtp.codecs import Resampler

JOIN_SECONDS = 120.0
"""All calls begin at once, and each needs a process that is loaded for it."""
_WORKER = "from bench.parts.instant_hosts import hold_room_calls; hold_room_calls()"


async def rooms(calls: int, seconds: float, **agent: Any) -> Run:
    """All of them talk for so long at the same time; nobody has a core to themselves."""
    config = {"agent_id": "a", "name": "A", "begin_message": "Hello, how may I help?"}
    config |= {"begin_message_mode": "static", "responsiveness": ENDPOINTING, **agent}
    async with rehearsal({}, worker=_WORKER) as stage:
        for number in range(calls):
            stage.briefs[f"r{number}"] = CallBrief(
                call_id=f"r{number}", participant_identity="caller", agent=AgentConfig.model_validate(config)
            )
        await asyncio.sleep(4)
        idle = memory_mb(_pids(stage))
        async with asyncio.TaskGroup() as group:
            greeted = asyncio.Barrier(calls + 1)
            tasks = [group.create_task(_talk(stage, f"r{n}", seconds + 1, greeted)) for n in range(calls)]
            await greeted.wait()
            pids = _pids(stage)
            before, began = cpu_seconds(pids), time.monotonic()
            await asyncio.sleep(seconds)
            cpu = (cpu_seconds(pids) - before) / ((time.monotonic() - began) * calls)
            mb = (memory_mb(pids) - idle) / calls
    return Run(calls, [task.result() for task in tasks], cpu, mb)


def _pids(stage: Rehearsal) -> list[int]:
    servers = [one.pid for one in psutil.Process().children() if "livekit" in one.name()]
    return servers + [one.pid for one in stage.processes()]


async def _talk(stage: Rehearsal, call_id: str, seconds: float, greeted: asyncio.Barrier) -> Figures:
    figures = Figures()
    async with stage.call(call_id) as caller:
        await caller.hear(after=0, timeout=JOIN_SECONDS)
        await caller.quiet(seconds=QUIET_SECONDS)
        await greeted.wait()
        until, number = time.perf_counter() + seconds, 0
        while time.perf_counter() < until:
            await _turn(caller, SCRIPT[number % len(SCRIPT)], figures)
            number += 1
        figures.sent, figures.late = caller.sent_frames, caller.late_frames
    return figures


async def _turn(caller: Caller, name: str, figures: Figures) -> None:
    pcm = Resampler(RATE, 48_000).push(utterances()[name].pcm.tobytes())
    ended = await caller.say(np.frombuffer(pcm, np.int16))
    try:
        heard = await caller.hear(after=ended, timeout=6)
    except TimeoutError:
        figures.unanswered += 1
        return
    if name != "stop":
        figures.waits.append((heard - ended) * 1000)
    if name == BARGED_IN:
        await asyncio.sleep(BARGE_IN_AFTER_SECONDS)
    else:
        await caller.quiet(seconds=QUIET_SECONDS)
