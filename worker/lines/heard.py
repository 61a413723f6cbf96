"""Listen to both sides of a session as they sound, without being in the way of either.

The agent's side is what was *played*: speech is made faster than it is spoken, and a barge-in throws the
rest away. While a sentence plays, the playhead is reckoned from the clock and sound is told `MARGIN` behind
it; where a stretch ends (its end, a pause, a barge-in) the sink says exactly how far it came, and the rest
up to there is told.

    made    ████████████████████████                        faster than real time
    played  ▁▁▁▁██████████████▌                             stops here
    told    ▁▁▁▁▁▁▁██████████████                           MARGIN later, never more than was played
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from livekit import rtc
from livekit.agents.voice import io

from worker.lines.line import AudioTap

MARGIN_SECONDS = 0.25
"""More than a sink can hold in its queue (0.2 s): so much of what was handed over may still be dropped."""
TICK_SECONDS = 0.1
_BYTES = 2


class HeardInput(io.AudioInput):
    """Passes the caller's frames on and tells the tap of each."""

    def __init__(self, source: io.AudioInput, tap: AudioTap) -> None:
        super().__init__(label="Heard", source=source)
        self._from = source
        self._tap = tap

    async def __anext__(self) -> rtc.AudioFrame:
        frame = await self._from.__anext__()
        self._tap.caller(bytes(frame.data), frame.sample_rate, time.time() - frame.duration)
        return frame


@dataclass
class _Segment:
    """One stretch of speech between two flushes. Offsets are seconds into it."""

    sample_rate: int
    pcm: bytearray = field(default_factory=bytearray)
    dropped: float = 0.0
    """Offset of the first byte in `pcm`; what lies before has been told or was never played."""
    is_open: bool = True
    plays_since: float | None = None
    """Wall time at which the running stretch began, None while nothing plays."""
    offset: float = 0.0
    """Where in the segment the running stretch began."""

    @property
    def made(self) -> float:
        return self.dropped + len(self.pcm) / (_BYTES * self.sample_rate)

    def take(self, until: float) -> tuple[float, bytes]:
        """What lies before `until`, with the offset it begins at."""
        start = self.dropped
        samples = max(0, round((until - start) * self.sample_rate))
        piece = bytes(self.pcm[: samples * _BYTES])
        del self.pcm[: samples * _BYTES]
        self.dropped = start + len(piece) / (_BYTES * self.sample_rate)
        return start, piece


class HeardOutput(io.AudioOutput):
    """Passes the agent's frames on and tells the tap what came to be played. Mono."""

    def __init__(self, sink: io.AudioOutput, tap: AudioTap, clock: Callable[[], float] = time.time) -> None:
        super().__init__(
            label="Heard", next_in_chain=sink, capabilities=io.AudioOutputCapabilities(pause=True)
        )
        self._sink = sink
        self._tap = tap
        self._clock = clock
        self._segments: deque[_Segment] = deque()
        self._ticker: asyncio.TimerHandle | None = None
        self._is_paused = False
        self.on("playback_finished", self._finished)

    @property
    def sample_rate(self) -> int | None:
        """As the sink wants it."""
        return self._sink.sample_rate

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Hand the frame on and keep it until it has been played."""
        # Noted first: the sink may report playback before it returns.
        if not self._segments or not self._segments[-1].is_open:
            self._segments.append(_Segment(frame.sample_rate))
        self._segments[-1].pcm += bytes(frame.data)
        await super().capture_frame(frame)
        await self._sink.capture_frame(frame)

    def flush(self) -> None:
        """The segment is complete."""
        super().flush()
        if self._segments:
            self._segments[-1].is_open = False
        self._sink.flush()

    def clear_buffer(self) -> None:
        """Stop playing."""
        self._sink.clear_buffer()

    def pause(self) -> None:
        """Hold the sound; the sink reports where."""
        self._is_paused = True
        super().pause()

    def resume(self) -> None:
        """Go on."""
        self._is_paused = False
        if self._segments and self._segments[0].plays_since is None and self._segments[0].dropped > 0:
            self._segments[0].plays_since = self._clock()
        super().resume()

    def on_playback_started(self, *, created_at: float) -> None:
        """A segment is heard from now on."""
        super().on_playback_started(created_at=created_at)
        if self._segments:
            self._segments[0].plays_since = created_at
            self._tick_later()

    def on_playback_progressed(self, *, started_at: float, offset: float, duration: float) -> None:
        """A stretch has ended; this is exactly what was heard of it."""
        super().on_playback_progressed(started_at=started_at, offset=offset, duration=duration)
        if not self._segments:
            return
        segment = self._segments[0]
        segment.take(offset)  # a gap before it was thrown away unheard
        self._tell(segment, offset + duration, started_at - offset)
        segment.offset = offset + duration
        segment.plays_since = None if self._is_paused else self._clock()

    def _finished(self, event: io.PlaybackFinishedEvent) -> None:
        # As a listener and not by overriding: a segment that is cancelled before a sound is only emitted.
        if not self._segments:
            return
        segment = self._segments.popleft()
        if segment.offset == 0.0 and segment.plays_since is not None:
            # A sink that reports no stretches: its end is all there is to know.
            self._tell(segment, event.playback_position, segment.plays_since)

    def _tell(self, segment: _Segment, until: float, zero_at: float) -> None:
        """Tell what lies before `until`; `zero_at` is when offset 0 of this stretch would have played."""
        offset, pcm = segment.take(until)
        if pcm:
            self._tap.agent(pcm, segment.sample_rate, zero_at + offset)

    def _tick_later(self) -> None:
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().call_later(TICK_SECONDS, self._tick)

    def _tick(self) -> None:
        self._ticker = None
        if not self._segments:
            return
        segment = self._segments[0]
        if segment.plays_since is not None and not self._is_paused:
            played = segment.offset + self._clock() - segment.plays_since
            until = min(played - MARGIN_SECONDS, segment.made)
            self._tell(segment, until, segment.plays_since - segment.offset)
        self._tick_later()
