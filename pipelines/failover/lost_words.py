"""What a recogniser may have lost: sound without words, and words that are overdue."""

import time
from collections import deque

from livekit import rtc

from pipelines.failover.chain import Patience

REMEMBERED_SECONDS = 15.0
"""Sound that no final words have come of; older than this it is gone."""
LEAD_SECONDS = 0.15
"""Kept when final words come: what is said next may have begun. More would be the last word again."""
SHORTEST_SPEECH_SECONDS = 0.35
"""Less may be a cough, of which no words come."""


class Memory:
    """Sound that no final words have come of yet."""

    def __init__(self) -> None:
        self._frames: deque[rtc.AudioFrame] = deque()
        self._seconds = 0.0
        self.position = 0.0
        """Seconds of sound since the stream began."""

    def keep(self, frame: rtc.AudioFrame) -> None:
        """More sound."""
        self._frames.append(frame)
        self._seconds += frame.duration
        self.position += frame.duration
        self._shorten(REMEMBERED_SECONDS)

    def understood(self) -> None:
        """Final words have come of what there is."""
        self._shorten(LEAD_SECONDS)

    def _shorten(self, seconds: float) -> None:
        while self._frames and self._seconds - self._frames[0].duration >= seconds:
            self._seconds -= self._frames.popleft().duration

    @property
    def frames(self) -> list[rtc.AudioFrame]:
        """The sound, oldest first."""
        return list(self._frames)

    @property
    def begins_at(self) -> float:
        """Where in the stream it begins, in seconds."""
        return self.position - self._seconds


class Owed:
    """Whether somebody spoke of whom the recogniser has said nothing, or not the last of it."""

    def __init__(self, patience: Patience) -> None:
        self._patience = patience
        self._spoke_until: float | None = None
        self._has_signs = False
        self.is_speaking = False

    def began(self) -> None:
        """Somebody speaks."""
        if self._spoke_until is None:
            self._has_signs = False
        self.is_speaking, self._spoke_until = True, None

    def ended(self, seconds: float) -> None:
        """They stopped, after so long."""
        self.is_speaking = False
        if seconds >= SHORTEST_SPEECH_SECONDS or self._has_signs:
            self._spoke_until = time.monotonic()

    def sign(self) -> None:
        """The recogniser has some words of it."""
        self._has_signs = True

    def final(self) -> None:
        """It has the last of them."""
        self._spoke_until, self._has_signs = None, False

    def again(self) -> None:
        """Another one hears it now, and has as long for it."""
        self._has_signs = False
        if self._spoke_until is not None:
            self._spoke_until = time.monotonic()

    @property
    def is_owed(self) -> bool:
        """True while final words are still to come."""
        return self._spoke_until is not None

    def is_overdue(self, allowance: float) -> bool:
        """True once they should have come, `allowance` seconds more included."""
        if self._spoke_until is None:
            return False
        patience = self._patience.no_final if self._has_signs else self._patience.no_words
        return time.monotonic() - self._spoke_until > patience + allowance
