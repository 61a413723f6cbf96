"""An event loop that something holds up: noticed from beside it, and named.

loop    ▁▁▁▁████████ held ████████▁▁▁▁▁      a beat every 50 ms, and none for 200 ms
beside  · · · · · · ^ whose line is it? ·    a thread looks at what the loop's thread is doing
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

BEAT_SECONDS = 0.05
STALL_SECONDS = 0.5
"""A shorter hole is heard too, but on a busy machine it is nobody's; functions are held to less
(`pipelines.tools.stranger`)."""
LOOKS = 3
"""So often in a row the same line must be seen: a thread that only waits for a processor moves on."""
MAX_TOLD = 5
"""Different places that one call tells of."""

_LOOPS = ("asyncio", "uvloop", "selectors.py")
Tell = Callable[[str, float], None]


class LoopWatch:
    """Beats on one loop, for all calls on it. An idle loop on a busy machine is not told of."""

    def __init__(self) -> None:
        self._followers: set[Tell] = set()
        self._beat_at = 0.0
        self._place = ""
        self._thread = 0
        self._stop = threading.Event()
        self._beating: asyncio.Task[None] | None = None

    async def follow(self, tell: Tell) -> None:
        """Tell where the loop was held and for how many seconds, until cancelled."""
        self._followers.add(tell)
        if self._beating is None:
            self._begin()
        try:
            await asyncio.Event().wait()
        finally:
            self._followers.discard(tell)
            if not self._followers and self._beating is not None:
                self._stop.set()
                self._beating.cancel()
                self._beating = None

    def _begin(self) -> None:
        self._beat_at, self._thread = time.monotonic(), threading.get_ident()
        self._stop = stop = threading.Event()
        self._beating = asyncio.create_task(self._beat(), name="LoopWatch")
        threading.Thread(target=self._look, args=(stop,), name="LoopWatch", daemon=True).start()

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            now = time.monotonic()
            held, place = now - self._beat_at - BEAT_SECONDS, self._place
            self._beat_at, self._place = now, ""
            if held >= STALL_SECONDS and place:
                for tell in tuple(self._followers):
                    tell(place, held)

    def _look(self, stop: threading.Event) -> None:
        seen, times, looked_at = "", 0, time.monotonic()
        while not stop.wait(BEAT_SECONDS):
            now = time.monotonic()
            is_late, looked_at = now - looked_at > 3 * BEAT_SECONDS, now
            if is_late or now - self._beat_at < STALL_SECONDS / 2:
                seen, times = "", 0  # we wait for a processor ourselves; or nothing is wrong
                continue
            place = place_of(sys._current_frames().get(self._thread))
            seen, times = place, times + 1 if place == seen else 1
            if place and times >= LOOKS:
                self._place = place


def place_of(frame: FrameType | None) -> str:
    """`file:function` of the innermost line of Python; empty where that is the loop itself."""
    if frame is None:
        return ""
    path = Path(frame.f_code.co_filename)
    if any(name in path.parts for name in _LOOPS):
        return ""
    return f"{path.name}:{frame.f_code.co_name}"


_WATCH = LoopWatch()


async def told(warn: Callable[[str, str], None]) -> None:
    """Warn of each place that held this process's loop, once, until cancelled."""
    places: set[str] = set()

    def tell(place: str, seconds: float) -> None:
        if place not in places and len(places) < MAX_TOLD:
            places.add(place)
            warn("loop_stalled", f"{place} held up the whole process for {seconds * 1000:.0f} ms.")

    await _WATCH.follow(tell)
