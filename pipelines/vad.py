"""Hear that somebody speaks: LiveKit's native detector, or the silero plugin."""

import dataclasses
import logging
from typing import Any, cast

from livekit.agents import inference, vad

from pipelines.providers import Vad
from pipelines.windows import Hears, Windows


def _is_news(record: logging.LogRecord) -> bool:
    # Said of each longer stretch of speech, of a buffer that is short on purpose.
    return not str(record.msg).startswith("max_buffered_speech reached")


logging.getLogger("livekit.agents").addFilter(_is_news)


class SpeakingNow:
    """A detector's stream whose windows count speech only while there is some.

    LiveKit interrupts the agent when a window says `speech_duration` is long enough, and the detector
    goes on counting through the silence after the last sound: a cough of 70 ms would end up as 320.
    `hears` is told of each event before the session is.
    """

    def __init__(self, stream: vad.VADStream, hears: Hears | None = None) -> None:
        self._stream, self._hears = stream, hears

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> "SpeakingNow":
        return self

    async def __anext__(self) -> vad.VADEvent:
        event = await self._stream.__anext__()
        if self._hears is not None:
            self._hears(event)
        if event.type == vad.VADEventType.INFERENCE_DONE and event.raw_accumulated_silence > 0:
            return dataclasses.replace(event, speech_duration=0.0)
        return event


BEGINS, GOES_ON = 0.7, 0.5
"""How sure the native detector is that speech begins, and that it still goes on. LiveKit's first is 0.5,
for a model that is slow to say so: ours is kept awake (`wakeful`), and says 0.5 of every second cough."""
KEPT_SECONDS = 60.0
"""Of one stretch of speech, for a recogniser that hears it whole."""
LISTENING_SECONDS = 1.0
"""The same for who only wants to know when somebody speaks: nobody uses the sound, of 32 kB a second."""


def build(
    kind: Vad,
    min_silence_seconds: float,
    kept_seconds: float = KEPT_SECONDS,
    hears: Hears | None = None,
) -> vad.VAD:
    """The detector this machine was told to use; `hears` is told of whatever it says."""
    if kind == "silero":
        from livekit.plugins import silero  # noqa: PLC0415 - onnxruntime only where it was asked for

        plugin = silero.VAD.load(min_silence_duration=min_silence_seconds, max_buffered_speech=kept_seconds)
        stream = plugin.stream
        # On the object, not by a class around it: LiveKit asks a detector for more than its base class has.
        plugin.stream = lambda: cast("vad.VADStream", SpeakingNow(stream(), hears))  # type: ignore[method-assign]
        return plugin
    native = inference.VAD(
        min_silence_duration=min_silence_seconds,
        max_buffered_speech=kept_seconds,
        activation_threshold=BEGINS,
        deactivation_threshold=GOES_ON,
    )
    native.stream = lambda: cast("vad.VADStream", Windows(native, hears))  # type: ignore[method-assign]
    return native
