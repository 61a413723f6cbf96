"""Two sides of a call into one file, as they sounded, written while the call runs.

    wall clock   ├─────────┼─────────┼─────────┼───►
    caller  left ▁▁▁▁▁▁▁▁▁▁▁▁███████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    agent  right ▁▁████████████▌▁▁▁▁▁▁▁▁▁██████▁▁▁▁    ▌ cut where the sound stopped
                 └──on disk──────────────┘└settle┘     pages of 0.2 s, 0.4 s behind the clock

A killed process loses less than the last second; `seal` mends the end of the file.
"""

import asyncio
import logging
import queue
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import av
import numpy as np
from numpy.typing import NDArray

from pipelines import ogg
from worker.lines.rtp.codecs import Resampler

logger = logging.getLogger(__name__)

seal = ogg.seal

RATE = ogg.CLOCK_HZ
PHONE_RATE = 16_000
"""More than a telephone's sound has; to write it at 48 kHz costs a third of a whole call more."""
BIT_RATE = 48_000
SETTLE_SECONDS = 0.4
"""How far behind the clock the file is: the agent's side is known this late (see `lines.heard`)."""
STALL_SECONDS = 0.8
"""A caller whose frames are late is waited for this long, then silence is written."""
TICK_SECONDS = 0.1
PAGE_PACKETS = 10
QUEUE_BOUND = 400
"""Pieces of about 50 ms from each side: ten seconds in which the disk may be stuck."""

Samples = NDArray[np.int16]
Side = Literal["caller", "agent"]
_FRAMES_A_SECOND = 50


class Track:
    """One channel on the timeline. Positions are samples at `rate` since the recording began."""

    def __init__(self, slack_seconds: float, rate: int = RATE) -> None:
        self._rate = rate
        self._slack = round(slack_seconds * rate)
        self._placed: list[tuple[int, Samples]] = []
        self._next = 0
        self._resampler: Resampler | None = None
        self._source_rate = 0

    @property
    def placed_through(self) -> int:
        """Up to where sound has been placed."""
        return self._next

    def push(self, position: int, pcm: bytes, sample_rate: int) -> None:
        """Place sound. What continues the last piece to within the slack is joined to it without a seam."""
        if sample_rate != self._source_rate or abs(position - self._next) > self._slack:
            self._begin(position, sample_rate)
        self._put(pcm if self._resampler is None else self._resampler.push(pcm))

    def _begin(self, position: int, sample_rate: int) -> None:
        if self._resampler is not None:
            self._put(self._resampler.finish())
        self._resampler = Resampler(sample_rate, self._rate) if sample_rate != self._rate else None
        self._source_rate = sample_rate
        self._next = max(self._next, position)

    def _put(self, pcm: bytes) -> None:
        samples = np.frombuffer(pcm, np.int16)
        self._placed.append((self._next, samples))
        self._next += len(samples)

    def take(self, start: int, end: int) -> Samples:
        """The channel over [start, end), silent where nothing was placed; what is taken is forgotten."""
        block = np.zeros(end - start, np.int16)
        kept: list[tuple[int, Samples]] = []
        for position, samples in self._placed:
            stop = position + len(samples)
            low, high = max(position, start), min(stop, end)
            if low < high:
                block[low - start : high - start] = samples[low - position : high - position]
            if stop > end:
                at = max(position, end)
                kept.append((at, samples[at - position :]))
        self._placed = kept
        return block


class Recording:
    """An `AudioTap` that writes what it is given. Opens its file at once; `close` seals it.

    Nothing here blocks the event loop: one thread places, encodes and writes. What does not fit into
    its queue is dropped and counted, never waited for.
    """

    def __init__(
        self,
        path: Path,
        rate: int = RATE,
        *,
        began_at: float | None = None,
        agent_slack_seconds: float = 0.1,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`rate` is one that Opus knows. `began_at` is when the sound begins that comes first, if not now;
        what is late is joined to what was before within the slack.
        """
        self._path, self._rate = path, rate
        self._frame = rate // _FRAMES_A_SECOND
        self._clock = clock
        self._began_at = clock() if began_at is None else began_at
        self._queue: queue.Queue[tuple[Side, bytes, int, float]] = queue.Queue(QUEUE_BOUND)
        self._stopping = threading.Event()
        self._tracks = {"caller": Track(0.4, rate), "agent": Track(agent_slack_seconds, rate)}
        self._cursor = 0
        self.dropped = 0
        self.failure = ""
        """Why there is less in the file than was heard; empty when all is well."""
        self._thread = threading.Thread(target=self._run, name="recording", daemon=True)
        self._thread.start()

    def caller(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The caller said this."""
        self._put("caller", pcm, sample_rate, at)

    def agent(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """The agent was heard saying this."""
        self._put("agent", pcm, sample_rate, at)

    def stop(self) -> None:
        """Take what was heard up to now, and no more."""
        self._stopping.set()

    async def close(self) -> int:
        """Write what is left, seal the file, and return its length in milliseconds (0: no recording)."""
        self.stop()
        await asyncio.to_thread(self._thread.join, 10.0)
        if not self._path.exists():
            return 0
        return await asyncio.to_thread(seal, self._path)

    def _put(self, side: Side, pcm: bytes, sample_rate: int, at: float) -> None:
        try:
            self._queue.put_nowait((side, pcm, sample_rate, at))
        except queue.Full:
            self.dropped += 1

    def _run(self) -> None:
        try:
            with self._path.open("wb", buffering=0) as file:
                encoder = _Encoder(round(self._began_at * 1000), self._rate)
                file.write(encoder.headers())
                while not self._stopping.wait(TICK_SECONDS):
                    self._place_waiting()
                    self._write(file.write, encoder, self._settled())
                self._place_waiting()
                self._write(file.write, encoder, round((self._clock() - self._began_at) * self._rate))
                file.write(encoder.finish())
        except Exception as error:  # the call must go on without its recording
            self.failure = f"{type(error).__name__}: {error}"
            logger.exception("the recording failed")
        if self.dropped:
            self.failure = self.failure or "the disk was too slow"
            logger.warning("the recording lost pieces", extra={"pieces": self.dropped})

    def _place_waiting(self) -> None:
        for _ in range(QUEUE_BOUND):
            try:
                side, pcm, sample_rate, at = self._queue.get_nowait()
            except queue.Empty:
                return
            self._tracks[side].push(round((at - self._began_at) * self._rate), pcm, sample_rate)

    def _settled(self) -> int:
        now = self._clock() - self._began_at
        heard = self._tracks["caller"].placed_through / self._rate
        return round(max(min(now - SETTLE_SECONDS, heard), now - STALL_SECONDS) * self._rate)

    def _write(self, write: Callable[[bytes], object], encoder: "_Encoder", until: int) -> None:
        while self._cursor + self._frame <= until:
            end = self._cursor + self._frame
            left = self._tracks["caller"].take(self._cursor, end)
            right = self._tracks["agent"].take(self._cursor, end)
            self._cursor = end
            if page := encoder.encode(np.stack([left, right], axis=1)):
                write(page)


class _Encoder:
    def __init__(self, began_ms: int, rate: int) -> None:
        context = av.CodecContext.create("libopus", "w")
        context.sample_rate = self._rate = rate
        context.layout = "stereo"
        context.format = "s16"
        context.bit_rate = BIT_RATE
        # A third of the default's work, for a telephone a quarter; at this rate speech sounds the same.
        context.options = {"compression_level": "3" if rate == RATE else "0", "frame_duration": "20"}
        context.open()
        self._context = context
        self._pages = ogg.OpusPages(bytes(context.extradata or b""), random.getrandbits(32), began_ms)
        self._packets: list[bytes] = []
        self._granule = 0

    def headers(self) -> bytes:
        return self._pages.headers()

    def encode(self, samples: Samples) -> bytes:
        """A page, when one is full. `samples` are 20 ms, shape (samples, 2)."""
        frame = av.AudioFrame(format="s16", layout="stereo", samples=len(samples))
        frame.planes[0].update(samples.tobytes())
        frame.sample_rate = self._rate
        self._packets += [bytes(packet) for packet in self._context.encode(frame)]
        return self._page() if len(self._packets) >= PAGE_PACKETS else b""

    def finish(self) -> bytes:
        self._packets += [bytes(packet) for packet in self._context.encode(None)]
        return self._page(is_last=True) if self._packets else b""

    def _page(self, *, is_last: bool = False) -> bytes:
        packets, self._packets = self._packets, []
        self._granule += len(packets) * RATE // _FRAMES_A_SECOND  # of 48 kHz, whatever is coded
        return self._pages.page(packets, self._granule, is_last=is_last)
