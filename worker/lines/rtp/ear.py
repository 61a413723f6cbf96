"""What the other side says, in frames of 20 ms on our clock, also while nothing comes.

    ticks     | | | | | | | | | | | |
    packets   x x     xxx x x                  late ones are caught up with, not thrown away
    frames    x x     xxx x x · · · ·          · silence, once nothing came for `grace`

So many frames as ticks go out in the long run: what came on top is paid back where it is quiet.
"""

import numpy as np
from aiortp import NoiseGenerator, PcmConcealer

from worker.lines.rtp.codecs import Codec
from worker.lines.rtp.jitter import Gap
from worker.lines.rtp.media import FRAME_SECONDS, FRAME_UNITS

MOST_AT_ONCE = 4
"""Frames in one tick, when there is something to catch up with."""
MOST_KEPT_SECONDS = 3.0
MOST_CONCEALED = 6
"""Frames of one gap; a longer one is silence by then, and the clock makes that."""
GRACE_SECONDS = 0.06
_QUIET_RMS = 120.0
_BYTES = 2


class Ear:
    """Decodes, conceals and keeps time. `rate` is that of the PCM, int16 mono."""

    def __init__(self, codec: Codec) -> None:
        self._codec = codec
        self.rate = codec.rate
        self._frame = int(codec.rate * FRAME_SECONDS) * _BYTES
        self._concealer = PcmConcealer(codec.rate)
        self._pcm = bytearray()
        self._owed = 0
        """Ticks without a frame, less frames on top."""
        self._last_units = FRAME_UNITS
        self._noise: NoiseGenerator | None = None
        self.concealed = 0
        """Frames that were made up for lost ones."""

    def hear(self, items: list[bytes | Gap]) -> None:
        """What came, in order."""
        for item in items:
            if isinstance(item, Gap):
                self._conceal(item.packets)
                continue
            pcm = self._codec.decode(item)
            self._noise = None
            self._last_units = len(item)
            self._concealer.update(pcm)
            self._pcm += pcm
        most = int(MOST_KEPT_SECONDS * self.rate) * _BYTES
        if len(self._pcm) > most:
            del self._pcm[: len(self._pcm) - most]

    def quiet(self, level: int) -> None:
        """The other side is silent, with noise of so many -dBov (RFC 3389)."""
        if self._noise is None or self._noise.level != level:
            self._noise = NoiseGenerator(level)

    def tick(self, wait_seconds: float) -> list[bytes]:
        """20 ms have passed: the frames to go on. `wait_seconds` is how long packets may be late."""
        self._owed += 1
        frames: list[bytes] = []
        while len(self._pcm) >= self._frame and len(frames) < MOST_AT_ONCE:
            frame = bytes(self._pcm[: self._frame])
            del self._pcm[: self._frame]
            if self._owed < 0 and _is_quiet(frame):
                continue
            self._owed -= 1
            frames.append(frame)
        grace = max(GRACE_SECONDS, wait_seconds + FRAME_SECONDS) / FRAME_SECONDS
        while self._owed > grace:
            self._owed -= 1
            frames.append(self._silence())
        return frames

    def _conceal(self, packets: int) -> None:
        units = min(packets * self._last_units, MOST_CONCEALED * FRAME_UNITS)
        samples = units * self.rate // 8000
        self.concealed += max(1, units // FRAME_UNITS)
        if self._concealer.frame_samples:
            self._pcm += self._concealer.conceal(samples)

    def _silence(self) -> bytes:
        if self._noise is not None:
            return self._noise.generate(self._frame // _BYTES)
        return bytes(self._frame)


def _is_quiet(frame: bytes) -> bool:
    samples = np.frombuffer(frame, np.int16).astype(np.float32)
    return float(np.sqrt(np.mean(samples * samples))) < _QUIET_RMS
