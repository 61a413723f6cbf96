"""A line that is neither room nor telephone: sound on a clock, in this process."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice import io
from livekit.agents.voice.transcription import TranscriptSynchronizer

from pipelines.agent_config import TransferTarget
from pipelines.contract.actions import HoldSound
from pipelines.noise import take_noise_out
from pipelines.tools.call_control import Ability
from worker.lines.heard import HeardInput, HeardOutput
from worker.lines.keys import Keys
from worker.lines.line import AudioTap, LineClosed

RATE = 16_000
FRAME = RATE // 20


class DeskInput(io.AudioInput):
    """Silence, every 50 ms, and what `say` puts into it."""

    def __init__(self) -> None:
        super().__init__(label="Desk")
        self._pending = np.zeros(0, np.int16)
        self._due: float | None = None
        self._is_attached = True
        self.silent = asyncio.Event()
        self.silent.set()

    def on_attached(self) -> None:
        self._is_attached = True

    def on_detached(self) -> None:
        """What is said meanwhile is heard by nobody, as in a room."""
        self._is_attached = False

    def say(self, pcm: np.ndarray) -> None:
        """int16 mono, 16 kHz."""
        self._pending = np.concatenate([self._pending, pcm])
        self.silent.clear()

    def __aiter__(self) -> AsyncIterator[rtc.AudioFrame]:
        return self

    async def __anext__(self) -> rtc.AudioFrame:
        while True:
            self._due = time.perf_counter() if self._due is None else self._due + FRAME / RATE
            await asyncio.sleep(max(0.0, self._due - time.perf_counter()))
            frame, self._pending = self._pending[:FRAME], self._pending[FRAME:]
            if not len(self._pending):
                self.silent.set()
            if self._is_attached:
                break
        return rtc.AudioFrame(np.pad(frame, (0, FRAME - len(frame))).tobytes(), RATE, 1, FRAME)


class DeskOutput(io.AudioOutput):
    """Plays in real time, frame by frame, and may be paused or cleared."""

    def __init__(self) -> None:
        super().__init__(
            label="Desk", sample_rate=24_000, capabilities=io.AudioOutputCapabilities(pause=True)
        )
        self._frames: asyncio.Queue[rtc.AudioFrame | None] = asyncio.Queue()
        self._played = 0.0
        self._run_from, self._run_at = 0.0, 0.0
        self._is_open = self._cleared = False
        self._going = asyncio.Event()
        self._going.set()
        self.heard_seconds = 0.0
        self.loudest = 0
        self.recorded: deque[np.ndarray] = deque(maxlen=10_000)
        """What was played, int16 mono."""
        self.playing = asyncio.create_task(self._play())

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._is_open = True
        self._frames.put_nowait(frame)

    def flush(self) -> None:
        super().flush()
        if self._is_open:
            self._is_open = False
            self._frames.put_nowait(None)

    def clear_buffer(self) -> None:
        if self._pending_playback_count:
            self._cleared = True
            self._going.set()

    def pause(self) -> None:
        self._report()
        self._going.clear()

    def resume(self) -> None:
        self._run_from, self._run_at = self._played, time.time()
        self._going.set()

    def _report(self) -> None:
        if self._played > self._run_from:
            length = self._played - self._run_from
            self.on_playback_progressed(started_at=self._run_at, offset=self._run_from, duration=length)
        self._run_from = self._played

    async def _play(self) -> None:
        while True:
            frame = await self._frames.get()
            await self._going.wait()
            if frame is None:
                self._report()
                position, cleared = self._played, self._cleared
                self._played = self._run_from = 0.0
                self._cleared = False
                self.on_playback_finished(playback_position=position, interrupted=cleared)
                continue
            if self._cleared:
                continue
            if self._played == 0.0:
                self._run_at = time.time()
                self.on_playback_started(created_at=self._run_at)
            await asyncio.sleep(frame.duration)
            self._played += frame.duration
            self.heard_seconds += frame.duration
            self.recorded.append(np.frombuffer(frame.data, np.int16).copy())
            self.loudest = max(self.loudest, int(np.abs(np.frombuffer(frame.data, np.int16)).max()))


class DeskLine:
    """Implements `worker.lines.line.Line`."""

    def __init__(self) -> None:
        self.told: list[dict[str, Any]] = []
        self.is_hung_up = self.was_left_to_others = self.is_held = False
        self.abilities: frozenset[Ability] = frozenset(("hold", "send_digits", "collect_digits"))
        self.keys = Keys()
        self.warn: Callable[[str, str], None] = lambda code, message: None
        self.on_held: Callable[[bool], None] = lambda is_on: None
        self.sent_digits = ""
        self.transferred: list[TransferTarget] = []
        self._closed: asyncio.Future[LineClosed] = asyncio.get_running_loop().create_future()

    async def start(self, session: AgentSession[Any], agent: Agent, tap: AudioTap | None) -> None:
        """Put the session onto the desk."""
        self.input, self.output, self.session = DeskInput(), DeskOutput(), session
        self._captions = TranscriptSynchronizer(
            next_in_chain_audio=self.output, next_in_chain_text=_Captions(label="Desk", next_in_chain=None)
        )
        session.input.audio = HeardInput(self.input, tap) if tap else self.input
        audio = self._captions.audio_output
        session.output.audio = HeardOutput(audio, tap) if tap else audio
        session.output.transcription = self._captions.text_output
        take_noise_out(session, agent)
        await session.start(agent, record=False)

    async def closed(self) -> LineClosed:
        return await asyncio.shield(self._closed)

    def leave(self) -> None:
        """The person hangs up."""
        self._closed.set_result(LineClosed("user_hangup"))

    async def tell(self, message: dict[str, Any]) -> None:
        self.told.append(message)

    async def digit(self) -> str:
        return await self.keys.next()

    async def send_digits(self, digits: str) -> None:
        self.sent_digits += digits

    async def hold(self, *, is_on: bool, sound: HoldSound = "music") -> None:
        if is_on != self.is_held:
            self.is_held = is_on
            await self.tell({"kind": "hold", "is_on": is_on})

    async def transfer(self, target: TransferTarget) -> None:
        self.transferred.append(target)

    def measured(self) -> None:
        return None

    async def hang_up(self, *, for_everybody: bool = True) -> None:
        if not self.is_hung_up:
            self.is_hung_up = True
            self.was_left_to_others = not for_everybody
            if hasattr(self, "output"):
                self.output.playing.cancel()
                await self._captions.aclose()


class _Captions(io.TextOutput):
    async def capture_text(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass
