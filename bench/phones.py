"""What telephone calls cost and how soon they are answered, beside calls in rooms: docs/benchmarks.md.

    python -m bench.phones                                    1, 12, 24 and 48 calls at a time
    python -m bench.phones --calls 1 24 --seconds 60 --write
    python -m bench.phones --only rooms                       the same talk in rooms of a real livekit-server

Exchange and shards are the product's own processes and share the first core; the callers, a process with SIP
and RTP of its own, have the second. Ears, mind and voice take no time: what is measured is the rest.
"""

import argparse
import asyncio
import contextlib
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import psutil
import uvloop

from bench.parts import phone_caller
from bench.parts.phone_caller import Figures, coded
from tests.support.telephony import Stage, staged

ENDPOINTING = 0.758
"""The responsiveness at which a finished sentence is waited for 50 ms."""
_SHARD = "from bench.parts.instant_hosts import hold_phone_calls; hold_phone_calls()"
SPREAD_SECONDS = 0.25


def say(text: str) -> None:
    """Progress, where the figures do not go."""
    print(text, file=sys.stderr, flush=True)


def pin(pids: Iterable[int], core: int) -> None:
    """All threads of these processes, to one core, before whatever else this machine does."""
    for pid in pids:
        for thread in os.listdir(f"/proc/{pid}/task"):
            os.sched_setaffinity(int(thread), {core})
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(int(thread), os.SCHED_RR, os.sched_param(10))


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def memory_mb(pids: Iterable[int]) -> float:
    """Proportional set size."""
    return sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 1e6


def rank(values: Iterable[float], at: float) -> float:
    """A percentile."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(at * len(ordered)))] if ordered else float("nan")


@dataclass
class Run:
    """So many calls at a time."""

    calls: int
    figures: list[Figures]
    cpu: float
    """CPU-seconds per call-second while all of them talk, exchange and shards."""
    split: dict[str, float] = field(default_factory=dict)
    idle_mb: float = 0.0
    mb: float = 0.0

    def row(self) -> dict[str, Any]:
        """What it comes to."""
        waits = [one for figures in self.figures for one in figures.waits]
        stops = [one for figures in self.figures for one in figures.stops]
        return {
            "calls": self.calls,
            "p50": round(rank(waits, 0.5)),
            "p95": round(rank(waits, 0.95)),
            "stop p50": round(rank(stops, 0.5)),
            "stop p95": round(rank(stops, 0.95)),
            "turns": len(waits),
            "unanswered": sum(one.unanswered for one in self.figures),
            "answered p95": round(rank((one.answered_in for one in self.figures), 0.95), 1),
            "cpu": round(self.cpu, 4),
            "mb a call": round((self.mb - self.idle_mb) / self.calls, 2),
            "late": round(sum(f.late for f in self.figures) / max(1, sum(f.sent for f in self.figures)), 4),
        } | {f"cpu {name}": round(value, 4) for name, value in self.split.items()}


async def phones(calls: int, seconds: float, profile: str = "", **agent: Any) -> Run:
    """One run over the exchange."""
    agent = {"responsiveness": ENDPOINTING, "enable_recording": False, **agent}
    most = str(calls + 4)
    async with staged(
        shards=calls // 24 + 2, shard=_SHARD, settings={"CALL2ME_MAX_PHONE_CALLS": most}, **agent
    ) as (stage, carrier):
        pids = {name: process.pid for name, process in stage.processes.items()}
        pin(pids.values(), 0)
        await asyncio.sleep(3)
        idle = memory_mb(pids.values())
        answered = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            tasks = []
            for _ in range(calls):
                work = phone_caller.call(carrier, stage.sip_port, seconds, answered)
                tasks.append(group.create_task(work))
                await asyncio.sleep(SPREAD_SECONDS)
            for _ in range(calls):
                await answered.acquire()
            await asyncio.sleep(4)  # the greetings
            watched = max(5.0, seconds - 4 - calls * SPREAD_SECONDS - 2)
            before, began = {name: cpu_seconds([pid]) for name, pid in pids.items()}, time.monotonic()
            if profile:
                held = Counter(here.pid for here in stage.liveness.calls.values())
                await _profiled(held.most_common(1)[0][0], watched, profile)
            await asyncio.sleep(max(0.0, watched - (time.monotonic() - began)))
            took = (time.monotonic() - began) * calls
            split = {name: (cpu_seconds([pid]) - before[name]) / took for name, pid in pids.items()}
            full = memory_mb(pids.values())
        _say_what_broke(stage)
    run = Run(calls, [task.result() for task in tasks], sum(split.values()), idle_mb=idle, mb=full)
    run.split = {
        "exchange": split["exchange"],
        "shards": sum(value for name, value in split.items() if name != "exchange"),
    }
    return run


async def _profiled(pid: int, seconds: float, path: str) -> None:
    command = ["/tmp/peers/bin/py-spy", "record", "-d", str(int(seconds)), "-r", "250", "--gil", "-f", "raw"]
    spy = await asyncio.create_subprocess_exec(*command, "-o", path, "-p", str(pid))
    await spy.wait()


def _say_what_broke(stage: Stage) -> None:
    for path in sorted((stage.home / "logs").iterdir()):
        if text := path.read_text().strip():
            say(f"  {path.name}: {text[-600:]}")


async def measure(sizes: list[int], seconds: float, profile: str, **agent: Any) -> list[Run]:
    """Every size."""
    for name in ("long", "short", "stop", "knowledge", "noise"):
        coded(name)
    found = []
    for calls in sizes:
        run = await phones(calls, seconds + calls * SPREAD_SECONDS, profile, **agent)
        say(f"  {json.dumps(run.row())}")
        found.append(run)
    return found


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 12, 24, 48])
    parser.add_argument("--seconds", type=float, default=40)
    parser.add_argument("--sensitivity", type=float, default=0.5)
    parser.add_argument("--record", action="store_true", help="keep recordings, as an agent may ask for")
    parser.add_argument("--profile", default="", help="where to write the profile of a shard (py-spy, raw)")
    asked = parser.parse_args()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    pin([os.getpid()], (os.cpu_count() or 1) - 1)
    agent = {"interruption_sensitivity": asked.sensitivity, "enable_recording": asked.record}
    asyncio.run(measure(asked.calls, asked.seconds, asked.profile, **agent))


if __name__ == "__main__":
    main()
