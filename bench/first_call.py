"""How the first call feels and what it costs: the figures of docs/benchmarks.md.

    python -m bench.first_call                 prints the figures as they come
    python -m bench.first_call --write         writes them into docs/benchmarks.md

Every figure is a median of five, over a real livekit-server with a real participant.
"""

import argparse
import asyncio
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import psutil

from bench.parts.caller import Caller
from bench.parts.instant import EXPECTED, WORDS, instant_providers
from tests.support.speech import RATE, pause, spoken
from tests.support.stack import Stack, running

RUNS = 5
QUESTIONS = (
    "What are your opening hours on Saturday?",
    "How much does a teeth cleaning cost?",
    "Where is your office?",
    "Do you take emergencies?",
    "Which insurance do you accept?",
)
PAUSES: dict[str, tuple[str, float, str]] = {
    "600 ms after `and`": ("my name is peter johnson and", 0.6, "i need an appointment on tuesday"),
    "900 ms inside a number": ("my number is five five five", 0.9, "zero one three four four seven nine"),
    "600 ms after what could be a sentence": ("i need an appointment", 0.6, "for my daughter on tuesday"),
    "900 ms after what could be a sentence": ("do you have time on thursday", 0.9, "or maybe on friday"),
}
INSTANT_AGENT = {
    "agent_name": "Instant",
    "voice_id": "openai-nova",
    "language": "en-US",
    "begin_message": "Hello.",
    "begin_message_mode": "static",
    "response_engine": {
        "type": "call2me-llm",
        "system_prompt": "Answer.",
        "llm_provider": "openai",
        "llm_model": "gpt-4o-mini",
    },
}
PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
PARTS = ("offline", "talk", "providers")
MARK = "<!-- first_call: written by bench/first_call.py -->"

Figure = tuple[str, str, str]
"""What, how much, the goal."""


def say(text: str) -> None:
    """Progress, where the figures do not go."""
    print(text, file=sys.stderr, flush=True)


def median(values: list[float]) -> float:
    """The one to quote."""
    return statistics.median(values)


def memory_mb(pid: int) -> float:
    """Proportional set size of a process and all below it, in MB: shared pages counted once."""
    total = 0.0
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            total += process.memory_full_info().pss / 1e6
        except psutil.NoSuchProcess:
            continue
    return total


def per_process(pid: int) -> str:
    """Where the memory is, largest first."""
    rows = []
    for process in [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]:
        try:
            rows.append((process.memory_full_info().pss / 1e6, " ".join(process.cmdline()[-3:])[-60:]))
        except psutil.NoSuchProcess:
            continue
    return "\n".join(f"  {size:7.1f} MB  {name}" for size, name in sorted(rows, reverse=True))


@asynccontextmanager
async def calling(stack: Stack, agent_id: str | None = None) -> AsyncIterator[tuple[Caller, float]]:
    """A caller in a call (with the demo agent unless told), and when it began to join."""
    began = time.perf_counter()
    ticket = await stack.post("/v1/livekit/token", {"agent_id": agent_id})
    async with Caller.joined(ticket["url"], ticket["token"]) as caller:
        yield caller, began
        # A call of a second tells nothing about the caller's clock.
        if caller.sent_frames > 250 and caller.late_frames > caller.sent_frames * 0.01:
            say(f"  void: {caller.late_frames} of {caller.sent_frames} frames were late")
    await stack.ended(ticket["call_id"])


async def greetings(stack: Stack) -> list[float]:
    """Seconds from asking for a token to the first sound of the greeting."""
    found = []
    for _ in range(RUNS):
        async with calling(stack) as (caller, began):
            found.append(await caller.hear(after=began) - began)
            say(f"  greeting after {found[-1]:.2f} s")
        await asyncio.sleep(2)  # the next process warms up, as it does between people
    return found


async def answers(stack: Stack, rounds: int = 1, agent_id: str | None = None) -> list[float]:
    """Seconds from the last sound of a question to the first sound of its answer."""
    found = []
    async with calling(stack, agent_id) as (caller, began):
        await caller.hear(after=began)
        await caller.quiet(seconds=1.5)
        for question in QUESTIONS * rounds:
            voice = _trimmed(question)
            EXPECTED.clear()
            EXPECTED.append((WORDS, len(voice) / RATE))
            ended = await caller.say(np.concatenate([voice, pause(0.2)]))
            found.append(await caller.hear(after=ended) - ended)
            say(f"  answer after {found[-1]:.2f} s")
            await caller.quiet(seconds=1.5)
    return found


async def cut_offs(stack: Stack, agent_id: str | None, rounds: int = 3) -> dict[str, float]:
    """How often the agent answered into a pause, for each kind of pause."""
    found = dict.fromkeys(PAUSES, 0)
    async with calling(stack, agent_id) as (caller, began):
        await caller.hear(after=began)
        await caller.quiet(seconds=1.5)
        for _ in range(rounds):
            for name, (first, seconds, second) in PAUSES.items():
                voices = _trimmed(first), _trimmed(second)
                EXPECTED.extend(
                    (text, len(pcm) / RATE) for text, pcm in zip((first, second), voices, strict=True)
                )
                starts = time.perf_counter()
                said = np.concatenate([voices[0], pause(seconds), voices[1], pause(0.2)])
                ended = await caller.say(said)
                sounded = caller.heard.first_sound_after(starts)
                found[name] += sounded is not None and sounded < ended
                await caller.hear(after=ended)
                await caller.quiet(seconds=1.0)
                EXPECTED.clear()
            say(f"  cut off so far: {found}")
    return {name: count / rounds for name, count in found.items()}


def _trimmed(text: str) -> np.ndarray:
    """Said, without the silence around it."""
    pcm = spoken(text)
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 300)
    return pcm[loud[0] : loud[-1] + 1]


async def added_memory(stack: Stack, calls: int = 3) -> float:
    """MB for each running call more."""
    before = memory_mb(stack.process.pid)
    async with calling(stack) as (first, _), calling(stack) as (second, _), calling(stack) as (third, _):
        for caller in (first, second, third):
            await caller.hear(after=0, timeout=30)
        await asyncio.sleep(3)
        return (memory_mb(stack.process.pid) - before) / calls


async def offline(home: Path) -> list[Figure]:
    """Everything on this machine, no keys."""
    say("first start")
    async with running(home) as stack:
        say(f"  ready after {stack.seconds_to_ready:.1f} s")
    starts = []
    for _ in range(RUNS):
        async with running(home) as stack:
            starts.append(stack.seconds_to_ready)
            say(f"  start: ready after {starts[-1]:.1f} s")
    async with running(home) as stack:
        await asyncio.sleep(8)
        idle = memory_mb(stack.process.pid)
        say(f"  idle {idle:.0f} MB\n{per_process(stack.process.pid)}")
        greeted = await greetings(stack)
        added = await added_memory(stack)
    return [
        ("second start of `call2me up` to a call that can be answered", f"{median(starts):.1f} s", "10 s"),
        ("joining to the greeting heard, warm worker", f"{median(greeted):.2f} s", "1.5 s"),
        ("memory of all processes, idle, all offline models", f"{idle:.0f} MB", "900 MB"),
        ("memory for each call more", f"{added:.0f} MB", ""),
    ]


async def talk(home: Path) -> list[Figure]:
    """Questions to everything on this machine, and pauses in what is said."""
    say("offline answers")
    async with running(home) as stack:
        await asyncio.sleep(8)
        answered = await answers(stack, rounds=2)
        cut = await cut_offs(stack, None)
    return [
        ("end of a question to its answer heard, offline, p50", f"{median(answered):.2f} s", "1.4 s"),
        ("end of a question to its answer heard, offline, slowest of ten", f"{max(answered):.2f} s", ""),
        *((f"cut off, offline: {name}", f"{rate:.0%}", "") for name, rate in cut.items()),
    ]


async def with_providers(home: Path) -> list[Figure]:
    """Providers that answer at once, over their own wire protocols."""
    say("instant providers")
    async with running(home, CALL2ME_LOCAL_MODELS="off", DEEPGRAM_API_KEY="x", OPENAI_API_KEY="x"):
        say("  started once, so that a new home's first start is not what is measured")
    async with (
        instant_providers() as settings,
        running(home, CALL2ME_LOCAL_MODELS="off", **settings) as stack,
    ):
        await asyncio.sleep(8)
        idle = memory_mb(stack.process.pid)
        say(f"  idle {idle:.0f} MB\n{per_process(stack.process.pid)}")
        figures: list[Figure] = []
        for responsiveness, goal in ((0.5, "400 ms"), (1.0, "400 ms")):
            agent = await stack.post("/v1/agents", {**INSTANT_AGENT, "responsiveness": responsiveness})
            answered = await answers(stack, rounds=2, agent_id=agent["agent_id"])
            what = f"added latency, instant providers, over the wire, responsiveness {responsiveness}"
            figures += [
                (f"{what}, p50", f"{median(answered) * 1000:.0f} ms", goal),
                (f"{what}, slowest of ten", f"{max(answered) * 1000:.0f} ms", ""),
            ]
            cut = await cut_offs(stack, agent["agent_id"])
            figures += [
                (f"cut off, responsiveness {responsiveness}: {name}", f"{rate:.0%}", "")
                for name, rate in cut.items()
            ]
    return [
        *figures,
        ("memory of all processes, idle, with providers", f"{idle:.0f} MB", "450 MB"),
    ]


def processor() -> str:
    """What the machine computes with."""
    lines = (line for line in _cpu_lines() if line.startswith("model name"))
    return next((line.split(":")[1].strip() for line in lines), platform.processor())


def machine() -> str:
    """Where and when figures were taken."""
    return (
        f"{time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores ({processor()}), "
        f"{platform.platform(terse=True)}, Python {platform.python_version()}"
    )


def row(figure: Figure) -> str:
    """One figure as a row of the page, with its day and processor."""
    what, measured, goal = figure
    when = f"{time.strftime('%Y-%m-%d')}, {processor()}"
    return f"| {what} | {measured} | {'≤ ' + goal if goal else ''} | {when} |"


def table(rows: list[str]) -> str:
    """Rows under the machine they were taken on."""
    head = [
        f"{machine()}, medians of {RUNS}.",
        "",
        "| what | measured | goal | when |",
        "| --- | --- | --- | --- |",
    ]
    return "\n".join([MARK, *head, *rows, MARK])


def _cpu_lines() -> list[str]:
    info = Path("/proc/cpuinfo")
    return info.read_text().splitlines() if info.exists() else []


def write(figures: list[Figure]) -> None:
    """Put the figures between the two marks of the page; those that were not taken anew stay."""
    before, old, after = PAGE.read_text().split(MARK)
    rows = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("| ")}
    kept = {what: line for what, line in rows.items() if what not in ("what", "---")}
    kept |= {figure[0]: row(figure) for figure in figures}
    PAGE.write_text(before + table(list(kept.values())) + after)


async def measure(parts: list[str]) -> list[Figure]:
    """Run what was asked for."""
    figures: list[Figure] = []
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        if "offline" in parts:
            figures += await offline(home)
        if "talk" in parts:
            figures += await talk(home)
        if "providers" in parts:
            figures += await with_providers(home)
    return figures


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--only", choices=PARTS, help="one part")
    asked = parser.parse_args()
    figures = asyncio.run(measure([asked.only] if asked.only else list(PARTS)))
    print(table([row(figure) for figure in figures]))
    if asked.write:
        write(figures)


if __name__ == "__main__":
    main()
