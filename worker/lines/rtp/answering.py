"""Who has answered a call of ours: somebody who says hello and waits, or a machine that reads its greeting.

person    ▁▁▁██▁▁▁▁▁▁▁          a short word, then silence: they wait for ours
machine   ▁▁██████████████      nobody greets for so long without a pause
beep      ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▔▔▁▁    one steady tone: only machines make it
"""

from collections import deque
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from worker.lines.rtp.media import FRAME_SECONDS

AnsweredBy = Literal["person", "machine", "nobody"]

LONG_SECONDS = 1.9
PAUSE_SECONDS = 0.7
"""Between words of one greeting nobody is silent for so long."""
SHORT_SECONDS = 0.1
"""Less is a click."""
BEEP_SECONDS = 0.2
STILL_TALKS_SECONDS = 0.4
_LEAST_RMS = 200.0
"""43 dB below full scale: what is softer is the line."""
_ABOVE_NOISE = 3.0
_LATELY_FRAMES = 50
"""A second: within that every voice falls silent for a moment, and noise does not."""
_BEEP_HZ = (350.0, 2200.0)
_BEEP_SHARE = 0.9
"""Of all energy, in one place of the spectrum; a voice has its harmonics besides."""


class Answering:
    """Hears the other side from the moment of the answer, in frames of 20 ms, int16 mono."""

    def __init__(self, rate: int) -> None:
        size = int(rate * FRAME_SECONDS)
        self._window = np.hanning(size).astype(np.float32)
        self._hz = np.fft.rfftfreq(size, 1 / rate)
        self._lately: deque[float] = deque(maxlen=_LATELY_FRAMES)
        self._utterance = self._voiced = 0
        """Frames: from its first sound on, and those with sound."""
        self._quiet = 0
        self._tone_at = self._tone = self._after = 0
        self.answered_by: AnsweredBy | None = None
        """None until it is clear."""
        self.has_beeped = False
        """And has not gone on to talk since: some begin with a tone."""

    @property
    def quiet_seconds(self) -> float:
        """Since the last sound."""
        return self._quiet * FRAME_SECONDS

    def hear(self, pcm: bytes) -> None:
        """The next 20 ms."""
        if len(pcm) != 2 * len(self._window):
            return
        samples = np.frombuffer(pcm, np.int16).astype(np.float32)
        rms = float(np.sqrt(np.mean(samples * samples)))
        self._lately.append(rms)
        is_sound = rms > max(_LEAST_RMS, min(self._lately) * _ABOVE_NOISE)
        self._listen_for_a_beep(samples, is_sound=is_sound)
        if is_sound:
            self._quiet = 0
            self._voiced += 1
        else:
            self._quiet += 1
        if self._voiced:
            self._utterance += 1
        if self.answered_by is not None:
            return
        spoken = (self._utterance - self._quiet) * FRAME_SECONDS
        if self.has_beeped or spoken >= LONG_SECONDS:
            self.answered_by = "machine"
        elif self._voiced and self.quiet_seconds >= PAUSE_SECONDS:
            if self._voiced * FRAME_SECONDS >= SHORT_SECONDS:
                self.answered_by = "person"
            self._utterance = self._voiced = 0

    def _listen_for_a_beep(self, samples: NDArray[np.float32], *, is_sound: bool) -> None:
        energy = np.abs(np.fft.rfft(samples * self._window)) ** 2
        peak = int(energy.argmax())
        near = float(energy[max(0, peak - 1) : peak + 2].sum())
        is_tone = is_sound and near > _BEEP_SHARE * float(energy.sum())
        if not is_tone or not _BEEP_HZ[0] <= self._hz[peak] <= _BEEP_HZ[1]:
            self._tone = 0
            self._after += is_sound
            if self._after * FRAME_SECONDS > STILL_TALKS_SECONDS:
                self.has_beeped = False
        elif self._tone and abs(peak - self._tone_at) <= 1:
            self._tone += 1
        else:
            self._tone_at, self._tone = peak, 1
        if self._tone * FRAME_SECONDS >= BEEP_SECONDS:
            self.has_beeped, self._after = True, 0
