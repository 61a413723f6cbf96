"""The processes of telephone calls, which write down what they hold when they are sent SIGUSR1."""

import gc
import json
import os
import signal
from collections import Counter
from pathlib import Path
from types import FrameType

from pipelines.processes import watch_life_pipe
from worker import memory
from worker.exchange import process, sip
from worker.settings import WorkerSettings

TRANSACTIONS = "sip transactions"
"""Those that are over, too: SIP keeps them for 32 s, for what is repeated."""
DIALOGS = "sip dialogs"
_OURS = ("worker.", "pipelines.", "livekit.", "av.", "asyncio.", "_asyncio.", "aiohttp.", "uvloop.", "socket")
"""Modules of what belongs to a call. Others keep some for later, up to a bound: yarl 128 addresses."""


def held_file(run: Path, pid: int) -> Path:
    """Where a process writes it: how many objects of each kind, and what its SIP engine has."""
    return run / f"held-{pid}.json"


def _write(number: int, frame: FrameType | None) -> None:
    gc.collect()
    held: Counter[str] = Counter()
    for one in gc.get_objects():
        kind = f"{type(one).__module__}.{type(one).__qualname__}"
        if kind.startswith(_OURS):
            held[kind] += 1
        if isinstance(one, sip.Engine):
            stats = one.stats()
            held |= {DIALOGS: stats.dialogs, TRANSACTIONS: stats.transactions}
    path = held_file(WorkerSettings.load().run, os.getpid())
    path.with_suffix(".new").write_text(json.dumps(held))
    path.with_suffix(".new").rename(path)


def count() -> None:
    """From now on this process counts when it is asked to."""
    signal.signal(signal.SIGUSR1, _write)


def serve_calls() -> None:
    """A shard with instant providers, until SIGTERM."""
    from tests.support import instant_shard  # it loads livekit, which the exchange does not know

    count()
    memory.settle()
    instant_shard.main()


def serve_sip() -> None:
    """The exchange, until SIGTERM."""
    watch_life_pipe()
    count()
    process.serve(WorkerSettings.load())
