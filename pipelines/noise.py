"""Less noise in what a caller says, before anybody hears it: RNNoise (the extra `noise`).

About 55 ms of CPU for each second of a call, more than all else in it together, so it is off unless
an agent asks for it. The work is done in a thread: a frame takes longer than the loop may stand still.
"""

import asyncio
import ctypes
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io
from numpy.typing import NDArray

RATE = 48_000
PIECE = 480
"""RNNoise knows this rate and this length alone."""

_THREADS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="noise")


def is_installed() -> bool:
    """True where the extra is."""
    return find_spec("pyrnnoise") is not None


class Suppressor:
    """Takes noise away, one frame after the other. Not for two threads at once; `close` it at the end.

    Frames are int16 mono of any one rate; what comes out is 10 ms later than what goes in.
    """

    def __init__(self) -> None:
        from pyrnnoise import rnnoise  # noqa: PLC0415 - an extra

        self._library: Any = rnnoise
        self._state: Any = rnnoise.create()
        self._up: rtc.AudioResampler | None = None
        self._down: rtc.AudioResampler | None = None
        self._rest = np.zeros(0, np.int16)
        self._in_use = threading.Lock()

    def clean(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        """The frames that are ready, at the rate of what came in; none once it is closed."""
        with self._in_use:
            return self._cleaned(frame) if self._state is not None else []

    def _cleaned(self, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        if frame.sample_rate == RATE:
            return [_frame(self._quieted(np.frombuffer(frame.data, np.int16)))]
        if self._up is None or self._down is None:
            quick = rtc.AudioResamplerQuality.QUICK
            self._up = rtc.AudioResampler(frame.sample_rate, RATE, quality=quick)
            self._down = rtc.AudioResampler(RATE, frame.sample_rate, quality=quick)
        ready: list[rtc.AudioFrame] = []
        for wide in self._up.push(frame):
            quieted = self._quieted(np.frombuffer(wide.data, np.int16))
            if len(quieted):
                ready += self._down.push(_frame(quieted))
        return ready

    def _quieted(self, samples: NDArray[np.int16]) -> NDArray[np.int16]:
        self._rest = np.concatenate((self._rest, samples))
        whole = len(self._rest) // PIECE * PIECE
        pieces = self._rest[:whole].astype(np.float32).reshape(-1, PIECE)
        self._rest = self._rest[whole:]
        for piece in pieces:
            at = piece.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
            self._library.lib.rnnoise_process_frame(self._state, at, at)
        return np.clip(pieces, -32_768, 32_767).astype(np.int16).reshape(-1)

    def close(self) -> None:
        """Give its memory back, once a frame that is under way in a thread is done.

        A call that ends waits for no thread, and memory taken from under one ends the process.
        """
        with self._in_use:
            if self._state is not None:
                self._library.destroy(self._state)
                self._state = None


class Quieted(io.AudioInput):
    """A caller's sound without its noise."""

    def __init__(self, source: io.AudioInput) -> None:
        super().__init__(label="Quieted", source=source)
        self._frames = self._cleaned(source)

    async def _cleaned(self, source: io.AudioInput) -> AsyncIterator[rtc.AudioFrame]:
        suppressor, loop = Suppressor(), asyncio.get_running_loop()
        try:
            async for frame in source:
                for ready in await loop.run_in_executor(_THREADS, suppressor.clean, frame):
                    yield ready
        finally:
            suppressor.close()

    async def __anext__(self) -> rtc.AudioFrame:
        return await anext(self._frames)


def take_noise_out(session: AgentSession[Any], agent: Agent) -> None:
    """Let the session hear the caller without noise, where its agent asks for that; before it starts."""
    if getattr(agent, "is_quieted", False) and session.input.audio is not None:
        session.input.audio = Quieted(session.input.audio)


def _frame(samples: NDArray[np.int16]) -> rtc.AudioFrame:
    return rtc.AudioFrame(samples.tobytes(), RATE, 1, len(samples))
