"""The agent's sound on a clock of our own, ten milliseconds at a time.

    made     ████████████████████████████          faster than real time, kept here
    sent     ████████████▌                         LEAD ahead of the clock, never more
    paused               ▌                         nothing follows: there is no queue behind us to empty

LiveKit's own output keeps 200 ms in a queue that its source empties all the time, also while nobody
speaks, and has it encoded; a source without a queue costs nothing while the agent is quiet.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from livekit import rtc
from livekit.agents.voice import io

from pipelines.background import Background
from pipelines.contract.actions import HoldSound
from worker.lines.listening import LineListeners
from worker.lines.music import Music

FRAME_SECONDS = 0.01
LEAD_SECONDS = 0.02
"""One Opus packet: the first one leaves at once, and a late wake-up leaves no gap."""
_GAP_SECONDS = 0.1
"""Later than this, the clock starts afresh instead of catching up in a burst."""
_BYTES = 2

Sink = Callable[[rtc.AudioFrame], Awaitable[None]]
"""Takes 10 ms of mono sound that are heard from now on."""


@dataclass
class _Segment:
    """One stretch of speech between two flushes."""

    pcm: bytearray = field(default_factory=bytearray)
    is_open: bool = True
    is_cut: bool = False


class Kept(io.AudioOutput):
    """An audio output that keeps the sound until whoever has the clock asks for `next`."""

    def __init__(self, sample_rate: int, frame_seconds: float, label: str) -> None:
        super().__init__(
            label=label, sample_rate=sample_rate, capabilities=io.AudioOutputCapabilities(pause=True)
        )
        self._rate = sample_rate
        self._frame_seconds = frame_seconds
        self._step = int(sample_rate * frame_seconds)
        self._segments: deque[_Segment] = deque()
        self._changed = asyncio.Event()
        self._is_paused = self._is_held = False
        self._sent = 0.0
        """Seconds of the present segment that were sent."""
        self._run_from = self._run_at = 0.0
        """Where in the segment, and when, the stretch began that plays now."""

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Keep the sound until it is due."""
        await super().capture_frame(frame)
        if not self._segments or not self._segments[-1].is_open:
            self._segments.append(_Segment())
        self._segments[-1].pcm += bytes(frame.data)
        self._changed.set()

    def flush(self) -> None:
        """The segment is complete."""
        super().flush()
        if self._segments:
            self._segments[-1].is_open = False
            self._changed.set()

    def clear_buffer(self) -> None:
        """Stop now; what was not sent never will be."""
        for segment in self._segments:
            segment.is_cut = True
        self._changed.set()

    def pause(self) -> None:
        """Hold the sound now."""
        super().pause()
        self._is_paused = True
        self._report()

    def resume(self) -> None:
        """Go on where it was held."""
        super().resume()
        self._is_paused = False
        self._changed.set()

    def hold(self, *, is_on: bool) -> None:
        """Let all that is said wait, whoever pauses or resumes; only what is cut off ends meanwhile."""
        if is_on and not self._is_held:
            self._report()
        self._is_held = is_on
        self._changed.set()

    def next(self) -> rtc.AudioFrame | None:
        """What to send now, None when there is nothing; ends the segments that are over."""
        while self._segments:
            segment = self._segments[0]
            size = self._step * _BYTES
            if segment.is_cut:
                segment.pcm.clear()
            elif self._is_paused or self._is_held:
                return None
            if len(segment.pcm) >= size or (segment.pcm and not segment.is_open):
                piece = bytes(segment.pcm[:size]).ljust(size, b"\0")
                del segment.pcm[:size]
                self._started()
                self._sent += self._frame_seconds
                return rtc.AudioFrame(piece, self._rate, 1, self._step)
            if segment.is_open:
                self._report()  # it ran dry
                return None
            self._ended(segment)
        return None

    def _started(self) -> None:
        if self._sent == 0.0:
            self.on_playback_started(created_at=time.time())
        if self._run_at == 0.0:
            self._run_from, self._run_at = self._sent, time.time()

    def _ended(self, segment: _Segment) -> None:
        self._segments.popleft()
        self._report()
        position, self._sent, self._run_from = self._sent, 0.0, 0.0
        self.on_playback_finished(playback_position=position, interrupted=segment.is_cut)

    def _report(self) -> None:
        """Tell of the stretch that ends here; the next one begins with the next frame."""
        if self._sent > self._run_from:
            self.on_playback_progressed(
                started_at=self._run_at, offset=self._run_from, duration=self._sent - self._run_from
            )
        self._run_from, self._run_at = self._sent, 0.0


class Playout(Kept):
    """An audio output for sinks that have no clock and no queue."""

    def __init__(
        self,
        sink: Sink,
        sample_rate: int,
        ready: "asyncio.Future[None] | None" = None,
        background: Background | None = None,
        listeners: LineListeners | None = None,
    ) -> None:
        """`listeners` are told of what is sent, and have what is sent instead while they have the call."""
        super().__init__(sample_rate, FRAME_SECONDS, "Playout")
        self._listeners = listeners
        self._sink = sink
        self._ready = ready
        self._background = background
        self._music: Music | None = None
        self._rendering: asyncio.Task[None] | None = None
        self._playing: asyncio.Task[None] | None = None
        self._preparing: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Let the background be heard, also before the first word."""
        if self._background is not None and self._playing is None:
            self._preparing = asyncio.create_task(self._background.prepare(self._rate))
            self._playing = asyncio.create_task(self._play(), name="Playout")

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Keep the sound until it is due, and somebody is `ready` to hear it."""
        if self._ready is not None:
            await asyncio.shield(self._ready)
        await super().capture_frame(frame)
        self._go()

    def wait(self, sound: HoldSound | None) -> None:
        """Let the voice wait behind music, or none; None lets it go on."""
        self._music = None
        if sound == "music":
            self._music = Music(self._rate)
            self._rendering = asyncio.create_task(self._music.prepare())
            self._go()
        self.hold(is_on=sound is not None)

    def attend(self) -> None:
        """Somebody listens, and may speak: the clock runs also while the agent is quiet."""
        self._go()
        self._changed.set()

    def _go(self) -> None:
        if self._playing is None:
            self._playing = asyncio.create_task(self._play(), name="Playout")

    async def aclose(self) -> None:
        """Send nothing more."""
        if self._ready is not None:
            self._ready.cancel()
        if self._playing is not None:
            self._playing.cancel()
            await asyncio.gather(self._playing, return_exceptions=True)
        made = [task for task in (self._preparing, self._rendering) if task is not None]
        await asyncio.gather(*made, return_exceptions=True)

    def _of(self, music: Music) -> rtc.AudioFrame:
        pcm = music.next(self._step) or bytes(self._step * _BYTES)  # not rendered yet
        return rtc.AudioFrame(pcm, self._rate, 1, self._step)

    @property
    def _is_attended(self) -> bool:
        return self._listeners is not None and self._listeners.is_attended

    def _instead(self, frame: rtc.AudioFrame | None) -> rtc.AudioFrame | None:
        """What is sent of this: what somebody else says, while they have the call."""
        if self._listeners is None or not self._listeners.is_attended:
            return frame
        pcm = self._listeners.heard_instead(bytes(frame.data) if frame is not None else None)
        if pcm is None and not self._listeners.has_talker:
            return None
        return rtc.AudioFrame(pcm or bytes(self._step * _BYTES), self._rate, 1, self._step)

    async def _play(self) -> None:
        due = 0.0
        if self._ready is not None:
            await asyncio.shield(self._ready)
        while True:
            self._changed.clear()
            frame = self.next()
            if self._music is not None:
                frame = self._of(self._music)
            elif self._background is not None:
                frame = self._background.under(frame, self._rate, self._step)
            if self._music is None:
                frame = self._instead(frame)
            if frame is None:
                if self._is_attended:
                    await asyncio.sleep(FRAME_SECONDS)
                else:
                    await self._changed.wait()
                continue
            now = time.monotonic()
            if now - due > _GAP_SECONDS:
                due = now - LEAD_SECONDS
            await self._sink(frame)
            due += FRAME_SECONDS
            await asyncio.sleep(due - time.monotonic())
