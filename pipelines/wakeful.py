"""Keep the voice detector's model awake: after seconds of silence it is slow to know a word for one.

    heard    ██████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████
    asked    ████████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁██████     silence for a second, then louder sound only
    model                    ↑ begins anew: a sentence, and 0.8 s of silence, as if somebody had just spoken

The model remembers. Right after speech it knows the next word within 0.1 s; after eight seconds of silence,
as of somebody who listens to a long answer, it takes 0.3 s, and does not notice every second "okay".
"""

import functools
from pathlib import Path
from typing import Protocol

import numpy as np
from livekit.local_inference import VAD_WINDOW_SAMPLES
from numpy.typing import NDArray

ASLEEP_AFTER = 32
"""Windows in a row without speech, a second: from the third second on the model is slower each time."""
WOKEN_WITH = Path(__file__).parent / "data" / "wakes.pcm"
""""I would like to know.", int16 mono at 16 kHz, in a telephone's band: of many, one of the few after which
the model soon knows nearly every word, and takes few coughs for one."""
THEN_QUIET_SECONDS = 0.8
_RATE = 16_000
_SPEECH = 0.5
_LEAST_LEVEL = 30.0
"""RMS of int16, -61 dB: no telephone's silence is louder, no voice as quiet."""
_LOUDER = 1.6
"""Than the noise."""
_RISES = 1.03
"""Of what is taken for noise, in each window: twofold in 0.75 s. It falls at once."""

Window = NDArray[np.int16]


class Model(Protocol):
    """Tells how likely somebody speaks in a window of 512 samples at 16 kHz, and remembers those before."""

    def predict(self, window: Window) -> float:
        """Between 0 and 1."""

    def reset(self) -> None:
        """Remember nothing."""


class Wakeful:
    """A model that has always just heard somebody speak."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._noise = _LEAST_LEVEL
        self._without = 0
        """Windows in a row of which it said that nobody speaks, and which it remembers."""
        self._is_woken = False
        self._wake()

    def predict(self, window: Window) -> float:
        """How likely somebody speaks; 0 of silence, where it is clear without the model."""
        is_loud = self._is_loud(window)
        if self._without >= ASLEEP_AFTER:
            self._wake()
        if self._is_woken and not is_loud:
            return 0.0
        self._is_woken = False
        probability = self._model.predict(window)
        self._without = 0 if probability >= _SPEECH else self._without + 1
        return probability

    def reset(self) -> None:
        """What is heard next has nothing to do with what was."""
        self._noise = _LEAST_LEVEL
        self._wake()

    def _wake(self) -> None:
        self._model.reset()
        for window in _waking():
            self._model.predict(window)
        self._without, self._is_woken = 0, True

    def _is_loud(self, window: Window) -> bool:
        sound = window.astype(np.float32)
        level = float(np.sqrt(np.dot(sound, sound) / len(sound)))
        is_loud = level > max(_LEAST_LEVEL, self._noise * _LOUDER)
        self._noise = max(1.0, min(level, self._noise * _RISES))
        return is_loud


@functools.cache
def _waking() -> tuple[Window, ...]:
    """Whole windows that end with the silence."""
    said = np.fromfile(WOKEN_WITH, "<i2").astype(np.int16)
    quiet = np.zeros(int(THEN_QUIET_SECONDS * _RATE), np.int16)
    before = np.zeros(-(len(said) + len(quiet)) % VAD_WINDOW_SAMPLES, np.int16)
    whole = np.concatenate([before, said, quiet])
    return tuple(whole.reshape(-1, VAD_WINDOW_SAMPLES))
