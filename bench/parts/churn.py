"""Calls that come and go without a pause: what the processes hold meanwhile, and what is left of it."""

import asyncio
import shutil
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench.parts.costs import LAST_CORE, pin
from bench.parts.phone_caller import NUMBER
from tests.support.leftovers import EXCHANGE, Left, left
from tests.support.ports import free_port
from tests.support.telephony import Stage, staged

SHARD = (
    "from tests.support.counted import count; count()\n"
    "from bench.parts.instant_hosts import hold_phone_calls; hold_phone_calls()"
)
SCENARIO = Path(__file__).with_name("setup.xml")
WARM_CALLS = 20
LOOK_SECONDS = 10.0
FORGOTTEN_SECONDS = 45.0
"""SIP keeps a transaction that is over for 32 s, for what is repeated."""


@dataclass
class Churn:
    """`mb` of each process every ten seconds, its resident memory."""

    calls: int
    failed: int
    mb: dict[str, list[float]] = field(default_factory=dict)
    before: dict[str, Left] = field(default_factory=dict)
    after: dict[str, Left] = field(default_factory=dict)

    def growth(self, name: str) -> float:
        """MB a minute, by the last half of the time: Theil's and Sen's slope, which no single look sways."""
        told = self.mb[name]
        late = list(enumerate(told))[len(told) // 2 :]
        slopes = [(b - a) / (j - i) for n, (i, a) in enumerate(late) for j, b in late[n + 1 :]]
        return statistics.median(slopes) * 60 / LOOK_SECONDS if slopes else 0.0

    @property
    def held(self) -> int:
        """Calls, dialogs and transactions that some process still has."""
        return sum(sum(one.calls.values()) for one in self.after.values())

    def more(self, what: str) -> int:
        """Descriptors or ports beyond those that were open before the first call."""
        return sum(getattr(self.after[name], what) - getattr(self.before[name], what) for name in self.after)


async def churn(a_minute: int, minutes: float) -> Churn:
    """Sipp calls, is answered, and hangs up after three seconds, again and again."""
    number = int(a_minute * minutes)
    settings = {"CALL2ME_MAX_PHONE_CALLS": "100"}
    async with staged(shards=3, shard=SHARD, exchange=EXCHANGE, settings=settings) as (stage, _):
        pin([process.pid for process in stage.processes.values()], 0)
        # Some, for what is loaded by the first call.
        warm = await _calls(stage, a_minute, WARM_CALLS, lambda: None)
        await asyncio.sleep(FORGOTTEN_SECONDS)
        told = Churn(number, WARM_CALLS - warm, before=await _all_left(stage))

        def look() -> None:
            for name, process in stage.processes.items():
                resident = psutil.Process(process.pid).memory_info().rss / 1e6
                told.mb.setdefault(name, []).append(resident)

        told.failed += number - await _calls(stage, a_minute, number, look)
        await asyncio.sleep(FORGOTTEN_SECONDS)
        told.after = await _all_left(stage)
    return told


async def _calls(stage: Stage, a_minute: int, number: int, look: Callable[[], None]) -> int:
    """How many of them went as they should, by sipp's own count."""
    sipp = shutil.which("sipp")
    assert sipp is not None, "this needs sipp"
    with tempfile.TemporaryDirectory(prefix="c2m-") as folder:
        command = ["-sf", str(SCENARIO), "-s", NUMBER, "-i", "127.0.0.1", "-p", str(free_port())]
        command += ["-r", str(a_minute), "-rp", "60000", "-m", str(number), "-nostdin"]
        command += ["-trace_stat", f"127.0.0.1:{stage.sip_port}"]
        quiet = asyncio.subprocess.DEVNULL
        caller = await asyncio.create_subprocess_exec(sipp, *command, cwd=folder, stdout=quiet, stderr=quiet)
        pin([caller.pid], LAST_CORE)
        over = asyncio.ensure_future(caller.wait())
        while not (await asyncio.wait([over], timeout=LOOK_SECONDS))[0]:
            look()
        return _answered(Path(folder))


def _answered(folder: Path) -> int:
    (path,) = folder.glob("*_.csv")
    head, *_, last = path.read_text().splitlines()
    return int(last.split(";")[head.split(";").index("SuccessfulCall(C)")])


async def _all_left(stage: Stage) -> dict[str, Left]:
    for name in stage.processes:
        await left(stage, name)  # generators that are collected end on the loop, and are gone the next time
    await asyncio.sleep(1)
    return {name: await left(stage, name) for name in stage.processes}
