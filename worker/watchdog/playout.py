"""Sound that does not come to its end: the line took it and never played it, or a voice fell silent.

made    ██████████
played  ▁██████████▁▁▁▁▁▁▁▁▁▁        still "speaking" long after the last sound it could have
"""

from collections.abc import Callable

from worker.watchdog.acts import Acts
from worker.watchdog.floor import Floor

STUCK_SECONDS = 5.0
LONGEST_RECORDING_SECONDS = 30.0
MAX_STUCK = 2
STUCK = "error: the agent's sound is stuck"


class PlayoutWatch:
    """`made` is how many seconds of speech the agent's voice has made in this call so far."""

    def __init__(self, floor: Floor, acts: Acts, made: Callable[[], float]) -> None:
        self._floor, self._acts, self._made = floor, acts, made
        self._consumed = 0.0
        self._since: float | None = None
        self._held = 0.0
        self._last = 0.0
        self._stuck = 0
        self._cuts = 0

    def tick(self, now: float) -> str | None:
        """A reason to end when sound got stuck again right after it had been cleared."""
        elapsed, self._last = now - self._last if self._last else 0.0, now
        since = self._floor.agent_speaks_since
        if since is None:
            # Held up, it may go on where it was; cut off, the rest is thrown away.
            if self._since is not None:
                self._consumed = min(self._made(), self._consumed + now - self._since - self._held)
            if self._cuts != self._floor.cuts:
                self._cuts, self._consumed = self._floor.cuts, self._made()
            self._since, self._held = None, 0.0
            return None
        self._since = since
        if self._floor.user_speaks_since is not None:
            self._held += elapsed  # it may be paused until it is known whether that was words
            return None
        ahead = self._made() - self._consumed
        # Sound without speech made for it is a recording, whose length nobody told.
        if now - since - self._held < (ahead + STUCK_SECONDS if ahead > 0 else LONGEST_RECORDING_SECONDS):
            return None
        self._stuck += 1
        self._consumed, self._since, self._held = self._made(), None, 0.0
        self._floor.agent_speaks_since = None
        self._acts.warn("playout_stuck", "The agent's sound did not come to its end and was cleared.")
        if self._stuck >= MAX_STUCK:
            return STUCK
        self._acts.apologise()
        return None
