"""Functions that take long: the caller is told so, and one that never comes back is given up."""

from worker.watchdog.acts import Acts
from worker.watchdog.floor import Floor

REASSURE_SECONDS = 8.0
STUCK_SECONDS = 75.0
"""Longer than any deadline that a function has (`RunsLike`): nothing can be said behind it any more."""

STUCK = "error: a function did not come back"


class ToolWatch:
    """Counts the silence around a function, not its running time: what it says itself is enough."""

    def __init__(self, floor: Floor, acts: Acts) -> None:
        self._floor, self._acts = floor, acts
        self._heard_at = self._held_at = 0.0

    def tick(self, now: float) -> str | None:
        """A reason to end once a function has outlived every deadline."""
        floor = self._floor
        if floor.agent_speaks_since is not None or floor.user_speaks_since is not None:
            self._heard_at = now
        if floor.is_on_hold:
            self._held_at = now  # somebody else is being asked; that takes what it takes
        if not floor.tools or floor.is_on_hold:
            return None
        name, since = min(floor.tools.values(), key=lambda running: running[1])
        since = max(since, self._held_at)
        if now - since >= STUCK_SECONDS:
            self._acts.warn("tool_stuck", f"The function {name} did not come back.")
            return STUCK
        if now - max(since, self._heard_at) >= REASSURE_SECONDS:
            self._heard_at = now
            floor.is_own_speech = True
            self._acts.reassure()
        return None
