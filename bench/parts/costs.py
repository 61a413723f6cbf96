"""What processes cost: their processor, their memory, and whose turn they are on it."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import psutil

LAST_CORE = (os.cpu_count() or 1) - 1


def pin(pids: Iterable[int], core: int) -> None:
    """All threads of these processes, to one core, before whatever else this machine does.

    What they start inherits the core and not the turn.
    """
    policy = os.SCHED_RR | os.SCHED_RESET_ON_FORK
    for pid in pids:
        for thread in Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(PermissionError, ProcessLookupError):
                os.sched_setaffinity(int(thread.name), {core})
                os.sched_setscheduler(int(thread.name), policy, os.sched_param(10))


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes."""
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def memory_mb(pids: Iterable[int]) -> float:
    """Proportional set size: shared pages counted once."""
    return float(sum(psutil.Process(pid).memory_full_info().pss for pid in pids) / 1e6)


def rank(values: Iterable[float], at: float) -> float:
    """A percentile; 0.5 is the median."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(at * len(ordered)))] if ordered else float("nan")


async def profiled(pid: int, seconds: float, path: str) -> None:
    """Write where a process holds Python's lock, as py-spy's stacks; whoever measures does without."""
    spy = shutil.which("py-spy")
    assert spy is not None, "pip install py-spy"
    asked = ("record", "--gil", "-r", "250", "-f", "raw", "-d", str(int(seconds)), "-o", path, "-p", str(pid))
    await (await asyncio.create_subprocess_exec(spy, *asked)).wait()
