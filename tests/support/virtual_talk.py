"""A whole session on a virtual clock: somebody talks in tones, the agent answers in tones.

The detector's state machine, the session and everything of ours are real; the model behind the detector is
a threshold on loudness, the recogniser was told what it hears, and the agent's voice says each word of an
answer as a tone of its own, so that what was heard can be read from the sound.
"""

import asyncio
import contextlib
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from unittest import mock

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectOptions, ConversationItemAddedEvent, tts
from livekit.agents.llm import ChatMessage
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS
from livekit.agents.voice import io
from livekit.agents.voice.transcription import TranscriptSynchronizer

from bench.parts.oracle import OracleSTT
from bench.parts.script import Stretch
from pipelines.agent_config import AgentConfig
from pipelines.assemble import assemble
from pipelines.contract.brief import CallBrief
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import Functions
from tests.support.fake_providers import Call, FakeParts, TableLLM
from worker.lines.playout import Playout

RATE, VOICE_RATE = 16_000, 24_000
FRAME = RATE // 50
SECONDS_A_WORD = 0.28
"""The caller's pace and the agent's."""
_LOUD = 1000
_LOWEST, _STEP = 400, 60


class _Loudness:
    """Stands where the detector's model is: loud is speech."""

    def predict(self, window: np.ndarray) -> float:
        return 1.0 if np.abs(window.astype(np.int32)).max() > _LOUD else 0.0

    def reset(self) -> None:
        pass


class WordTones(tts.TTS[str]):
    """Each word is a tone; its pitch tells which one."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=VOICE_RATE, num_channels=1
        )

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _Words(tts=self, input_text=text, conn_options=conn_options)


class _Words(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="words", sample_rate=VOICE_RATE, num_channels=1, mime_type="audio/pcm"
        )
        at = np.arange(int(SECONDS_A_WORD * VOICE_RATE)) / VOICE_RATE
        for number in range(len(self.input_text.split())):
            tone = np.sin(2 * np.pi * (_LOWEST + _STEP * number) * at) * 9000
            output_emitter.push(tone.astype(np.int16).tobytes())
        output_emitter.flush()


class _Microphone(io.AudioInput):
    def __init__(self, ears: OracleSTT) -> None:
        super().__init__(label="Virtual")
        self._ears = ears
        self._due: float | None = None
        self.pending = np.zeros(0, np.int16)
        self.labels: list[tuple[Stretch, ...]] = []
        self.silent = asyncio.Event()

    def lose(self, seconds: float) -> None:
        """The network is gone for so long: no frames, and none later for the time."""
        self._due = (self._due or time.time()) + seconds

    async def __anext__(self) -> rtc.AudioFrame:
        self._due = time.time() if self._due is None else self._due + FRAME / RATE
        await asyncio.sleep(max(0.0, self._due - time.time()))
        for stretches in self.labels:
            self._ears.label(stretches)
        self.labels.clear()
        frame, self.pending = self.pending[:FRAME], self.pending[FRAME:]
        if not len(self.pending):
            self.silent.set()
        self._ears.clock += FRAME / RATE
        return rtc.AudioFrame(np.pad(frame, (0, FRAME - len(frame))).tobytes(), RATE, 1, FRAME)


@dataclass
class Talk:
    """Say things, and see what became of them. Seconds are on the virtual clock."""

    ears: OracleSTT
    mind: TableLLM
    microphone: _Microphone
    sounds: list[tuple[float, np.ndarray]] = field(default_factory=list)
    """What was played, in frames of 10 ms, and when."""
    turns: list[tuple[str, str, bool]] = field(default_factory=list)
    """(role, text, whether it was cut off), as they were over."""
    spoke_until: float = 0.0

    async def says(self, *parts: str | float) -> None:
        """Say words, with pauses of so many seconds between them; returns at the last sound."""
        at, stretches, pieces = 0.0, [], []
        for part in parts:
            seconds = part if isinstance(part, float) else len(part.split()) * SECONDS_A_WORD
            level = 0 if isinstance(part, float) else 8000
            if isinstance(part, str):
                stretches.append(Stretch(part, at, at + seconds))
            pieces.append(np.full(int(seconds * RATE), level, np.int16))
            at += seconds
        words = tuple(each for each in stretches if each.text.strip("*"))
        await self.plays(np.concatenate(pieces), words)

    async def plays(self, pcm: np.ndarray, words: tuple[Stretch, ...] = ()) -> None:
        """Say a sound (int16, 16 kHz) in which the recogniser understands these words."""
        if words:
            self.microphone.labels.append(words)
        self.microphone.pending = pcm
        self.microphone.silent.clear()
        await self.microphone.silent.wait()
        self.spoke_until = time.time()

    async def pause(self, seconds: float) -> None:
        """Say nothing."""
        await asyncio.sleep(seconds)

    async def hears(self, since: float | None = None) -> float:
        """Seconds from the caller's last sound to the agent's first one."""
        since = self.spoke_until if since is None else since
        async with asyncio.timeout(20):
            while True:
                for at, pcm in self.sounds:
                    if at >= since and np.abs(pcm).max() > _LOUD:
                        return at - self.spoke_until
                await asyncio.sleep(0.005)

    async def quiet(self, seconds: float = 1.0) -> None:
        """Wait until the agent said nothing for so long."""
        while self.sounds and time.time() - self.sounds[-1][0] < seconds:
            await asyncio.sleep(0.05)

    def said(self, role: str) -> list[str]:
        """What one of the two said, turn by turn."""
        return [text for who, text, _ in self.turns if who == role]

    def silences(self, since: float) -> list[float]:
        """Seconds of each hole in the agent's sound after a moment."""
        times = [at for at, _ in self.sounds if at >= since]
        return [later - earlier for earlier, later in itertools.pairwise(times) if later - earlier > 0.05]

    def words_heard(self, since: float) -> int:
        """How many words of the answer that began after `since` were heard, read from the sound."""
        pcm = np.concatenate([pcm for at, pcm in self.sounds if at >= since])
        block = int(0.05 * VOICE_RATE)
        pitches = []
        for start in range(0, len(pcm) - block + 1, block):
            piece = pcm[start : start + block].astype(np.float64) * np.hanning(block)
            if np.abs(piece).max() > _LOUD:
                pitches.append(int(np.abs(np.fft.rfft(piece, 8 * block)).argmax()) * VOICE_RATE / (8 * block))
        return max(round((pitch - _LOWEST) / _STEP) for pitch in pitches) + 1


class _Captions(io.TextOutput):
    async def capture_text(self, text: str) -> None:
        pass

    def flush(self) -> None:
        pass


@contextlib.asynccontextmanager
async def talking(
    answers: Mapping[str, str | Call | list[Call]] | None = None,
    *,
    stt_delay: float = 0.1,
    functions: Functions | None = None,
    detector: type[Any] = _Loudness,
    **agent: Any,
) -> AsyncIterator[Talk]:
    """A session of the product's own making, greeted already. `detector`: the model that tells speech."""
    ears, mind = OracleSTT(stt_delay), TableLLM(answers)
    config = {"agent_id": "a", "name": "A", "begin_message": "Hello.", "begin_message_mode": "static"} | agent
    with mock.patch("pipelines.windows.VAD", detector):
        pipeline = await assemble(
            CallBrief(call_id="c", agent=AgentConfig.model_validate(config)),
            ProviderSettings(),
            functions or Functions(),
            datetime.now(UTC),
            local=FakeParts(ears=lambda: ears, mind=lambda: mind, voice=WordTones),
        )
        session = pipeline.session()
        talk = Talk(ears, mind, _Microphone(ears))

        async def sink(frame: rtc.AudioFrame) -> None:
            talk.sounds.append((time.time(), np.frombuffer(frame.data, np.int16).copy()))

        def over(event: ConversationItemAddedEvent) -> None:
            if isinstance(event.item, ChatMessage) and event.item.role in ("user", "assistant"):
                talk.turns.append((event.item.role, event.item.text_content or "", event.item.interrupted))

        session.on("conversation_item_added", over)
        playout = Playout(sink, VOICE_RATE)
        captions = TranscriptSynchronizer(
            next_in_chain_audio=playout, next_in_chain_text=_Captions(label="Virtual", next_in_chain=None)
        )
        session.input.audio, session.output.audio = talk.microphone, captions.audio_output
        session.output.transcription = captions.text_output
        try:
            await session.start(pipeline.agent, record=False)
            if pipeline.agent._opening.words:
                await talk.hears(0)
            yield talk
        finally:
            session.options.session_close_transcript_timeout = 0.0
            await session.aclose()
            await captions.aclose()
            await playout.aclose()
            await pipeline.aclose()
