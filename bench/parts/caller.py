"""A caller with a clock: joins a room, speaks recordings in real time, keeps what it hears."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from livekit import rtc
from livekit.rtc.data_stream import StreamError
from numpy.typing import NDArray

RATE = 48_000
FRAME = RATE // 100
"""10 ms: what a source without a queue takes."""

LOUD = 300.0
"""RMS of int16 samples above which a frame is speech; Opus silence stays below 10."""

Pcm = NDArray[np.int16]


@dataclass
class Heard:
    """What arrived, stamped by `time.perf_counter()` when it was in our hands."""

    frames: list[tuple[float, Pcm]] = field(default_factory=list)
    captions: list[tuple[float, str, str]] = field(default_factory=list)
    """(when, `user` or `agent`, text so far)."""
    messages: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def first_sound_after(self, moment: float) -> float | None:
        """When the first of two loud frames in a row arrived after `moment`."""
        before: float | None = None
        for at, pcm in self.frames:
            if at < moment:
                continue
            if rms(pcm) < LOUD:
                before = None
            elif before is not None:
                return before
            else:
                before = at
        return None

    def last_sound(self) -> float | None:
        """When the last loud frame arrived."""
        return next((at for at, pcm in reversed(self.frames) if rms(pcm) >= LOUD), None)

    def audio(self) -> Pcm:
        """All of it in a row, int16 mono at 48 kHz."""
        return np.concatenate([pcm for _, pcm in self.frames]) if self.frames else np.zeros(0, np.int16)


def rms(pcm: Pcm) -> float:
    """Root mean square of int16 samples, in sample units."""
    return float(np.sqrt(np.mean(np.square(pcm, dtype=np.float32)))) if len(pcm) else 0.0


class Caller:
    """One person in a room. `late_frames` over 1 % of `sent_frames` voids a measurement."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.heard = Heard()
        self.sent_frames = 0
        self.late_frames = 0
        self.disconnected = asyncio.Event()
        self._queue: asyncio.Queue[tuple[Pcm, asyncio.Future[float]]] = asyncio.Queue(maxsize=8)
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    @contextlib.asynccontextmanager
    async def joined(cls, url: str, token: str) -> AsyncIterator["Caller"]:
        """Join, publish a microphone that is silent until `say`, and leave at the end."""
        caller = cls()
        await caller._join(url, token)
        try:
            yield caller
        finally:
            await caller.leave()

    async def say(self, pcm: Pcm) -> float:
        """Speak int16 mono 48 kHz in real time; returns when its last loud sample left, by our clock."""
        done: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        await self._queue.put((pcm, done))
        loud = np.flatnonzero(np.abs(pcm) > LOUD)
        silent_tail = (len(pcm) - 1 - loud[-1]) / RATE if len(loud) else 0.0
        return await done - float(silent_tail)

    async def type(self, text: str) -> None:
        """Send text instead of speech."""
        await self.room.local_participant.send_text(text, topic="lk.chat")

    async def hear(self, *, after: float, timeout: float = 20) -> float:
        """When the agent was first heard after that moment. Raises TimeoutError."""
        async with asyncio.timeout(timeout):
            while True:
                at = self.heard.first_sound_after(after)
                if at is not None:
                    return at
                await asyncio.sleep(0.02)

    async def quiet(self, *, seconds: float = 1.0, timeout: float = 40) -> float:
        """Wait until the agent said nothing for that long; returns when its last sound was."""
        async with asyncio.timeout(timeout):
            while True:
                last = self.heard.last_sound()
                if last is not None and time.perf_counter() - last >= seconds:
                    return last
                await asyncio.sleep(0.05)

    async def leave(self) -> None:
        """Leave the room. Safe to call twice."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        await self.room.disconnect()

    # ── inside ───────────────────────────────────────────────────────────────────────────────────
    async def _join(self, url: str, token: str) -> None:
        self.room.on("track_subscribed", self._on_track)
        self.room.on("data_received", self._on_data)
        self.room.on("disconnected", lambda *_: self.disconnected.set())
        self.room.register_text_stream_handler("lk.transcription", self._on_caption)
        await self.room.connect(url, token)
        # No queue: we keep the clock ourselves, and what waits in a queue would count as the agent's delay.
        self._source = rtc.AudioSource(RATE, 1, queue_size_ms=0)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self._source)
        await self.room.local_participant.publish_track(
            track, rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        )
        self._hold(self._speak())

    def _hold(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _speak(self) -> None:
        """Frames leave on a monotonic clock, silence between utterances, never in bursts."""
        silence = np.zeros(FRAME, np.int16)
        pending: tuple[Pcm, asyncio.Future[float]] | None = None
        position, due = 0, time.perf_counter()
        while True:
            if pending is None and not self._queue.empty():
                pending, position = self._queue.get_nowait(), 0
            frame = silence
            if pending is not None:
                frame = pending[0][position : position + FRAME]
                frame = np.pad(frame, (0, FRAME - len(frame)))
                position += FRAME
            await self._source.capture_frame(rtc.AudioFrame(frame.tobytes(), RATE, 1, FRAME))
            now = time.perf_counter()
            self.sent_frames += 1
            self.late_frames += now - due > 0.005
            if pending is not None and position >= len(pending[0]):
                if not pending[1].done():
                    pending[1].set_result(now)
                pending = None
            due += FRAME / RATE
            await asyncio.sleep(max(0.0, due - time.perf_counter()))

    def _on_track(self, track: rtc.Track, *_: Any) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._hold(self._listen(track))

    async def _listen(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=20)
        try:
            async for event in stream:
                pcm = np.frombuffer(event.frame.data, dtype=np.int16).copy()
                self.heard.frames.append((time.perf_counter(), pcm))
        finally:
            await stream.aclose()

    def _on_data(self, packet: rtc.DataPacket) -> None:
        with contextlib.suppress(ValueError):
            self.heard.messages.append((time.perf_counter(), json.loads(packet.data)))

    def _on_caption(self, reader: rtc.TextStreamReader, identity: str) -> None:
        self._hold(self._read_caption(reader, identity))

    async def _read_caption(self, reader: rtc.TextStreamReader, identity: str) -> None:
        attributes = reader.info.attributes or {}
        about = attributes.get("lk.transcribed_track_id", "")
        ours = {track.sid for track in self.room.local_participant.track_publications.values()}
        side = "user" if identity == self.room.local_participant.identity or about in ours else "agent"
        text = ""
        with contextlib.suppress(StreamError):  # whoever wrote it was killed
            async for piece in reader:
                text += piece
                self.heard.captions.append((time.perf_counter(), side, text))
