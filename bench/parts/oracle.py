"""Providers that know: a recogniser that was told what it hears, a model and a voice that take no time."""

import asyncio
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import APIConnectOptions, LanguageCode, llm, stt, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from bench.parts.script import Stretch

INTERIM_SECONDS = 0.1
VOICE_RATE = 24_000
SHORT_SECONDS, LONG_SECONDS = 1.0, 4.0
LONG = "This is the long answer, the one that somebody may break into or murmur at while it goes on and on."
SHORT = "This is the answer."


@dataclass
class _Heard:
    text: str
    start: float
    end: float
    told: int = 0
    has_begun: bool = False


class OracleSTT(stt.STT[str]):
    """Interims each 100 ms with the words that are over, a final `delay_seconds` after each stretch."""

    def __init__(self, delay_seconds: float = 0.0) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(streaming=True, interim_results=True, offline_recognize=False)
        )
        self.delay_seconds = delay_seconds
        self.clock = 0.0
        """Seconds of sound that were handed to the session; whoever labels what comes next reads it."""
        self.labels: deque[_Heard] = deque(maxlen=64)

    @property
    def model(self) -> str:
        return "oracle"

    @property
    def provider(self) -> str:
        return "bench"

    def label(self, stretches: tuple[Stretch, ...]) -> None:
        """What begins with the next sample that the session is handed."""
        for each in stretches:
            self.labels.append(_Heard(each.text, self.clock + each.start, self.clock + each.end))

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        raise NotImplementedError

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Listen from now on."""
        return OracleStream(self, conn_options)


class OracleStream(stt.RecognizeStream):
    """One call's."""

    def __init__(self, oracle: OracleSTT, conn_options: APIConnectOptions) -> None:
        super().__init__(stt=oracle, conn_options=conn_options)
        self._oracle = oracle
        self._heard = 0.0

    async def _run(self) -> None:
        async for frame in self._input_ch:
            if isinstance(frame, rtc.AudioFrame):
                self._heard += frame.duration
                self.heard(frame)
                self._tell()

    def heard(self, frame: rtc.AudioFrame) -> None:
        """A frame came; whoever was told beforehand what is said need not listen."""

    def _tell(self) -> None:
        while self._oracle.labels:
            label = self._oracle.labels[0]
            if self._heard < label.start:
                return
            if not label.has_begun:
                label.has_begun = True
                self._say(stt.SpeechEventType.START_OF_SPEECH)
            if self._heard < label.end + self._oracle.delay_seconds:
                words = label.text.split()
                over = (self._heard - label.start) / (label.end - label.start)
                ticks = int((self._heard - label.start) / INTERIM_SECONDS)
                if ticks > label.told and (said := words[: int(over * len(words))]):
                    label.told = ticks
                    self._say(stt.SpeechEventType.INTERIM_TRANSCRIPT, " ".join(said), label)
                return
            self._oracle.labels.popleft()
            self._say(stt.SpeechEventType.FINAL_TRANSCRIPT, label.text, label)
            self._say(stt.SpeechEventType.END_OF_SPEECH)

    def _say(self, kind: stt.SpeechEventType, text: str = "", label: _Heard | None = None) -> None:
        data = []
        if label is not None:
            end = min(label.end, self._heard)
            data = [
                stt.SpeechData(
                    language=LanguageCode("en"),
                    text=text,
                    start_time=label.start + self.start_time_offset,
                    end_time=end + self.start_time_offset,
                    confidence=1.0,
                )
            ]
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=data))


class FixedLLM(llm.LLM[str]):
    """Its first token is there at once. Asked to book, it calls the function; long answers by turn."""

    def __init__(self, long_turns: frozenset[int]) -> None:
        super().__init__()
        self._long = long_turns
        self.turn = 0
        """Which of the caller's turns is being answered; told by whoever labels them."""

    @property
    def model(self) -> str:
        return "fixed"

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[llm.Tool] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        parallel_tool_calls: NotGivenOr[bool] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        extra_kwargs: NotGivenOr[dict[str, Any]] = NOT_GIVEN,
    ) -> llm.LLMStream:
        """The answer."""
        return _Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)

    def answer(self) -> str:
        """What this turn gets."""
        return LONG if self.turn in self._long else SHORT


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        fixed = self._llm
        assert isinstance(fixed, FixedLLM)
        last = self._chat_ctx.items[-1]
        asked = (last.text_content or "") if isinstance(last, llm.ChatMessage) else ""
        if "book it" in asked:
            call = llm.FunctionToolCall(name="book", arguments="{}", call_id=utils.shortuuid())
            delta = llm.ChoiceDelta(role="assistant", tool_calls=[call])
        else:
            delta = llm.ChoiceDelta(role="assistant", content=fixed.answer())
        self._event_ch.send_nowait(llm.ChatChunk(id=utils.shortuuid(), delta=delta))


class ToneVoice(tts.TTS[str]):
    """A steady tone, four seconds of it for the long answer and one for every other."""

    def __init__(self) -> None:
        super().__init__(
            capabilities=tts.TTSCapabilities(streaming=False), sample_rate=VOICE_RATE, num_channels=1
        )

    @property
    def model(self) -> str:
        return "tone"

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """The tone."""
        return _Tone(tts=self, input_text=text, conn_options=conn_options)


def _tone(seconds: float) -> bytes:
    at = np.arange(int(seconds * VOICE_RATE)) / VOICE_RATE
    return (np.sin(2 * np.pi * 500 * at) * 9000).astype(np.int16).tobytes()


_TONES = {True: _tone(LONG_SECONDS), False: _tone(SHORT_SECONDS)}


class _Tone(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id="tone", sample_rate=VOICE_RATE, num_channels=1, mime_type="audio/pcm"
        )
        output_emitter.push(_TONES[self.input_text.strip() == LONG])
        output_emitter.flush()
        await asyncio.sleep(0)
