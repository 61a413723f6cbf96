"""What a telephone's other side says, as the session wants it."""

import asyncio

from livekit import rtc
from livekit.agents.voice import io
from livekit.local_inference import VAD_WINDOW_SAMPLES

from worker.lines.rtp.codecs import Resampler

LISTEN_RATE = 16_000
MOST_KEPT = 64
"""Frames: two seconds. A session that does not listen hears the latest."""
_BYTES = 2


class Microphone(io.AudioInput):
    """What the other side says, for the session, at `LISTEN_RATE`, in the detector's windows of 32 ms.

    Each frame is handed from task to task half a dozen times, which is most of what a quiet call costs; the
    detector hears nothing sooner than its window is full anyway.
    """

    def __init__(self, rate: int) -> None:
        super().__init__(label="Phone")
        self._resampler = Resampler(rate, LISTEN_RATE)
        self._piece = VAD_WINDOW_SAMPLES * rate // LISTEN_RATE * _BYTES
        self._pcm = bytearray()
        self._is_first = True
        self._frames: asyncio.Queue[rtc.AudioFrame] = asyncio.Queue(MOST_KEPT)
        self._is_attached = False

    def on_attached(self) -> None:
        """Somebody listens."""
        self._is_attached = True

    def on_detached(self) -> None:
        """Nobody listens: what is said now is never heard."""
        self._is_attached = False
        while not self._frames.empty():
            self._frames.get_nowait()

    def feed(self, pcm: bytes) -> None:
        """20 ms."""
        self._pcm += pcm
        while len(self._pcm) >= self._piece:
            piece = self._resampler.push(bytes(self._pcm[: self._piece]))
            del self._pcm[: self._piece]
            if self._is_first:
                # The resampler keeps its delay back once; without it every window would end a tick later.
                self._is_first, piece = False, piece.rjust(VAD_WINDOW_SAMPLES * _BYTES, b"\0")
            if self._is_attached and piece:
                if self._frames.full():
                    self._frames.get_nowait()
                self._frames.put_nowait(rtc.AudioFrame(piece, LISTEN_RATE, 1, len(piece) // _BYTES))

    async def __anext__(self) -> rtc.AudioFrame:
        return await self._frames.get()
