"""LiveKit's ear for Whisper in the models process: streaming, speculative, silent on noise."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from livekit import local_inference, rtc
from livekit.agents import APIConnectionError, APIConnectOptions, LanguageCode, stt, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr
from numpy.typing import NDArray

from pipelines.local.client import ModelsClient
from pipelines.local.gate import SAMPLE_RATE, WINDOW, SpeechGate, Step, Stretch
from pipelines.local.languages import whisper_language
from pipelines.local.wire import BadRequest, Heard, ModelBusy, ModelsError, ModelUnavailable
from pipelines.wakeful import Wakeful

logger = logging.getLogger(__name__)

SpeechProbability = Callable[[NDArray[np.int16]], float]
"""How likely the next 512 samples (int16 mono, 16 kHz) hold speech; keeps state between windows."""

_FINAL_SECONDS = 15.0
"""Long enough for a models process that died to be back, on a busy machine too: late words beat lost ones."""

_MAX_STRETCHES = 8
_DRAFT_AFTER_SECONDS = 1.2
_DRAFT_EVERY_SECONDS = 0.7
_DRAFT_SHARE: Final = 5
"""A caption may take a fifth of the time that passes, in a lane that does nothing else."""


class WhisperSTT(stt.STT[Literal["metrics_collected"]]):
    """Whisper, for a session whose VAD ends turns.

        speech    ▁▁██████████▁▁▁▁▁▁▁▁▁▁▁▁▁
        captions     ·   ·   ·│
        decoding              └160 ms┬──────┐
        final                        └──────┴at the latest of 256 ms and the decoded words

    Decoding begins when speech pauses and is thrown away when it resumes. It follows its own windows of
    LiveKit's native VAD, kept awake (0.05 ms of CPU for each second of silence, 0.6 of speech), so that a
    final transcript does not wait for another detector; LiveKit's StreamAdapter would run a second VAD as
    well and decode only after it.
    `language` is a BCP-47 tag; without one it is detected for each stretch, and so it is with `others`: it
    is one of them all, since whoever has a hundred to choose from takes German for Welsh.
    """

    def __init__(
        self,
        models_socket: Path,
        *,
        language: str | None = None,
        others: Sequence[str] = (),
        captions: bool = True,
        detector: Callable[[], SpeechProbability] = lambda: Wakeful(local_inference.VAD()).predict,
    ) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=captions,
                # The session asks for what is missing when it closes, and is answered at once.
                manual_flush=True,
            )
        )
        self.client = ModelsClient(models_socket)
        self.captions = captions
        self.detector = detector
        tags = [language, *others] if language else []
        self._language = ",".join(dict.fromkeys(filter(None, map(whisper_language, tags)))) or None

    @property
    def model(self) -> str:
        """Name of the model, for metrics."""
        return "whisper"

    @property
    def provider(self) -> str:
        """Where it runs, for metrics."""
        return "local"

    def language(self, asked: NotGivenOr[str]) -> str | None:
        """What to tell Whisper: the language asked for, else the one of this STT, else None."""
        return whisper_language(asked) if utils.is_given(asked) else self._language

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = utils.merge_frames(buffer)
        try:
            heard = await self.client.transcribe(
                bytes(frame.data),
                sample_rate=frame.sample_rate,
                language=self.language(language),
                timeout=_FINAL_SECONDS,
            )
        except ModelsError as error:
            raise _api_error(error) from error
        return _event(stt.SpeechEventType.FINAL_TRANSCRIPT, heard, 0.0, frame.duration)

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Hear what is pushed from now on."""
        return _WhisperStream(self, self.language(language), conn_options)

    async def aclose(self) -> None:
        """Drop the connection to the models process."""
        await self.client.aclose()


class _Decoding(NamedTuple):
    stretch: Stretch
    task: asyncio.Task[Heard | None]


class _WhisperStream(stt.RecognizeStream):
    def __init__(self, whisper: WhisperSTT, language: str | None, conn_options: APIConnectOptions) -> None:
        self._whisper = whisper
        self._language = language
        self._gate = SpeechGate()
        self._probability = whisper.detector()
        self._rest = np.zeros(0, np.int16)
        self._guess: _Decoding | None = None
        self._is_captioned = False
        self._draft: asyncio.Task[None] | None = None
        self._no_draft_before = 0.0
        # In order of speech, whatever is decoded first.
        self._ended: asyncio.Queue[_Decoding | None] = asyncio.Queue(_MAX_STRETCHES)
        self._unsaid = 0
        super().__init__(stt=whisper, conn_options=conn_options, sample_rate=SAMPLE_RATE)

    async def _run(self) -> None:
        saying = asyncio.create_task(self._say_finals(), name="WhisperSTT.finals")
        try:
            async for item in self._input_ch:
                if isinstance(item, rtc.AudioFrame):
                    await self._hear(np.frombuffer(item.data, np.int16))
                else:
                    await self._finish()
                if saying.done():
                    break  # it raised; the await below tells
            await self._ended.put(None)
            await saying
        finally:
            left = [self._guess]
            while not self._ended.empty():
                left.append(self._ended.get_nowait())
            tasks = [saying, *(decoding.task for decoding in left if decoding is not None)]
            if self._draft is not None:
                tasks.append(self._draft)
            await utils.aio.cancel_and_wait(*tasks)

    # ── hearing ──
    async def _hear(self, samples: NDArray[np.int16]) -> None:
        self._rest = np.concatenate((self._rest, samples))
        while len(self._rest) >= WINDOW:
            window, self._rest = self._rest[:WINDOW], self._rest[WINDOW:]
            step = self._gate.feed(window, self._probability(window))
            if step is not None:
                await self._take(step)
            elif self._whisper.captions and self._gate.is_speaking and not self._gate.is_silent_now:
                self._start_draft()

    async def _take(self, step: Step) -> None:
        match step:
            case "started":
                self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.START_OF_SPEECH))
                self._no_draft_before = time.monotonic() + _DRAFT_AFTER_SECONDS - self._gate.seconds
            case "hushed":
                self._drop_draft()
            case "paused":
                self._drop_draft()
                self._start_guess()
            case "resumed" | "dropped":
                self._drop_guess()
                if step == "dropped":
                    self._gate.clear()
            case "ended" | "cut":
                self._drop_draft()
                await self._end()

    async def _end(self) -> None:
        decoding = self._guess or self._start_guess()
        self._guess = None
        self._gate.clear()
        self._unsaid += 1
        await self._ended.put(decoding)

    async def _finish(self) -> None:
        """The session wants to know now; also when there is nothing to know."""
        step = self._gate.end()
        if step is not None:
            await self._take(step)
        if not self._unsaid:
            nothing = Heard("", "", 0.0)
            self._event_ch.send_nowait(_event(stt.SpeechEventType.FINAL_TRANSCRIPT, nothing, 0.0, 0.0))

    # ── decoding ──
    def _start_guess(self) -> _Decoding:
        self._drop_guess()
        stretch = self._gate.stretch()
        self._guess = _Decoding(stretch, asyncio.create_task(self._decode(stretch), name="WhisperSTT.decode"))
        return self._guess

    def _drop_guess(self) -> None:
        if self._guess is not None:
            self._guess.task.cancel()
            self._guess = None

    async def _decode(self, stretch: Stretch) -> Heard | None:
        try:
            return await self._whisper.client.transcribe(
                stretch.samples, language=self._language, timeout=_FINAL_SECONDS
            )
        except ModelUnavailable as error:
            raise _api_error(error) from error
        except ModelsError as error:
            # What was said is lost, the call is not: the next words may be understood again.
            logger.warning("speech was not recognised", extra={"error": type(error).__name__})
            self._emit_error(_api_error(error), recoverable=True)
            return None

    def _start_draft(self) -> None:
        now = time.monotonic()
        if now < self._no_draft_before or (self._draft is not None and not self._draft.done()):
            return
        self._draft = asyncio.create_task(self._caption(self._gate.stretch()), name="WhisperSTT.caption")

    def _drop_draft(self) -> None:
        if self._draft is not None:
            self._draft.cancel()
            self._draft = None

    async def _caption(self, stretch: Stretch) -> None:
        """Show what was said so far, if the models have nothing better to do."""
        heard: Heard | None = None
        took = 0.0
        with suppress(ModelBusy):
            started = time.monotonic()
            try:
                heard = await self._whisper.client.transcribe(
                    stretch.samples, language=self._language, urgency="if_idle", timeout=2.0
                )
            except ModelBusy:
                raise
            except ModelsError:
                took = 2.0
            else:
                took = time.monotonic() - started
        self._no_draft_before = time.monotonic() + max(_DRAFT_EVERY_SECONDS, took * (_DRAFT_SHARE - 1))
        if heard is not None and heard.text:
            self._is_captioned = True
            self._event_ch.send_nowait(
                _event(stt.SpeechEventType.INTERIM_TRANSCRIPT, heard, *self._times(stretch))
            )

    # ── saying ──
    async def _say_finals(self) -> None:
        while (decoding := await self._ended.get()) is not None:
            heard = await decoding.task or Heard("", "", 0.0)
            self._unsaid -= 1
            times = self._times(decoding.stretch)
            self._event_ch.send_nowait(stt.SpeechEvent(stt.SpeechEventType.END_OF_SPEECH))
            if self._is_captioned and not heard.text:
                # The caption was a guess at noise; left standing, the session would take it for words.
                self._event_ch.send_nowait(_event(stt.SpeechEventType.INTERIM_TRANSCRIPT, heard, *times))
            self._is_captioned = False
            self._event_ch.send_nowait(_event(stt.SpeechEventType.FINAL_TRANSCRIPT, heard, *times))
            usage = stt.RecognitionUsage(audio_duration=len(decoding.stretch.samples) / SAMPLE_RATE)
            self._event_ch.send_nowait(
                stt.SpeechEvent(stt.SpeechEventType.RECOGNITION_USAGE, recognition_usage=usage)
            )

    def _times(self, stretch: Stretch) -> tuple[float, float]:
        return stretch.starts_at + self.start_time_offset, stretch.ends_at + self.start_time_offset


def _event(kind: stt.SpeechEventType, heard: Heard, starts_at: float, ends_at: float) -> stt.SpeechEvent:
    data = stt.SpeechData(
        language=LanguageCode(heard.language),
        text=heard.text,
        start_time=starts_at,
        end_time=ends_at,
        confidence=heard.confidence,
    )
    return stt.SpeechEvent(type=kind, alternatives=[data])


def _api_error(error: ModelsError) -> APIConnectionError:
    return APIConnectionError(str(error), retryable=not isinstance(error, ModelUnavailable | BadRequest))
