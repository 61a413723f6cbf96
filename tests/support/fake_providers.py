"""Providers that answer at once, for tests of everything around them."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from livekit.agents import APIConnectionError, APIConnectOptions, LanguageCode, llm, stt, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from pipelines.agent import Question
from pipelines.follow_ups import last_question

RATE = 24_000
SECONDS_A_LETTER = 0.06
"""About as fast as a person speaks."""


class ListSTT(stt.STT[str]):
    """Hears what is on its list, one entry for each stretch of speech; an empty one is no words."""

    def __init__(self, *words: str) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self.words = list(words)
        self.breaks = 0
        """How many of the next stretches break it, with an error that is not LiveKit's."""
        self.heard_seconds: list[float] = []
        self.is_ready = asyncio.Event()
        """Until then nothing that was heard is understood."""
        self.is_ready.set()
        self.languages: dict[str, str] = {}
        """In which language something is said, where that is not English."""

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = utils.merge_frames(buffer)
        self.heard_seconds.append(frame.duration)
        await self.is_ready.wait()
        if self.breaks:
            self.breaks -= 1
            raise RuntimeError("no ears")
        text = self.words.pop(0) if self.words else ""
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT,
            alternatives=[
                stt.SpeechData(
                    language=LanguageCode(self.languages.get(text, "en")), text=text, confidence=1.0
                )
            ],
        )


class ToneTTS(tts.TTS[str]):
    """Says everything as one steady tone, as long as the words would take."""

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)
        self.said: list[str] = []
        self.fails = fails
        self.breaks = 0
        """How many of the next sentences break it, with an error that is not LiveKit's."""

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """The tone."""
        self.said.append(text)
        return _Tone(tts=self, input_text=text, conn_options=conn_options)


class _Tone(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        if getattr(self._tts, "fails", False):
            raise APIConnectionError("no voice today", retryable=False)
        if getattr(self._tts, "breaks", 0):
            self._tts.breaks -= 1  # type: ignore[attr-defined]
            raise RuntimeError("no voice")
        output_emitter.initialize(request_id="tone", sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        at = np.arange(int(len(self.input_text) * SECONDS_A_LETTER * RATE)) / RATE
        output_emitter.push((np.sin(2 * np.pi * 500 * at) * 9000).astype(np.int16).tobytes())
        output_emitter.flush()


@dataclass
class Call:
    """Instead of words: the function to call."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)


class TableLLM(llm.LLM[str]):
    """Answers by table; what is not in it is answered with the question. Words may be a function."""

    def __init__(self, answers: Mapping[str, str | Call | list[Call]] | None = None) -> None:
        super().__init__()
        self.answers = dict(answers or {})
        self.asked: list[llm.ChatContext] = []
        self.prepared: list[str] = []
        """Instructions that it was told of before it was asked anything."""
        self.fails = False
        self.stalls = 0
        """How many of the next answers never come."""

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
        """The answer to the last thing said."""
        self.asked.append(chat_ctx.copy())
        return _Answer(self, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)

    async def prepare(
        self, instructions: str, tools: Sequence[llm.Tool] = (), knowledge: Sequence[tuple[str, str]] = ()
    ) -> None:
        """Before the first question."""
        if not self.asked:
            self.prepared.append(instructions)

    def answer(self, chat_ctx: llm.ChatContext) -> str | Call | list[Call]:
        """What to say to this."""
        last = chat_ctx.items[-1] if chat_ctx.items else None
        if isinstance(last, llm.FunctionCallOutput):
            return f"Done: {last.output}"
        question = last_question(chat_ctx)
        return self.answers.get(question, f"You said: {question}" if question else "Hello there.")


class _Answer(llm.LLMStream):
    async def _run(self) -> None:
        table = self._llm
        assert isinstance(table, TableLLM)
        if table.stalls:
            table.stalls -= 1
            await asyncio.sleep(3600)
        if table.fails:
            raise RuntimeError("no idea")
        answer = table.answer(self._chat_ctx)
        if not isinstance(answer, str):
            calls = [
                llm.FunctionToolCall(
                    name=call.name, arguments=json.dumps(call.arguments), call_id=utils.shortuuid()
                )
                for call in (answer if isinstance(answer, list) else [answer])
            ]
            delta = llm.ChoiceDelta(role="assistant", tool_calls=calls)
            self._event_ch.send_nowait(llm.ChatChunk(id=utils.shortuuid(), delta=delta))
            return
        for word in answer.split(" "):
            delta = llm.ChoiceDelta(role="assistant", content=f"{word} ")
            self._event_ch.send_nowait(llm.ChatChunk(id="answer", delta=delta))
            await asyncio.sleep(0)


@dataclass
class FakeParts:
    """Stands in for `pipelines.local.parts.Local`."""

    ears: Callable[[], stt.STT[Any]] = ListSTT
    mind: Callable[[], llm.LLM[Any]] = TableLLM
    voice: Callable[[], tts.TTS[Any]] = ToneTTS

    def stt(self, language: str, *, others: Sequence[str] = ()) -> stt.STT[Any]:
        """Ears."""
        return self.ears()

    def llm(self, language: str) -> tuple[llm.LLM[Any], Question]:
        """A mind."""
        return self.mind(), last_question

    def tts(self, language: str, speed: float) -> tts.TTS[Any]:
        """A voice."""
        return self.voice()
