"""What telephone calls cost and how soon they are answered, beside calls in rooms: docs/benchmarks.md.

    python -m bench.phones                                    a short look at everything
    python -m bench.phones --seconds 60 --minutes 10 --write  as it is published
    python -m bench.phones --only talk --calls 24 --profile /tmp/stacks

Exchange and shards are the product's own processes and share the first core; the callers, a process with SIP
and RTP of its own, and sipp have the last. Ears, mind and voice take no time: what is measured is the rest.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.first_call import machine
from bench.parts.churn import LOOK_SECONDS, churn
from bench.parts.costs import LAST_CORE, pin, rank
from bench.parts.onset import SCRIPT
from bench.parts.phone_caller import coded
from bench.parts.room_talk import rooms
from bench.parts.telephony import (
    JITTER_SECONDS,
    LOSS,
    Run,
    beside_a_real_phone,
    over_a_bad_network,
    set_up,
    talk,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
MARK = "<!-- phones: written by bench/phones.py -->"
PARTS = ("talk", "pjsip", "rooms", "set-ups", "churn", "losses")
LATE = 0.01
ATTEMPTS = 3
IDLE_MB = 0.5
Row = tuple[str, str, str]
"""What, how much, the goal."""


def say(text: str) -> None:
    """Progress, where the figures do not go."""
    print(text, file=sys.stderr, flush=True)


async def _talk(calls: int, seconds: float, profile: str = "", **agent: object) -> Run:
    """A run whose callers were late is void, and made again."""
    for _ in range(ATTEMPTS):
        run = await talk(calls, seconds, profile, **agent)
        say(f"  {agent or ''} {run.told()}")
        if run.late <= LATE:
            return run
    raise RuntimeError("this machine has no time to call")


async def talks(sizes: Sequence[int], seconds: float, profile: str) -> list[Row]:
    """Latency, processor and memory at each size; then with interruptions at once, and recorded."""
    rows: list[Row] = []
    first = None
    for calls in sizes:
        run = await _talk(calls, seconds, profile)
        first = first or run
        most = f"≤ {first.waits(0.95) + 100:.0f} ms (p95 of the first and 100)"
        what = f"{calls} call{'s' if calls > 1 else ''} at a time"
        rows += [
            (f"{what}: end of speech to the reply at the phone, p50", f"{run.waits(0.5):.0f} ms", "≤ 300 ms"),
            (f"{what}: the same, p95", f"{run.waits(0.95):.0f} ms", most if calls >= 48 else ""),
            (f"{what}: CPU-seconds per call-second", f"{run.cpu:.4f}", "≤ 0.02" if calls > 1 else ""),
            _memory(what, run, first),
        ]
        if run.unanswered:
            rows.append((f"{what}: turns without an answer", str(run.unanswered), "0"))
    calls = 24
    recorded = await _talk(calls, seconds, enable_recording=True)
    rows += [
        (f"{calls} calls, recorded: CPU-seconds per call-second", f"{recorded.cpu:.4f}", "≤ 0.02"),
        _memory(f"{calls} calls, recorded", recorded, first or recorded),
    ]
    for sensitivity in (0.5, 1.0):
        run = await _talk(calls, seconds, interruption_sensitivity=sensitivity)
        what = f"barge-in at `interruption_sensitivity` {sensitivity}: first sound to silence at the phone"
        rows.append((f"{what}, p50 / p95", f"{run.stops(0.5):.0f} / {run.stops(0.95):.0f} ms", "≤ 150 ms"))
    return rows


def _memory(what: str, run: Run, first: Run) -> Row:
    """What a call adds. Processes that never held one before grow once by what their first call loads."""
    if run.calls <= first.calls:
        return (f"{what}: memory, with what is loaded once", f"{run.mb * run.calls:.1f} MB", "")
    added = (run.mb * run.calls - first.mb * first.calls) / (run.calls - first.calls)
    return (f"{what}: memory of each beyond the first", f"{added:.2f} MB", "≤ 2.5 MB")


async def on_a_real_phone(seconds: float) -> list[Row]:
    """PJSIP, by its own recording, and a caller of ours at the same time."""
    for _ in range(ATTEMPTS):
        ours, real = await beside_a_real_phone(seconds)
        late = ours.late / max(1, ours.sent)
        (mine, mine_95), (theirs, theirs_95) = [
            (rank(one.waits, 0.5), rank(one.waits, 0.95)) for one in (ours, real)
        ]
        say(f"  ours {mine:.0f} / {mine_95:.0f} ms, PJSIP {theirs:.0f} / {theirs_95:.0f} ms, {late:.2%} late")
        if late > LATE:
            continue
        told = f"{theirs:.0f} / {theirs_95:.0f} ms of {len(real.waits)} turns"
        what = "PJSIP calls: end of speech to the reply, in its own recording, p50 / p95"
        return [
            (what, told, "≤ 300 ms"),
            ("a caller of ours meanwhile: the same, by packets", f"{mine:.0f} / {mine_95:.0f} ms", ""),
            ("both: turns without an answer", str(ours.unanswered + real.unanswered), "0"),
        ]
    raise RuntimeError("this machine has no time to call")


async def in_rooms(calls: int, seconds: float) -> list[Row]:
    """The same talk over WebRTC."""
    rows: list[Row] = []
    for size in (1, calls):
        run = await rooms(size, seconds)
        say(f"  rooms: {run.told()}")
        what = f"the same talk in {size} room{'s' if size > 1 else ''} of livekit-server"
        # Processes for each call and a caller on WebRTC are more than a small machine has time for.
        late = (
            f" (an upper bound: {run.late:.0%} of the caller's frames were late)" if run.late > LATE else ""
        )
        rows += [
            (f"{what}: reply, p50 / p95", f"{run.waits(0.5):.0f} / {run.waits(0.95):.0f} ms{late}", ""),
            (f"{what}: CPU-seconds per call-second, memory of each", f"{run.cpu:.3f}, {run.mb:.0f} MB", ""),
        ]
    return rows


async def set_ups(minutes: float) -> list[Row]:
    """How soon calls are answered."""
    quick = await set_up(600, min(minutes, 1.0))
    answered = f"{rank(quick.answered_ms, 0.5):.0f} / {rank(quick.answered_ms, 0.95):.0f} ms"
    say(f"  10 a second: {answered}, {quick.failed} failed")
    return [
        ("10 new calls a second (sipp): INVITE to 200, p50 / p95", answered, "≤ 50 ms"),
        ("the same: calls that failed", str(quick.failed), "0"),
    ]


async def churned(minutes: float) -> list[Row]:
    """What calls that come and go leave behind."""
    told = await churn(200, minutes)
    say(f"  200 a minute: {told.failed} failed, {told.held} held, {told.mb}")
    about = f"200 set-ups and tear-downs a minute (sipp), {minutes:g} minutes"
    rows: list[Row] = [(f"{about}: calls that failed", f"{told.failed} of {told.calls}", "0")]
    for name, mb in told.mb.items():
        if max(mb) - min(mb) < IDLE_MB:
            continue  # a shard that had no call
        minutely = ", ".join(f"{one:.0f}" for one in mb[:: round(60 / LOOK_SECONDS)])
        rows.append((f"{about}: resident MB of the {name} each minute", minutely, "flat"))
        slope = f"{told.growth(name):+.2f} MB"
        rows.append((f"{about}: growth of the {name} a minute, over the last half", slope, "0"))
    left = f"{told.held}; {told.more('descriptors')}; {told.more('ports')}"
    what = "calls, dialogs and transactions held afterwards; descriptors and UDP ports beyond those before"
    return [*rows, (f"{about}: {what}", left, "0; a few kept connections; 0")]


async def losses(seconds: float) -> list[Row]:
    """What is understood over a good network and over a bad one."""
    rows: list[Row] = []
    for loss, jitter in ((0.0, 0.0), (LOSS, JITTER_SECONDS)):
        heard = await over_a_bad_network(seconds, loss, jitter)
        quality = heard.media.quality
        what = f"{loss:.0%} of the packets lost, {jitter * 1000:.0f} ms of jitter"
        told = f"{heard.wrong} of {heard.words}"
        say(f"  {what}: {told}, {quality}")
        rows += [
            (f"{what}: words not understood (Whisper base.en, from the recording)", told, ""),
            (
                f"{what}: loss, jitter, MOS as the call's record has them",
                f"{quality.packets_lost} of {quality.packets_received + quality.packets_lost} lost, "
                f"{quality.packets_late} late, {quality.jitter_ms} ms, {quality.mos}",
                "",
            ),
        ]
    return rows


def write(rows: list[Row]) -> None:
    """Put the figures between the two marks of the page; those that were not taken anew stay."""
    before, old, after = PAGE.read_text().split(MARK)
    kept = {line.split("|")[1].strip(): line for line in old.splitlines() if line.startswith("| ")}
    kept = {what: line for what, line in kept.items() if what not in ("what", "---")}
    kept |= {what: f"| {what} | {measured} | {goal} |" for what, measured, goal in rows}
    head = [f"{machine()}; one core.", "", "| what | measured | goal |", "| --- | --- | --- |"]
    PAGE.write_text(before + "\n".join([MARK, *head, *kept.values(), MARK]) + after)


async def measure(asked: argparse.Namespace) -> list[Row]:
    """What was asked for."""
    for name in SCRIPT:
        coded(name)
    rows: list[Row] = []
    if "rooms" in asked.only:
        rows += await in_rooms(5, asked.seconds)
    pin([os.getpid()], LAST_CORE)
    if "set-ups" in asked.only:
        rows += await set_ups(asked.minutes)
    if "churn" in asked.only:
        rows += await churned(asked.minutes)
    if "talk" in asked.only:
        rows += await talks(asked.calls, asked.seconds, asked.profile)
    if "pjsip" in asked.only:
        rows += await on_a_real_phone(asked.seconds)
    if "losses" in asked.only:
        rows += await losses(asked.seconds)
    return rows


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--calls", type=int, nargs="+", default=[1, 12, 24, 48])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--profile", default="", help="where to write a shard's stacks, by py-spy")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    asked = parser.parse_args()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    began = time.monotonic()
    rows = asyncio.run(measure(asked))
    for what, measured, goal in rows:
        print(f"| {what} | {measured} | {goal} |")
    say(f"{time.monotonic() - began:.0f} s")
    if asked.write:
        write(rows)


if __name__ == "__main__":
    main()
