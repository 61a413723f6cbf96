"""What somebody hears for whom a telephone rings elsewhere (ITU-T E.180: 425 Hz, a second in five)."""

import functools

import numpy as np

from worker.lines.rtp.media import FRAME_SECONDS

HZ = 425.0
ON_SECONDS, OFF_SECONDS = 1.0, 4.0
_PEAK = 0.08
"""Of full scale: 25 dB below it, as exchanges send their tones."""


class Ringback:
    """Frames of 20 ms, int16 mono; None in the pause."""

    def __init__(self, rate: int) -> None:
        self._frames = _ring(rate)
        self._every = round((ON_SECONDS + OFF_SECONDS) / FRAME_SECONDS)
        self._at = 0

    def next(self) -> bytes | None:
        """The next one."""
        at, self._at = self._at, (self._at + 1) % self._every
        return self._frames[at] if at < len(self._frames) else None

    def close(self) -> None:
        """Nothing is held."""


@functools.lru_cache(maxsize=2)
def _ring(rate: int) -> tuple[bytes, ...]:
    size = int(rate * ON_SECONDS)
    sound = np.sin(2 * np.pi * HZ / rate * np.arange(size)) * _PEAK * 32767
    fade = np.minimum(1.0, np.minimum(np.arange(size), np.arange(size)[::-1]) / (rate * 0.01))
    pcm = (sound * fade).astype(np.int16)
    step = int(rate * FRAME_SECONDS)
    return tuple(pcm[at : at + step].tobytes() for at in range(0, size, step))
