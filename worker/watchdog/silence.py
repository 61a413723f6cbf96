"""A caller who says nothing: reminded, and let go politely in the end.

said    ███▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
agent   ▁▁▁└frequency┘██└frequency┘██▁▁▁██     two reminders, then the goodbye
           └────────── silence ────────┘
"""

from worker.watchdog.acts import Acts
from worker.watchdog.floor import Floor

LAST_SECONDS = 3.0
"""So shortly before the end nobody is reminded: it would be cut off."""


class SilenceWatch:
    """Only words count as somebody talking: a barking dog keeps no call alive."""

    def __init__(self, floor: Floor, acts: Acts, silence: float, frequency: float, max_count: int) -> None:
        self._floor, self._acts = floor, acts
        self._silence, self._frequency, self._left = silence, frequency, max_count
        self._max_count = max_count
        self._reminded_at = 0.0
        self._quiet_since = floor.quiet_since

    def tick(self, now: float) -> str | None:
        """`silence` once nobody has said anything for too long."""
        floor = self._floor
        if floor.quiet_since != self._quiet_since:
            self._quiet_since, self._left = floor.quiet_since, self._max_count
        if floor.is_on_hold or floor.is_anybody_busy(now, self._silence):
            if floor.is_own_speech:
                self._reminded_at = now  # counted from its last sound
            return None
        quiet = now - floor.quiet_since
        if quiet >= self._silence:
            return "silence"
        since = now - max(floor.quiet_since, self._reminded_at)
        if self._left > 0 and since >= self._frequency and quiet < self._silence - LAST_SECONDS:
            floor.is_own_speech = True
            self._acts.remind(self._max_count - self._left)
            self._left -= 1
            self._reminded_at = now
        return None
