"""Two telephones of one process in one talk with an agent: each hears the agent and the other, never itself.

caller's line ── heard ──► kept ──► + the agent's voice ──► person
person's line ── heard ──► kept ──► + the agent's voice ──► caller
"""

from collections import deque

import numpy as np

_FIRST_KEPT, _MOST_KEPT = 2, 10
"""Frames of 20 ms: the two lines' clocks are not one, and what is late nobody wants to hear."""


class Other:
    """What another line's other side says, on its way into the sound of this one."""

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque(maxlen=_MOST_KEPT)
        self._is_flowing = False

    def push(self, pcm: bytes) -> None:
        """They said this, int16 mono, 20 ms."""
        self._frames.append(pcm)

    def over(self, pcm: bytes | None) -> bytes | None:
        """The same 20 ms with theirs; None where there is neither."""
        if not self._is_flowing and len(self._frames) < _FIRST_KEPT:
            return pcm
        self._is_flowing = bool(self._frames)
        if not self._frames:
            return pcm
        theirs = self._frames.popleft()
        if pcm is None or len(pcm) != len(theirs):
            return theirs if pcm is None else pcm
        both = np.frombuffer(pcm, np.int16).astype(np.int32) + np.frombuffer(theirs, np.int16)
        return np.clip(both, -32768, 32767).astype(np.int16).tobytes()
