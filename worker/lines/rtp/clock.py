"""One clock for many lines: a wake-up finds them all due, and what is done in a row finds the caches warm.

    lines of their own    | |  |   |  |  | |       a wake-up each, and each begins in the cold
    together              |||        ||||          as many frames, in a few wake-ups

A moment has so many lines and no more, so that none waits for long behind the others.
"""

import asyncio
import math
import time
from collections.abc import Callable

from worker.lines.rtp.media import FRAME_SECONDS

MOMENTS = 4
"""In each frame, evenly apart."""
FULL = 8
"""Lines of one moment before the next is used; once all are, they fill evenly."""

Tick = Callable[[int], None]
"""Told that a frame is due, and how many more were missed by a standstill of our own."""


class Clock:
    """Of one event loop. Ticks do not raise."""

    def __init__(self) -> None:
        origin = time.monotonic()
        self._moments = [_Moment(origin + FRAME_SECONDS * at / MOMENTS) for at in range(MOMENTS)]

    def join(self, tick: Tick) -> None:
        """Be told every 20 ms, from within the next 20 on."""
        fewest = min(len(moment) for moment in self._moments)
        level = max(FULL, fewest + 1)
        next(moment for moment in self._moments if len(moment) < level).add(tick)

    def leave(self, tick: Tick) -> None:
        """Be told no more. Twice does no harm."""
        for moment in self._moments:
            moment.remove(tick)


class _Moment:
    def __init__(self, due: float) -> None:
        self._due = due
        self._ticks: dict[Tick, float] = {}
        """With the time since when each is told."""
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._ticks)

    def add(self, tick: Tick) -> None:
        now = time.monotonic()
        self._ticks[tick] = now
        if self._timer is None:
            self._due += (math.floor((now - self._due) / FRAME_SECONDS) + 1) * FRAME_SECONDS
            self._wait(now)

    def remove(self, tick: Tick) -> None:
        self._ticks.pop(tick, None)
        if not self._ticks and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _wait(self, now: float) -> None:
        self._timer = asyncio.get_running_loop().call_later(max(0.0, self._due - now), self._fire)

    def _fire(self) -> None:
        now = time.monotonic()
        behind = max(0, int((now - self._due) / FRAME_SECONDS))
        self._due += (behind + 1) * FRAME_SECONDS
        self._wait(now)
        for tick, since in list(self._ticks.items()):
            tick(min(behind, int((now - since) / FRAME_SECONDS)) if behind else 0)
