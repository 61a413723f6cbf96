"""What telephone calls have left behind in the processes that held them."""

import json
import os
import signal
from dataclasses import dataclass

import psutil

from tests.support.counted import DIALOGS, TRANSACTIONS, held_file
from tests.support.telephony import Stage

EXCHANGE = "from tests.support.counted import serve_sip; serve_sip()"
SHARD = "from tests.support.counted import serve_calls; serve_calls()"
CALLS = (
    "worker.exchange.calls.PhoneCall",
    "worker.exchange.sip.dialog.Dialog",
    "worker.lines.phone.PhoneLine",
    "livekit.agents.voice.agent_session.AgentSession",
    DIALOGS,
)
"""What there is once for each call, or oftener."""


@dataclass
class Left:
    """What one process has at a moment."""

    threads: int
    descriptors: int
    ports: int
    """UDP."""
    held: dict[str, int]
    """Objects of each kind."""

    @property
    def calls(self) -> dict[str, int]:
        """Those that belong to a call and should be over with it."""
        return {kind: count for kind in (*CALLS, TRANSACTIONS) if (count := self.held.get(kind, 0))}


async def left(stage: Stage, name: str) -> Left:
    """Ask one of the stage's processes, started by `EXCHANGE` or `SHARD`."""
    process = psutil.Process(stage.processes[name].pid)
    # Before anything is collected: what is only given back with the garbage is given back too late.
    threads, descriptors, ports = process.num_threads(), process.num_fds(), stage.descriptors(process.pid)
    path = held_file(stage.home / "run", process.pid)
    path.unlink(missing_ok=True)
    os.kill(process.pid, signal.SIGUSR1)
    await stage.until(path.exists, 40)
    return Left(threads, descriptors, ports, json.loads(path.read_text()))
