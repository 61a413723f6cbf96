"""Build what hears words, and let a recogniser that cannot stream follow the call's one VAD."""

import asyncio
import logging
import time
from typing import Any

import aiohttp
from livekit import rtc
from livekit.agents import APIConnectOptions, LanguageCode, stt, utils, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr

from pipelines.providers import ProviderSettings
from pipelines.vad import SharedVAD

logger = logging.getLogger(__name__)

MAX_SPEECH_SECONDS = 60.0


def deepgram(
    settings: ProviderSettings, language: str, http: aiohttp.ClientSession | None = None
) -> stt.STT[Any]:
    """Deepgram's streaming recogniser, or a server that speaks its protocol.

    `http` is needed only outside a LiveKit job, which has a session of its own.
    """
    from livekit.plugins import deepgram as plugin  # noqa: PLC0415 - only where it is used

    base_url = settings.deepgram_base_url.rstrip("/") or "https://api.deepgram.com"
    return plugin.STT(
        model="nova-3",
        language=language,
        api_key=settings.deepgram_api_key,
        http_session=http,
        base_url=base_url if base_url.endswith("/v1/listen") else f"{base_url}/v1/listen",
    )


class SpokenSTT(stt.STT[str]):
    """A recogniser of whole utterances, driven by the starts and ends that the call's VAD sees.

    Streaming to the session, so that it makes no adapter with a second VAD. What a recogniser
    answers with no words (noise, a cough) is nothing said: the session then hears of no transcript.
    """

    def __init__(self, recogniser: stt.STT[Any], shared: SharedVAD) -> None:
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=False,
                keyterms=recogniser.capabilities.keyterms,
                chat_context=recogniser.capabilities.chat_context,
                # A flush at the end of a call is answered at once, instead of waited for in vain.
                manual_flush=True,
            )
        )
        self.recogniser = recogniser
        self.shared = shared
        recogniser.on("metrics_collected", self._forward_metrics)
        recogniser.on("error", self._forward_error)

    @property
    def model(self) -> str:
        """Name of the recogniser's model."""
        return self.recogniser.model

    @property
    def provider(self) -> str:
        """Who made the recogniser."""
        return self.recogniser.provider

    def _forward_metrics(self, metrics: object) -> None:
        self.emit("metrics_collected", metrics)

    def _forward_error(self, error: object) -> None:
        self.emit("error", error)

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        return await self.recogniser.recognize(buffer, language=language, conn_options=conn_options)

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        """Follow the VAD from now on."""
        return _SpokenStream(self, language=language, conn_options=conn_options)

    def prewarm(self) -> None:
        """Prewarm the recogniser."""
        self.recogniser.prewarm()

    async def aclose(self) -> None:
        """Close the recogniser."""
        self.recogniser.off("metrics_collected", self._forward_metrics)
        self.recogniser.off("error", self._forward_error)
        await self.recogniser.aclose()


class _SpokenStream(stt.RecognizeStream):
    def __init__(
        self, parent: SpokenSTT, *, language: NotGivenOr[str], conn_options: APIConnectOptions
    ) -> None:
        # recognize() retries by itself; the stream must not run the same utterance again on top.
        once = APIConnectOptions(max_retry=0, timeout=conn_options.timeout)
        self._parent = parent
        self._language = language
        self._recognize_options = conn_options
        self._speech: list[rtc.AudioFrame] = []
        self._speech_seconds = 0.0
        self._is_speaking = False
        self._under_way = 0
        self._tap = parent.shared.follow()
        super().__init__(stt=parent, conn_options=once)

    async def aclose(self) -> None:
        self._parent.shared.unfollow(self._tap)
        await super().aclose()

    async def _run(self) -> None:
        following = asyncio.create_task(self._follow(), name="SpokenSTT.follow")
        try:
            await self._drain()
        finally:
            await utils.aio.cancel_and_wait(following)

    async def _drain(self) -> None:
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                if self._is_speaking and self._speech_seconds < MAX_SPEECH_SECONDS:
                    self._speech.append(item)
                    self._speech_seconds += item.duration
            elif not self._tap.empty() or self._under_way:
                continue  # an end of speech is being answered already
            elif self._is_speaking:
                await self._recognize(self._take(), time.time())
            else:
                self._say("", time.time())

    async def _follow(self) -> None:
        while True:
            event = await self._tap.get()
            if event.type == vad.VADEventType.START_OF_SPEECH:
                self._speech, self._speech_seconds = list(event.frames), 0.0
                self._is_speaking = True
            elif event.type == vad.VADEventType.END_OF_SPEECH:
                self._take()
                ended_at = time.time() - event.silence_duration - event.inference_duration
                await self._recognize(event.frames, ended_at)

    def _take(self) -> list[rtc.AudioFrame]:
        speech, self._speech, self._is_speaking = self._speech, [], False
        return speech

    async def _recognize(self, frames: list[rtc.AudioFrame], ended_at: float) -> None:
        if not frames:
            return
        data: stt.SpeechData | None = None
        self._under_way += 1
        try:
            heard = await self._parent.recogniser.recognize(
                frames, language=self._language, conn_options=self._recognize_options
            )
            data = heard.alternatives[0] if heard.alternatives else None
        except Exception as error:  # noqa: BLE001 - it was reported as it failed; the next words may work
            logger.warning("speech was not recognised", extra={"error": type(error).__name__})
        finally:
            self._under_way -= 1
        if data is None or not data.text.strip():
            self._say("", ended_at)
        else:
            self._event_ch.send_nowait(
                stt.SpeechEvent(
                    type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[data], speech_end_time=ended_at
                )
            )

    def _say(self, text: str, ended_at: float) -> None:
        nothing = stt.SpeechData(language=LanguageCode(""), text=text)
        self._event_ch.send_nowait(
            stt.SpeechEvent(
                type=stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[nothing], speech_end_time=ended_at
            )
        )
