"""Deciding from one probability each 32 ms when somebody speaks, pauses and has ended."""

from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
WINDOW = 512
WINDOW_SECONDS = WINDOW / SAMPLE_RATE

_SPEECH = 0.5
_NO_SPEECH = 0.35
_START_WINDOWS = 2
_HUSH_WINDOWS = 2
_PAUSE_WINDOWS = 5
_END_WINDOWS = 8
_PREFIX_WINDOWS = 12
_MIN_VOICED_WINDOWS = 3
_MAX_WINDOWS = 750

Step = Literal["started", "hushed", "paused", "resumed", "ended", "dropped", "cut"]
"""`dropped` ends a stretch that was too short to be a word, `cut` one that never ends."""


@dataclass(frozen=True)
class Stretch:
    """What was said from `starts_at` to `ends_at`, in seconds of the stream; int16 mono at 16 kHz."""

    samples: NDArray[np.int16]
    starts_at: float
    ends_at: float


class SpeechGate:
    """Collects stretches of speech and says where in them we are. Pure: no clock, no model.

        probability ▁▁▁███████▁▁▁▁▁▁▁▁▁▁▁▁
        steps          started │ │ └ended   256 ms of silence: it is over
                               │ └paused    160 ms: worth decoding, on the chance that it is over
                               └hushed       64 ms: nobody reads a caption any more

    A stretch begins a third of a second before its first sound and holds the silence up to its end. Speech
    that comes back after `paused` gives `resumed`, and the stretch goes on. After 24 s it is `cut`.
    """

    def __init__(self) -> None:
        self._before: deque[NDArray[np.int16]] = deque(maxlen=_PREFIX_WINDOWS)
        self._windows: list[NDArray[np.int16]] = []
        self._count = 0
        self._voiced = 0
        self._silent = 0
        self._is_speaking = False

    @property
    def is_speaking(self) -> bool:
        """True from `started` to `ended`."""
        return self._is_speaking

    @property
    def is_silent_now(self) -> bool:
        """True when the newest window held no speech."""
        return self._silent > 0

    @property
    def seconds(self) -> float:
        """How long the present stretch is."""
        return len(self._windows) * WINDOW_SECONDS

    def feed(self, window: NDArray[np.int16], probability: float) -> Step | None:
        """Take the next `WINDOW` samples and how likely they hold speech."""
        self._count += 1
        if not self._is_speaking:
            return self._wait(window, probability)
        self._windows.append(window)
        if probability >= _SPEECH:
            was_paused = self._silent >= _PAUSE_WINDOWS
            self._silent = 0
            self._voiced += 1
            if was_paused:
                return "resumed"
        elif probability < _NO_SPEECH or self._silent:
            self._silent += 1
            return self._fall_silent()
        return "cut" if len(self._windows) >= _MAX_WINDOWS else None

    def stretch(self) -> Stretch:
        """What was said so far, or up to the last `ended` or `cut`."""
        samples = np.concatenate(self._windows) if self._windows else np.zeros(0, np.int16)
        ends = self._count - self._silent
        starts = self._count - len(self._windows)
        return Stretch(samples, starts * WINDOW_SECONDS, ends * WINDOW_SECONDS)

    def end(self) -> Step | None:
        """Somebody else knows that it is over: end the present stretch, None when there is none."""
        if not self._is_speaking:
            return None
        self._is_speaking = False
        return "ended" if self._voiced >= _MIN_VOICED_WINDOWS else "dropped"

    def clear(self) -> None:
        """Forget the stretch; to be called once it was taken. Speech that goes on starts the next one."""
        # The silence at its end is not kept as the next one's beginning: words would be heard twice.
        self._windows = []
        self._before.clear()
        self._silent = 0 if self._is_speaking else self._silent

    def _wait(self, window: NDArray[np.int16], probability: float) -> Step | None:
        self._before.append(window)
        self._voiced = self._voiced + 1 if probability >= _SPEECH else 0
        if self._voiced < _START_WINDOWS:
            return None
        self._windows = list(self._before)
        self._before.clear()
        self._silent = 0
        self._is_speaking = True
        return "started"

    def _fall_silent(self) -> Step | None:
        if self._silent == _HUSH_WINDOWS:
            return "hushed"
        if self._silent == _PAUSE_WINDOWS:
            return "paused"
        return self.end() if self._silent >= _END_WINDOWS else None
