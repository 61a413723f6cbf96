"""A turn that gets no answer: asked again once, apologised for, and at last the end of the call.

user   ███▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
agent  ▁▁▁└─4 s─┘█moment█└─8 s─┘█sorry█     the engine is asked anew behind the first words
"""

from worker.watchdog.acts import Acts
from worker.watchdog.floor import Floor

SILENT_SECONDS = 4.0
AGAIN_SECONDS = 8.0
"""A second try may take longer: the caller knows by then that it takes a moment."""
MAX_MISSES = 2
"""Turns in a row without an answer, after which nobody is asked to try again."""

UNANSWERED = "error: the agent did not answer"


class TurnWatch:
    """Functions under way do not count: they are watched by themselves."""

    def __init__(self, floor: Floor, acts: Acts) -> None:
        self._floor, self._acts = floor, acts
        self._turn: float | None = None
        self._asked_again_at: float | None = None
        self._misses = 0

    def tick(self, now: float) -> str | None:
        """A reason to end once too many turns in a row had no answer."""
        floor = self._floor
        if floor.asked_at is None:
            if self._turn is not None:
                self._turn = self._asked_again_at = None
                self._misses = 0  # answered
            return None
        if self._asked_again_at is None:
            self._turn = floor.asked_at
        if floor.is_on_hold or floor.tools or floor.user_speaks_since is not None:
            return None
        waited = now - max(floor.asked_at, floor.user_stopped_at, self._asked_again_at or 0.0)
        if self._asked_again_at is None and waited >= SILENT_SECONDS:
            self._asked_again_at = now
            self._acts.warn("turn_silent", "The agent was silent for too long and was asked again.")
            floor.is_own_speech = True
            self._acts.answer_again()
        elif self._asked_again_at is not None and waited >= AGAIN_SECONDS:
            floor.asked_at = self._turn = self._asked_again_at = None
            self._misses += 1
            self._acts.warn("turn_unanswered", "The agent did not answer a turn.")
            if self._misses >= MAX_MISSES:
                return UNANSWERED
            floor.is_own_speech = True
            self._acts.apologise()
        return None
