"""How long code of ours holds the event loop in a call, beside LiveKit's own: docs/benchmarks.md.

    python -m bench.loop              one call on a telephone line, with instant providers
    python -m bench.loop --turns 40 --write

A whole call of the product in one process: RTP over loopback, recording, knowledge (words only), the spool on
disk. Each callback and each step of a task is timed as a whole, by the clock on the wall (what a loop is held
for) with this process before all others; whose time it is, is sampled: every 0.2 ms the innermost frame that
belongs to somebody (ours, LiveKit, the test's own parts) is noted. What a library does (numpy, json,
pydantic, asyncio) counts for whoever called it; garbage collection is counted apart. Other threads that hold
Python's lock meanwhile count, too; the processor's time of the loop's own thread is printed beside.
"""

import argparse
import asyncio
import contextlib
import gc
import logging
import math
import os
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from api.seed_data import clinic
from bench.first_call import machine
from kb import index as indexes
from kb.chunking import passages
from kb.search import search
from pipelines.tools.knowledge import Passage
from worker import memory

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
MARK = "<!-- loop: written by bench/loop.py -->"
SAMPLE_SECONDS = 0.0002
LEAST_SAMPLES = 3
"""A step with fewer is too short to be split: it is whoever's callback it is."""
WARM_TURNS = 2
QUIET_SECONDS = 0.4
QUESTION, HEARD, ANSWER = (
    "What are your opening hours on Saturday?",
    "What are your opening hours?",
    "On Saturday we are open from nine to one.",
)


@dataclass
class Step:
    """One callback, or one step of a task."""

    at: float
    seconds: float
    owner: str
    """Whose callback it is."""
    shares: Counter[str]
    """Samples by owner."""
    places: Counter[str]
    collected: float
    cpu: float = 0.0
    """Seconds that the processor worked on it."""

    def of(self, owner: str, *, by_cpu: bool = False) -> float:
        """Seconds of it that are theirs."""
        seconds = max(0.0, (self.cpu if by_cpu else self.seconds) - self.collected)
        if (total := sum(self.shares.values())) < LEAST_SAMPLES:
            return seconds if self.owner == owner else 0.0
        return seconds * self.shares[owner] / total


def owner_of(file: str) -> str | None:
    """Whose a file is; None for libraries, which work for somebody."""
    if "site-packages" in file:
        return "livekit" if f"{os.sep}livekit{os.sep}" in file else None
    if not file.startswith(str(ROOT)):
        return None
    top = file[len(str(ROOT)) + 1 :].split(os.sep, maxsplit=1)[0]
    return "ours" if top in ("worker", "pipelines", "kb") else "bench"


@dataclass
class Loop:
    """Watches the running loop from `begin` until `end`."""

    steps: list[Step] = field(default_factory=list)
    _shares: Counter[str] | None = None
    _places: Counter[str] = field(default_factory=Counter)
    _collected: float = 0.0
    _collecting_since: float = 0.0
    _owners: dict[str, str | None] = field(default_factory=dict)
    _run: Any = None

    def begin(self) -> None:
        """Patch asyncio's handles, whose `_run` is all that a loop ever does."""
        self._run = run = asyncio.Handle._run
        watched = self

        def timed(handle: asyncio.Handle) -> None:
            watched._shares, watched._places, watched._collected = Counter(), Counter(), 0.0
            callback = getattr(handle, "_callback", None)
            began, worked = time.perf_counter(), time.thread_time()
            try:
                run(handle)
            finally:
                cpu, seconds = time.thread_time() - worked, time.perf_counter() - began
                shares, watched._shares = watched._shares, None
                watched.steps.append(
                    Step(
                        time.time(), seconds, watched._by(callback), shares or Counter(), watched._places,
                        watched._collected, cpu,
                    )
                )  # fmt: skip

        asyncio.Handle._run = timed  # type: ignore[method-assign, assignment]
        gc.callbacks.append(self._collects)
        signal.signal(signal.SIGALRM, self._sample)
        signal.setitimer(signal.ITIMER_REAL, SAMPLE_SECONDS, SAMPLE_SECONDS)

    def end(self) -> None:
        """As before."""
        signal.setitimer(signal.ITIMER_REAL, 0)
        gc.callbacks.remove(self._collects)
        asyncio.Handle._run = self._run  # type: ignore[method-assign]

    def _collects(self, phase: str, info: dict[str, int]) -> None:
        if phase == "start":
            self._collecting_since = time.perf_counter()
        else:
            self._collected += time.perf_counter() - self._collecting_since

    def _sample(self, number: int, frame: FrameType | None) -> None:
        if (shares := self._shares) is None:
            return
        while frame is not None:
            if (owner := self._owner(frame.f_code.co_filename)) is not None:
                if frame.f_code.co_filename != __file__:
                    shares[owner] += 1
                    place = f"{Path(frame.f_code.co_filename).name}:{frame.f_code.co_qualname}"
                    self._places[f"{owner} {place}"] += 1
                return
            frame = frame.f_back

    def _owner(self, file: str) -> str | None:
        if file not in self._owners:
            self._owners[file] = owner_of(file)
        return self._owners[file]

    def _by(self, callback: Any) -> str:
        task = getattr(callback, "__self__", None)
        code = getattr(callback, "__code__", None)
        if isinstance(task, asyncio.Task):
            code = getattr(task.get_coro(), "cr_code", None) or getattr(task.get_coro(), "gi_code", None)
        elif code is None:
            code = getattr(getattr(callback, "__func__", None), "__code__", None)
        return (self._owner(code.co_filename) if code is not None else None) or "asyncio"


class _Known:
    """The demo clinic's knowledge, searched by words on the loop as `worker.knowledge` does it."""

    def __init__(self) -> None:
        found = [p for title, text in clinic.KNOWLEDGE for p in passages("s", title, text)]
        self._index = indexes.build(found)

    async def find(self, question: str) -> Sequence[Passage]:
        return [
            Passage(source_id="s", title=hit.passage.title, text=hit.passage.text, score=hit.score)
            for hit in search(self._index, question, top_k=3)
        ]

    async def aclose(self) -> None:
        """Nothing is held."""


@dataclass
class Turn:
    """From the caller's first word to the agent's last; `stopped` and `heard` are what is waited between."""

    began: float
    stopped: float
    heard: float
    over: float


async def talk(home: Path, turns: int) -> tuple[list[Turn], list[Step]]:
    """One call."""
    from tests.integration.test_phone_call import calling, words  # noqa: PLC0415 - brings LiveKit

    loop, found, sound = Loop(), [], words(QUESTION)
    async with calling(
        home,
        heard=(HEARD,) * (turns + WARM_TURNS),
        answers={HEARD: ANSWER},
        know=lambda brief, models: _Known(),
        enable_recording=True,
    ) as held:
        await held.until(lambda: len(held.said()) == 1)
        memory.settle()  # as a process does before its first call
        for number in range(turns + WARM_TURNS):
            if number == WARM_TURNS:
                loop.begin()
            await asyncio.sleep(0.6)
            began = time.time()
            held.phone.say(sound)
            await held.until(lambda: not held.phone.is_talking)
            stopped = held.phone.spoke_until
            await held.until(lambda after=stopped: held.phone.first_sound(after))  # type: ignore[misc]
            heard = held.phone.first_sound(stopped) or 0.0
            await held.until(lambda: time.time() - (held.phone.last_sound() or 0.0) > QUIET_SECONDS)
            if number >= WARM_TURNS:
                found.append(Turn(began, stopped, heard, time.time()))
            held.phone.heard.clear()
            memory.settle()  # what is measured is no garbage, and not to be looked through
        loop.end()
        held.wire.bye()
    return found, loop.steps


def _at(values: Iterable[float], rank: float) -> float:
    ordered = sorted(values)
    return ordered[max(0, math.ceil(rank * len(ordered)) - 1)]


NAMES = {
    "ours": "ours: `worker`, `pipelines`, `kb`",
    "livekit": "livekit-agents and livekit",
    "gc": "garbage collection, whoever is hit by it",
    "all": "all, with the far telephone and the providers' stand-ins",
}


def _spent(step: Step, owner: str, *, by_cpu: bool = False) -> float:
    """Milliseconds."""
    if owner == "gc":
        return 1000 * step.collected
    if owner == "all":
        return 1000 * (step.cpu if by_cpu else step.seconds)
    return 1000 * step.of(owner, by_cpu=by_cpu)


def report(turns: Sequence[Turn], steps: Sequence[Step]) -> list[str]:
    """A table."""
    lines = [
        "| ms on the loop: p50 / p95 / max over the turns | longest single hold | the same, processor only "
        "| from the caller's last sound to the answer's first | in each second of talk |",
        "| --- | --- | --- | --- | --- |",
    ]
    for owner, name in NAMES.items():
        columns: list[list[float]] = [[], [], [], []]
        for turn in turns:
            within = [step for step in steps if turn.began <= step.at <= turn.over]
            waited = [step for step in within if turn.stopped <= step.at <= turn.heard]
            columns[0].append(max(_spent(step, owner) for step in within))
            columns[1].append(max(_spent(step, owner, by_cpu=True) for step in within))
            columns[2].append(sum(_spent(step, owner) for step in waited))
            columns[3].append(sum(_spent(step, owner) for step in within) / (turn.over - turn.began))
        cells = (" / ".join(f"{_at(column, rank):.2f}" for rank in (0.5, 0.95, 1.0)) for column in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def longest(steps: Sequence[Step], owner: str, most: int = 12) -> list[str]:
    """The longest holds of somebody, and where they were."""
    lines = []
    for step in sorted(steps, key=lambda one: -one.of(owner))[:most]:
        where = ", ".join(f"{place} {count}" for place, count in step.places.most_common(4))
        all_, cpu = 1000 * step.seconds, 1000 * step.cpu
        lines.append(f"{1000 * step.of(owner):6.2f} of {all_:6.2f} ms ({cpu:.2f} cpu)  {where}")
    return lines


def main() -> None:
    """Measure, print, and write it down where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--write", action="store_true")
    wanted = parser.parse_args()
    logging.disable(logging.CRITICAL)
    with contextlib.suppress(PermissionError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))
    with tempfile.TemporaryDirectory() as folder:
        turns, steps = asyncio.run(talk(Path(folder), wanted.turns))
    answered = statistics.median(turn.heard - turn.stopped for turn in turns)
    table = report(turns, steps)
    out = sys.stdout.write
    out(
        "\n".join([*table, "", "ours:", *longest(steps, "ours"), "livekit:", *longest(steps, "livekit")])
        + "\n"
    )
    if wanted.write:
        told = f"{machine()}; {len(turns)} turns, answered after {1000 * answered:.0f} ms in the median."
        before, _, rest = PAGE.read_text().partition(MARK)
        _, _, after = rest.partition(MARK)
        PAGE.write_text(before + "\n".join([MARK, told, "", *table, MARK]) + after)


if __name__ == "__main__":
    main()
