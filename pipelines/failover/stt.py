"""A recogniser that is several: another hears again what one did not understand."""

import asyncio
from collections.abc import AsyncIterable, Callable
from typing import Any, Literal

from livekit import rtc
from livekit.agents import APIConnectOptions, stt, utils, vad
from livekit.agents.stt import SpeechEvent, SpeechEventType
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from pipelines.failover.chain import Chain, Link, Patience, Stalled
from pipelines.failover.lost_words import Memory, Owed

Ears = stt.STT[Any]

REPLAY_SECONDS = 1.0
"""What one that steps in may take longer: it hears the whole utterance at once."""
AGAIN_SECONDS = 4.0
_TICK_SECONDS = 0.1


class FailoverSTT(stt.STT[Any]):
    """Hears with the first healthy recogniser, and lets the next one hear again what got lost.

    caller    ▁▁████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁
    stt 1     ▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁✗              no sign of it for `no_words` after its end
    stt 2                      └▁████         hears all since the last final words, as fast as it can

    An own detector (1 ms of CPU for each second) says when somebody spoke, since a recogniser that hangs
    says nothing of it.
    """

    def __init__(self, chain: Chain[Ears], patience: Patience, make_detector: Callable[[], vad.VAD]) -> None:
        parts = [link.part for link in chain.links]
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=any(part.capabilities.interim_results for part in parts),
                # What the first one is like decides how turns are taken.
                manual_flush=parts[0].capabilities.manual_flush,
                keyterms=any(part.capabilities.keyterms for part in parts),
            )
        )
        self.chain, self.patience = chain, patience
        self.make_detector = make_detector
        self.ends_turns = bool(getattr(parts[0], "ends_turns", False))
        """As the first one does; in the place of another that does not, END_OF_SPEECH is said here."""
        for part in parts:
            part.on("metrics_collected", self._measured)

    @property
    def model(self) -> str:
        """That of whoever heard last."""
        return self.chain.serving.part.model

    @property
    def provider(self) -> str:
        """That of whoever heard last."""
        return self.chain.serving.part.provider

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> SpeechEvent:
        raise NotImplementedError("a chain of recognisers streams")

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Hear what is pushed from now on."""
        return _Stream(self, language, conn_options)

    def prewarm(self) -> None:
        """Open the first one's connection."""
        self.chain.links[0].part.prewarm()

    def _update_session_keyterms(self, keyterms: list[str]) -> None:
        for link in self.chain.links:
            if link.part.capabilities.keyterms:
                link.part._update_session_keyterms(keyterms)

    async def aclose(self) -> None:
        """Close them all."""
        await self.chain.aclose()
        for link in self.chain.links:
            link.part.off("metrics_collected", self._measured)
            await link.part.aclose()

    def _measured(self, *measured: Any) -> None:
        self.emit("metrics_collected", *measured)


class _Stream(stt.RecognizeStream):
    def __init__(
        self, owner: FailoverSTT, language: NotGivenOr[str], conn_options: APIConnectOptions
    ) -> None:
        self._owner, self._chain, self._patience = owner, owner.chain, owner.patience
        self._language = language
        self._memory, self._owed = Memory(), Owed(owner.patience)
        self._hearing: stt.RecognizeStream | None = None
        self._is_over = False
        super().__init__(stt=owner, conn_options=conn_options, sample_rate=16_000)

    async def _metrics_monitor_task(self, event_aiter: AsyncIterable[SpeechEvent]) -> None:
        async for _ in event_aiter:
            pass  # each recogniser measures itself

    async def _run(self) -> None:
        detector = self._owner.make_detector().stream()
        beside = [
            asyncio.create_task(self._feed(detector), name="failover.feed"),
            asyncio.create_task(self._notice(detector), name="failover.notice"),
        ]
        try:
            await self._hear_for_ever()
        finally:
            await utils.aio.cancel_and_wait(*beside)
            await detector.aclose()

    async def _hear_for_ever(self) -> None:
        failed: set[str] = set()
        while True:
            left = [link for link in self._chain.order() if link.name not in failed]
            if not left:
                # Told each time, and tried again while the call lasts.
                self._emit_error(Stalled("every recogniser failed"), recoverable=False)
                await asyncio.sleep(AGAIN_SECONDS)
                failed.clear()
                continue
            outcome = await self._hear(left[0])
            if outcome == "over" or self._is_over:
                return
            if outcome == "failed":
                failed.add(left[0].name)
                self._owed.again()

    async def _feed(self, detector: vad.VADStream) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                self._memory.keep(item)
                detector.push_frame(item)
            if (stream := self._hearing) is not None and not stream._event_ch.closed:
                stream.push_frame(item) if isinstance(item, rtc.AudioFrame) else stream.flush()
        self._is_over = True
        if (stream := self._hearing) is not None and not stream._event_ch.closed:
            stream.end_input()

    async def _notice(self, detector: vad.VADStream) -> None:
        async for event in detector:
            if event.type == vad.VADEventType.START_OF_SPEECH:
                self._owed.began()
            elif event.type == vad.VADEventType.END_OF_SPEECH:
                self._owed.ended(event.speech_duration)

    def _open(self, link: Link[Ears]) -> stt.RecognizeStream:
        options = APIConnectOptions(max_retry=0, timeout=self._patience.give_up / 2)
        stream = link.part.stream(language=self._language, conn_options=options)
        # What it says of times counts from the first frame of this stream.
        stream.start_time_offset = self.start_time_offset + self._memory.begins_at
        for frame in self._memory.frames:
            stream.push_frame(frame)
        return stream

    async def _hear(self, link: Link[Ears]) -> Literal["over", "failed", "better"]:
        """Hear with this one until it fails, one before it is well again, or the call is over."""
        self._hearing = stream = self._open(link)
        is_first = link is self._chain.links[0]
        allowance = link.allowance + (0.0 if is_first else REPLAY_SECONDS)
        event = asyncio.create_task(_anext(stream))
        try:
            if self._is_over:
                stream.end_input()
            while True:
                await asyncio.wait({event}, timeout=_TICK_SECONDS)
                if event.done():
                    if (heard := event.result()) is None:
                        if self._is_over:
                            return "over"
                        raise Stalled  # it hung up without a word
                    self._take(link, heard)
                    event = asyncio.create_task(_anext(stream))
                elif self._owed.is_overdue(allowance):
                    raise Stalled
                if self._is_better_back(link):
                    return "better"
        except Exception as error:  # noqa: BLE001 - whatever broke, another one hears
            self._chain.failed(link, error)
            return "failed"
        finally:
            self._hearing = None
            await utils.aio.cancel_and_wait(event)
            await stream.aclose()

    def _take(self, link: Link[Ears], event: SpeechEvent) -> None:
        has_words = bool(event.alternatives and event.alternatives[0].text.strip())
        if has_words:
            self._owed.sign()
        self._event_ch.send_nowait(event)
        if event.type == SpeechEventType.FINAL_TRANSCRIPT and has_words:
            self._chain.served(link)
            self._owed.final()
            heard = self._memory.frames
            self._memory.understood()
            if self._owner.ends_turns and not getattr(link.part, "ends_turns", False):
                self._event_ch.send_nowait(SpeechEvent(type=SpeechEventType.END_OF_SPEECH))
            self._chain.probe(lambda part: _hears(part, heard))

    def _is_better_back(self, link: Link[Ears]) -> bool:
        """Between two utterances only: words on their way are not thrown away."""
        if self._owed.is_speaking or self._owed.is_owed:
            return False
        best = self._chain.order()[0]
        return best.circuit.is_closed and self._chain.links.index(best) < self._chain.links.index(link)


async def _anext(events: stt.RecognizeStream) -> SpeechEvent | None:
    return await anext(events, None)


async def _hears(part: Ears, frames: list[rtc.AudioFrame]) -> None:
    """Well again is whoever understands what another one just understood."""
    async with part.stream(conn_options=APIConnectOptions(max_retry=0, timeout=3.0)) as stream:
        for frame in frames:
            stream.push_frame(frame)
        stream.end_input()
        async for event in stream:
            if event.alternatives and event.alternatives[0].text.strip():
                return
    raise Stalled
