"""How quickly and how considerately turns are taken, ours beside LiveKit's: docs/benchmarks.md.

    python -m bench.conversation                     one run of each stack, one call
    python -m bench.conversation --runs 5 --calls 1 24 --write

Everything but the turn taking is instant: an oracle hears, a fixed answer is a tone. The caller is a process
of its own that speaks recordings in real time; the calls of one run share one process. A run in which the
caller was late is void and is made again.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from bench.first_call import machine

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
MARK = "<!-- conversation: written by bench/conversation.py -->"
STACKS = ("ours", "ours at 1", "livekit-agents as shipped", "livekit-agents tuned")
LATE = 0.01
ATTEMPTS = 3
RUN_SECONDS = 400
FINISHED = frozenset({"short", "long", "noise", "tool", "knowledge"})
"""Utterances without a pause, whose words are a whole sentence."""

Run = dict[str, Any]


def say(text: str) -> None:
    """Progress, where the figures do not go."""
    print(text, file=sys.stderr, flush=True)


def _before_others() -> None:
    """Whatever else this machine does comes second, for the caller and for every stack alike."""
    with contextlib.suppress(PermissionError, AttributeError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(10))


async def _process(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=sys.stderr,
        preexec_fn=_before_others,
    )


async def run(stack: str, calls: int, delay: float) -> Run | None:
    """One run; None when the caller was late."""
    with tempfile.TemporaryDirectory(prefix="c2m-") as folder:
        socket = f"{folder}/s"
        host = await _process("bench.parts.host", stack, socket, str(calls), str(delay))
        try:
            assert host.stdout is not None
            assert (await asyncio.wait_for(host.stdout.readline(), 60)).strip() == b"ready"
            caller = await _process("bench.parts.caller_process", socket, str(calls))
            told, _ = await asyncio.wait_for(caller.communicate(), RUN_SECONDS)
            cost = json.loads(await asyncio.wait_for(host.stdout.readline(), 60))
        finally:
            if host.returncode is None:
                host.kill()
            await host.wait()
    heard = [json.loads(line) for line in told.splitlines()]
    late = sum(call["late"] for call in heard) / max(1, sum(call["sent"] for call in heard))
    if late > LATE:
        say(f"  {stack}: void, {late:.1%} of the frames were late")
        return None
    return {"stack": stack, "calls": calls, "heard": heard, "cost": cost, "late": late}


def _at(values: Iterable[float], rank: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(rank * len(ordered)))] if ordered else float("nan")


def figures(one: Run) -> dict[str, float]:
    """What one run comes to. Turns that were cut off have no latency; they count as cut off."""
    turns = [turn for call in one["heard"] for turn in call["turns"]]
    waits = [turn["ms"] for turn in turns if turn["ms"] is not None and not turn["cut"]]
    whole = [turn["ms"] for turn in turns if turn["name"] in FINISHED and turn["ms"] is not None]
    stops = [stop for call in one["heard"] for stop in call["stops"] if stop is not None]
    murmurs = [murmur for call in one["heard"] for murmur in call["murmurs"]]
    found = {
        "p50": _at(waits, 0.5),
        "p95": _at(waits, 0.95),
        "p99": _at(waits, 0.99),
        "whole p50": _at(whole, 0.5),
        "whole p95": _at(whole, 0.95),
        "unanswered": sum(turn["ms"] is None for turn in turns) / len(turns),
        "stop": _at(stops, 0.5),
        "stop p95": _at(stops, 0.95),
        "murmur stopped": sum(murmur["stopped"] for murmur in murmurs) / max(1, len(murmurs)),
        "murmur hole": _at([murmur["hole_ms"] for murmur in murmurs], 0.5),
        "cpu": one["cost"]["cpu_seconds"] / one["cost"]["call_seconds"] * 60,
        "mb": one["cost"]["mb"],
        "idle": one["cost"]["idle_mb"],
    }
    by_name: dict[str, list[bool]] = defaultdict(list)
    for turn in turns:
        by_name[turn["name"]].append(turn["cut"])
    for name in (
        "300 ms, closed",
        "600 ms, open",
        "900 ms, number",
        "600 ms, closed",
        "900 ms, closed",
        "um",
    ):
        found[f"cut {name}"] = statistics.fmean(by_name[name])
    return found | {f"split {name}": value for name, value in one["cost"]["split"].items()}


async def measure(
    stacks: Sequence[str], sizes: Sequence[int], runs: int, delay: float
) -> dict[tuple[str, int], list[dict[str, float]]]:
    """Every stack in each run. Single calls are so little work that all stacks' are held at once."""
    found: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)

    async def once(stack: str, calls: int) -> None:
        for _ in range(ATTEMPTS):
            if (one := await run(stack, calls, delay)) is not None:
                found[stack, calls].append(figures(one))
                rounded = {name: round(value, 3) for name, value in found[stack, calls][-1].items()}
                say(f"  {stack}, {calls}: {json.dumps(rounded)}")
                return

    for calls in sizes:
        for number in range(runs):
            say(f"run {number + 1} with {calls} calls")
            if calls == 1:
                await asyncio.gather(*(once(stack, calls) for stack in stacks))
            else:
                for stack in stacks:
                    await once(stack, calls)
    return found


_ROWS = (
    ("added latency, p50 / p95 / p99, ms", "{p50:.0f} / {p95:.0f} / {p99:.0f}"),
    ("the same, finished sentences only, p50 / p95", "{whole p50:.0f} / {whole p95:.0f}"),
    ("cut off in a pause: 600 ms after `and`", "{cut 600 ms, open:.0%}"),
    ("cut off: 900 ms inside a number", "{cut 900 ms, number:.0%}"),
    ("cut off: 700 ms after `um`", "{cut um:.0%}"),
    ("cut off: 300 ms after what could be a whole sentence", "{cut 300 ms, closed:.0%}"),
    ("cut off: 600 ms after what could be a whole sentence", "{cut 600 ms, closed:.0%}"),
    ("cut off: 900 ms after what could be a whole sentence", "{cut 900 ms, closed:.0%}"),
    ("barge-in: first sound to last sample played, p50 / p95, ms", "{stop:.0f} / {stop p95:.0f}"),
    ("agent ended by `uh-huh` / silence it made, ms", "{murmur stopped:.0%} / {murmur hole:.0f}"),
    ("turns without an answer", "{unanswered:.0%}"),
    ("CPU-seconds per call-minute", "{cpu:.2f}"),
    ("memory of the process, idle / at most, MB", "{idle:.0f} / {mb:.0f}"),
    ("of which: end of turn, recogniser, model, voice, ms", "{split}"),
)


def table(found: dict[tuple[str, int], list[dict[str, float]]], delay: float) -> str:
    """Medians of the runs, as Markdown."""
    lines = [MARK, f"{machine()}. Recogniser {delay * 1000:.0f} ms late; medians of the runs.", ""]
    for calls in sorted({size for _, size in found}):
        columns = [stack for stack in STACKS if (stack, calls) in found]
        runs = max(len(found[stack, calls]) for stack in columns)
        lines += [
            f"| {calls} call{'s' if calls > 1 else ''} at a time, {runs} runs | {' | '.join(columns)} |",
            f"| --- |{' --- |' * len(columns)}",
        ]
        middles = [_middle(found[stack, calls]) for stack in columns]
        for what, shape in _ROWS:
            lines.append(f"| {what} | {' | '.join(shape.format(**middle) for middle in middles)} |")
        lines.append("")
    return "\n".join([*lines[:-1], MARK])


def _middle(runs: list[dict[str, float]]) -> dict[str, Any]:
    middle: dict[str, Any] = {
        key: statistics.median(run[key] for run in runs if key in run) for key in runs[0]
    }
    parts = [middle.get(f"split {name}") for name in ("endpointing", "recogniser", "model", "voice")]
    middle["split"] = ", ".join("–" if part is None else f"{part:.0f}" for part in parts)
    return middle


def write(text: str) -> None:
    """Put the table between the two marks of the page."""
    before, _, after = PAGE.read_text().split(MARK)
    PAGE.write_text(before + text + after)


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=1)
    parser.add_argument("--calls", type=int, nargs="+", default=[1])
    parser.add_argument("--stacks", nargs="+", choices=STACKS, default=list(STACKS))
    parser.add_argument("--delay", type=float, default=0.0, help="seconds the recogniser is late")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    asked = parser.parse_args()
    began = time.monotonic()
    text = table(asyncio.run(measure(asked.stacks, asked.calls, asked.runs, asked.delay)), asked.delay)
    print(text)
    say(f"{time.monotonic() - began:.0f} s on {os.cpu_count()} cores")
    if asked.write:
        write(text)


if __name__ == "__main__":
    main()
