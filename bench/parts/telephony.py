"""Runs of telephone calls: a talk of many at once, set-ups by sipp, and a network that loses and delays."""

import asyncio
import re
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np

from bench.parts import phone_caller
from bench.parts.costs import LAST_CORE, cpu_seconds, memory_mb, pin, profiled, rank
from bench.parts.onset import SCRIPT
from bench.parts.phone_caller import NUMBER, Figures
from bench.parts.real_phone import RealPhone
from bench.parts.script import utterances
from pipelines.contract.events import MediaMeasured
from tests.support.pjsip import pjsip
from tests.support.ports import free_port
from tests.support.speech import understood
from tests.support.telephony import Stage, staged

ENDPOINTING = 0.758
"""The responsiveness at which a finished sentence is waited for 50 ms."""
SPREAD_SECONDS = 0.25
SHARD = "from bench.parts.instant_hosts import hold_phone_calls; hold_phone_calls()"
_SCENARIO = Path(__file__).with_name("setup.xml")
LOSS, JITTER_SECONDS = 0.05, 0.06


@dataclass
class Run:
    """So many calls at a time. `cpu` is CPU-seconds per call-second while all of them talk."""

    calls: int
    figures: list[Figures]
    cpu: float
    mb: float
    """For each call."""
    late: float = field(init=False)

    def __post_init__(self) -> None:
        self.late = sum(one.late for one in self.figures) / max(1, sum(one.sent for one in self.figures))

    def waits(self, at: float) -> float:
        """Milliseconds from the last sound of a turn to its answer."""
        return rank((wait for one in self.figures for wait in one.waits), at)

    def stops(self, at: float) -> float:
        """Milliseconds from the first sound of an interruption to silence."""
        return rank((stop for one in self.figures for stop in one.stops), at)

    @property
    def unanswered(self) -> int:
        """Turns."""
        return sum(one.unanswered for one in self.figures)

    def told(self) -> str:
        """One line."""
        return (
            f"{self.calls} calls: {self.waits(0.5):.0f} / {self.waits(0.95):.0f} ms, stopped after "
            f"{self.stops(0.5):.0f} / {self.stops(0.95):.0f} ms, {self.unanswered} unanswered, "
            f"{self.cpu:.4f} CPU-s per call-second, {self.mb:.2f} MB a call, {self.late:.2%} late"
        )


async def talk(calls: int, seconds: float, profile: str = "", **agent: Any) -> Run:
    """All of them talk for so long at the same time, with exchange and shards on the first core."""
    settings = {"CALL2ME_MAX_PHONE_CALLS": str(calls + 4)}
    agent = {"responsiveness": ENDPOINTING, "enable_recording": False, **agent}
    async with staged(shards=calls // 24 + 2, shard=SHARD, settings=settings, **agent) as (stage, carrier):
        pids = [process.pid for process in stage.processes.values()]
        pin(pids, 0)
        await asyncio.sleep(3)
        idle = memory_mb(pids)
        answered = asyncio.Semaphore(0)
        lasts = seconds + calls * SPREAD_SECONDS + 6
        async with asyncio.TaskGroup() as group:
            tasks = []
            for _ in range(calls):
                work = phone_caller.call(carrier, stage.sip_port, lasts, answered)
                tasks.append(group.create_task(work))
                await asyncio.sleep(SPREAD_SECONDS)
            for _ in range(calls):
                await answered.acquire()
            await asyncio.sleep(4)  # the greetings
            before, began = cpu_seconds(pids), time.monotonic()
            if profile:
                held = Counter(here.pid for here in stage.liveness.calls.values())
                await profiled(held.most_common(1)[0][0], seconds, profile)
            await asyncio.sleep(max(0.0, began + seconds - time.monotonic()))
            cpu = (cpu_seconds(pids) - before) / ((time.monotonic() - began) * calls)
            mb = (memory_mb(pids) - idle) / calls
    return Run(calls, [task.result() for task in tasks], cpu, mb)


async def beside_a_real_phone(seconds: float) -> tuple[Figures, Figures]:
    """A caller of ours and PJSIP talk at the same time, in one shard: what each has seen."""
    async with (
        staged(shards=2, shard=SHARD, responsiveness=ENDPOINTING, enable_recording=False) as (stage, carrier),
        pjsip({"real": {}}, codecs=["PCMU"], mixes=True) as phone,
    ):
        pin([process.pid for process in stage.processes.values()], 0)
        pin([phone.pid], LAST_CORE)
        await asyncio.sleep(3)
        async with asyncio.TaskGroup() as talks:
            real = talks.create_task(RealPhone(phone).call(stage.sip_port, seconds))
            await asyncio.sleep(1)
            work = phone_caller.call(carrier, stage.sip_port, seconds, asyncio.Semaphore(0))
            ours = talks.create_task(work)
    return ours.result(), real.result()


@dataclass
class Setups:
    """`answered_ms` of each call."""

    answered_ms: list[float]
    failed: int


async def set_up(a_minute: int, minutes: float) -> Setups:
    """Sipp calls, is answered, and hangs up after three seconds, again and again."""
    sipp = shutil.which("sipp")
    assert sipp is not None, "this needs sipp"
    number = int(a_minute * minutes)
    settings = {"CALL2ME_MAX_PHONE_CALLS": "100"}
    async with staged(shards=3, shard=SHARD, settings=settings) as (stage, _):
        pids = [process.pid for process in stage.processes.values()]
        pin(pids, 0)
        with tempfile.TemporaryDirectory(prefix="c2m-") as folder:
            command = ["-sf", str(_SCENARIO), "-s", NUMBER, "-i", "127.0.0.1", "-p", str(free_port())]
            command += ["-r", str(a_minute), "-rp", "60000", "-m", str(number), "-nostdin"]
            command += ["-trace_rtt", "-rtt_freq", "1", f"127.0.0.1:{stage.sip_port}"]
            quiet = asyncio.subprocess.DEVNULL
            caller = await asyncio.create_subprocess_exec(
                sipp, *command, cwd=folder, stdout=quiet, stderr=quiet
            )
            pin([caller.pid], LAST_CORE)
            await caller.wait()
            await asyncio.sleep(3)
            answered = _times(Path(folder))
    return Setups(answered, number - len(answered))


def _times(folder: Path) -> list[float]:
    """What sipp wrote of each call."""
    lines = [line for path in folder.glob("*rtt.csv") for line in path.read_text().splitlines()[1:]]
    return [float(line.split(";")[1]) for line in lines]


@dataclass
class Impaired:
    """`wrong` of so many words were not understood from the call's own recording."""

    words: int
    wrong: int
    media: MediaMeasured


async def over_a_bad_network(seconds: float, loss: float, jitter_seconds: float) -> Impaired:
    """One call whose packets are lost and late; what the agent could hear is transcribed afterwards."""
    agent = {"responsiveness": ENDPOINTING, "enable_recording": True}
    async with staged(shards=1, shard=SHARD, **agent) as (stage, carrier):
        impair = phone_caller.Impairment(loss, jitter_seconds)
        answered = asyncio.Semaphore(0)
        await phone_caller.call(carrier, stage.sip_port, seconds, answered, impair)
        await stage.until(lambda: (e := stage.events("c1")) and e[-1].kind == "call_ended")
        said = [event.utterance.text for event in stage.events("c1") if event.kind == "utterance"]
        wanted = [text for text in said if text in {utterances()[name].stretches[0].text for name in SCRIPT}]
        heard = await asyncio.to_thread(understood, _callers_side(stage), 16_000)
        (media,) = [event for event in stage.events("c1") if isinstance(event, MediaMeasured)]
    words = _words(" ".join(wanted))
    return Impaired(len(words), _errors(words, _words(heard)), media)


def _callers_side(stage: Stage) -> "np.ndarray[Any, np.dtype[np.int16]]":
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=16_000)
    with av.open(str(stage.home / "spool" / "c1.1.ogg")) as recording:
        frames = [out for frame in recording.decode() for out in resampler.resample(frame)]  # type: ignore[arg-type]
    return np.concatenate([frame.to_ndarray().reshape(-1, 2)[:, 0] for frame in frames])


def _words(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def _errors(wanted: list[str], heard: list[str]) -> int:
    """Words to change, add or leave out."""
    row = list(range(len(heard) + 1))
    for i, word in enumerate(wanted, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(heard, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (word != other))
    return row[-1]
