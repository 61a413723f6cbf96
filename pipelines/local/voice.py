"""LiveKit's streaming speech over any voice of this machine that speaks a piece at a time."""

import asyncio
from abc import abstractmethod
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Literal

from livekit.agents import APIConnectOptions, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, TimedString

from pipelines.local.clauses import ClauseCutter, timed_words

_FRAME_MS = 100


class LocalVoice(tts.TTS[Literal["metrics_collected"]]):
    """A voice here: it begins with the first clause and tells when each word is heard.

    A piece is spoken while the ones before it still sound; it takes a hundredth of that time.
    """

    def __init__(self, sample_rate: int) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=True, aligned_transcript=True),
            sample_rate=sample_rate,
            num_channels=1,
        )

    @property
    def provider(self) -> str:
        """Where it runs, for metrics."""
        return "local"

    @abstractmethod
    def speak(self, piece: str, timeout: float) -> AsyncGenerator[bytes, None]:
        """int16 mono PCM for one piece of text. Raises LiveKit's `APIError`s."""

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Sound for a whole text."""
        return self._synthesize_with_stream(text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        """Sound for text as it is written."""
        return _Speech(self, conn_options)


class _Speech(tts.SynthesizeStream):
    def __init__(self, voice: LocalVoice, conn_options: APIConnectOptions) -> None:
        self._voice = voice
        self._timeout = conn_options.timeout
        super().__init__(tts=voice, conn_options=conn_options)

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid("speech_"),
            sample_rate=self._voice.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            frame_size_ms=_FRAME_MS,
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid("segment_"))
        cutter = ClauseCutter()
        heard_seconds = 0.0
        async for item in self._input_ch:
            for piece in cutter.push(item) if isinstance(item, str) else cutter.flush():
                self._mark_started()
                heard_seconds += await self._speak(piece, heard_seconds, output_emitter)
        for piece in cutter.flush():
            self._mark_started()
            heard_seconds += await self._speak(piece, heard_seconds, output_emitter)
        if not heard_seconds:
            # An answer without a sound in it ("...") is no failure of the voice.
            output_emitter.push(bytes(self._voice.sample_rate // 50 * 2))
        output_emitter.end_segment()

    async def _speak(self, piece: str, starts_at: float, emitter: tts.AudioEmitter) -> float:
        parts: list[bytes] = []
        async with aclosing(self._voice.speak(piece, self._timeout)) as sound:
            async for part in sound:
                parts.append(part)
        pcm = b"".join(parts)
        seconds = len(pcm) / 2 / self._voice.sample_rate
        emitter.push_timed_transcript(
            [
                TimedString(word.text, start_time=word.starts_at, end_time=word.ends_at)
                for word in timed_words(piece, starts_at, seconds)
            ]
        )
        emitter.push(pcm)
        emitter.flush()
        await asyncio.sleep(0)
        return seconds
