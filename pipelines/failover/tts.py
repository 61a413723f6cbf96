"""A voice that is several: another finishes the sentence where one fails or falls silent."""

import asyncio
import time
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, ClassVar

from livekit import rtc
from livekit.agents import APIConnectionError, APIConnectOptions, tokenize, tts, utils
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, USERDATA_TIMED_TRANSCRIPT, TimedString

from pipelines.failover.chain import Chain, Link, Patience, Stalled
from pipelines.failover.spoken import Spoken

Voice = tts.TTS[Any]


class FailoverTTS(tts.TTS[Any]):
    """Speaks a sentence at a time with the first healthy voice.

    voice 1   ▁▁▁▁▁▁▁▁▁✗               nothing for `first_audio`: the next is asked as well
    voice 2           ▁▁████████       whoever sounds first speaks, to the end of the answer

    voice 1   ▁▁█████▁▁✗               `audio_gap` without a frame, and all of it heard
    voice 2           ▁▁████           begins with the first word that was not heard
    """

    def __init__(self, chain: Chain[Voice], patience: Patience) -> None:
        parts = [link.part for link in chain.links]
        super().__init__(
            capabilities=tts.TTSCapabilities(
                streaming=True,
                aligned_transcript=all(part.capabilities.aligned_transcript for part in parts),
            ),
            sample_rate=parts[0].sample_rate,
            num_channels=1,
        )
        self.chain, self.patience = chain, patience
        self.paces: dict[str, float] = {}
        """Characters a second of each voice, as far as it was heard in this call."""
        for part in parts:
            part.on("metrics_collected", self._measured)

    @property
    def model(self) -> str:
        """That of whoever spoke last."""
        return self.chain.serving.part.model

    @property
    def provider(self) -> str:
        """That of whoever spoke last."""
        return self.chain.serving.part.provider

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        """Sound for a whole text."""
        return self._synthesize_with_stream(text, conn_options=conn_options)

    def stream(
        self, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.SynthesizeStream:
        """Sound for text as it is written."""
        self.chain.probe(_probe)
        return _Stream(self, conn_options)

    def prewarm(self) -> None:
        """Open the first one's connection."""
        self.chain.links[0].part.prewarm()

    async def aclose(self) -> None:
        """Close them all."""
        await self.chain.aclose()
        for link in self.chain.links:
            link.part.off("metrics_collected", self._measured)
            await link.part.aclose()

    def _measured(self, *measured: Any) -> None:
        self.emit("metrics_collected", *measured)


async def _probe(voice: Voice) -> None:
    async for _ in _sound(voice, "Yes.", 5.0):
        return


async def _sound(voice: Voice, text: str, timeout: float) -> AsyncIterator[tts.SynthesizedAudio]:
    options = APIConnectOptions(max_retry=0, timeout=timeout)
    if voice.capabilities.streaming:
        async with voice.stream(conn_options=options) as speech:
            speech.push_text(text)
            speech.end_input()
            async for audio in speech:
                yield audio
    else:
        async with voice.synthesize(text, conn_options=options) as chunks:
            async for audio in chunks:
                yield audio


class _Attempt:
    """One voice that was given a text."""

    def __init__(self, link: Link[Voice], text: str, timeout: float) -> None:
        self.link, self.text = link, text
        self.sound = _sound(link.part, text, timeout)
        self.first = asyncio.ensure_future(self._next())

    async def _next(self) -> tts.SynthesizedAudio | None:
        return await anext(self.sound, None)

    @property
    def has_sound(self) -> bool:
        return self.first.done() and self.first.exception() is None and self.first.result() is not None

    async def next_before(self, deadline: float) -> tts.SynthesizedAudio | None:
        """The next frame, None at the end; raises `Stalled` once the deadline has passed."""
        try:
            async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                return await self._next()
        except TimeoutError as error:
            raise Stalled from error

    async def drop(self) -> None:
        self.first.cancel()
        await asyncio.gather(self.first, return_exceptions=True)
        await self.sound.aclose()  # type: ignore[attr-defined]


class _Stream(tts.SynthesizeStream):
    _tts_request_span_name: ClassVar[str] = "tts_failover"
    _tts_attempt_span_name: ClassVar[str | None] = None

    def __init__(self, owner: FailoverTTS, conn_options: APIConnectOptions) -> None:
        super().__init__(tts=owner, conn_options=conn_options)
        self._owner, self._chain, self._patience = owner, owner.chain, owner.patience
        self._speaker: Link[Voice] | None = None
        self._heard_until = 0.0
        """When all sound that was handed on has been played, at the earliest."""
        self._handed_seconds = 0.0

    async def _metrics_monitor_task(self, event_aiter: AsyncIterable[tts.SynthesizedAudio]) -> None:
        async for _ in event_aiter:
            pass  # each voice measures itself

    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(
            request_id=utils.shortuuid("speech_"),
            sample_rate=self._owner.sample_rate,
            num_channels=1,
            mime_type="audio/pcm",
            stream=True,
        )
        output_emitter.start_segment(segment_id=utils.shortuuid("segment_"))
        sentences = tokenize.blingfire.SentenceTokenizer(retain_format=True).stream()
        reading = asyncio.create_task(self._read(sentences))
        try:
            async for sentence in sentences:
                await self._speak(sentence.token, output_emitter)
            await reading
        finally:
            await utils.aio.cancel_and_wait(reading)
            await sentences.aclose()
        if not self._handed_seconds:
            # An answer without a sound in it ("...") is no failure of a voice.
            output_emitter.push(bytes(self._owner.sample_rate // 50 * 2))
        output_emitter.end_segment()

    async def _read(self, sentences: tokenize.SentenceStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, str):
                sentences.push_text(item)
            else:
                sentences.flush()
        sentences.end_input()

    async def _speak(self, text: str, emitter: tts.AudioEmitter) -> None:
        waiting = self._order()
        while any(letter.isalnum() for letter in text):
            self._mark_started()
            if (attempt := await self._race(waiting, text)) is None:
                raise APIConnectionError("every voice failed", retryable=False)
            spoken = Spoken(text, self._owner.paces.get(attempt.link.name))
            try:
                await self._forward(attempt, spoken, emitter)
            except Exception as error:  # noqa: BLE001 - whatever broke, another one goes on
                self._chain.failed(attempt.link, error)
                text = spoken.rest()
            else:
                self._chain.served(attempt.link)
                if (pace := spoken.pace) is not None:
                    self._owner.paces[attempt.link.name] = pace
                return
            finally:
                await attempt.drop()

    def _order(self) -> list[Link[Voice]]:
        """Whoever began an answer goes on with it: one answer, one voice."""
        order = self._chain.order()
        if self._speaker is not None and self._speaker.circuit.is_closed:
            order.sort(key=lambda link: link is not self._speaker)
        return order

    async def _race(self, waiting: list[Link[Voice]], text: str) -> _Attempt | None:
        """Whoever sounds first. Those asked are taken from `waiting`; None when nobody is left."""
        running: list[_Attempt] = []
        try:
            while waiting or running:
                if waiting:
                    running.append(_Attempt(waiting.pop(0), text, self._patience.give_up))
                patience = self._patience.first_audio if waiting else self._patience.give_up
                await asyncio.wait(
                    {attempt.first for attempt in running}, timeout=patience, return_when="FIRST_COMPLETED"
                )
                if (winner := next((one for one in running if one.has_sound), None)) is not None:
                    for overtaken in running[: running.index(winner)]:
                        self._chain.slow(overtaken.link)
                    running.remove(winner)
                    return winner
                is_last_wait = not waiting
                for attempt in [one for one in running if one.first.done() or is_last_wait]:
                    error = attempt.first.exception() if attempt.first.done() else None
                    self._chain.failed(attempt.link, error or Stalled())
                    running.remove(attempt)
                    await attempt.drop()
            return None
        finally:
            for attempt in running:
                await attempt.drop()

    async def _forward(self, attempt: _Attempt, spoken: Spoken, emitter: tts.AudioEmitter) -> None:
        voice = attempt.link.part
        resampler = None
        if voice.sample_rate != self._owner.sample_rate:
            resampler = rtc.AudioResampler(voice.sample_rate, self._owner.sample_rate)
        self._speaker = attempt.link
        self._chain.served(attempt.link, is_whole=False)
        began, offset = time.monotonic(), self._handed_seconds
        audio = attempt.first.result()
        try:
            while audio is not None:
                timed: list[TimedString] = audio.frame.userdata.get(USERDATA_TIMED_TRANSCRIPT) or []
                spoken.add(audio.frame.duration, timed)
                if timed and self._owner.capabilities.aligned_transcript:
                    emitter.push_timed_transcript([_later(word, offset) for word in timed])
                for frame in resampler.push(audio.frame) if resampler else [audio.frame]:
                    emitter.push(frame.data.tobytes())
                self._handed(audio.frame.duration)
                audio = await attempt.next_before(self._deadline())
                if audio is not None and _is_dripping(time.monotonic() - began, spoken.seconds):
                    raise Stalled
        finally:
            for frame in resampler.flush() if resampler else ():
                emitter.push(frame.data.tobytes())
            emitter.flush()

    def _handed(self, seconds: float) -> None:
        self._handed_seconds += seconds
        self._heard_until = max(self._heard_until, time.monotonic()) + seconds

    def _deadline(self) -> float:
        """A gap counts from when all that there is has been heard."""
        return max(self._heard_until, time.monotonic()) + self._patience.audio_gap


def _is_dripping(elapsed: float, seconds: float) -> bool:
    """True where sound has come more slowly than it plays for more than a second."""
    return elapsed - seconds > 1.0


def _later(word: TimedString, seconds: float) -> TimedString:
    start = word.start_time if isinstance(word.start_time, float | int) else 0.0
    end = word.end_time if isinstance(word.end_time, float | int) else start
    return TimedString(str(word), start_time=start + seconds, end_time=end + seconds)
