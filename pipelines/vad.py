"""Hear that somebody speaks: LiveKit's native detector, or the silero plugin."""

import asyncio
import dataclasses
import logging
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar, cast

from livekit.agents import inference, vad

from pipelines.providers import Vad

P = ParamSpec("P")
T = TypeVar("T")


class Inline(Executor):
    """Runs a call at once, in place.

    A window takes 0.04 ms; handing it to a thread and back costs several times that, and a future that the
    loop must watch over and pass on once round costs as much again. asyncio takes one of its own as it is.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call `fn` now, in the loop; the future that comes back is the loop's own, and done."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - what it raised belongs to whoever asks the future
            future.set_exception(error)
        return cast("Future[T]", future)


_INLINE = Inline()


def _is_news(record: logging.LogRecord) -> bool:
    # Said of each longer stretch of speech, of a buffer that is short on purpose.
    return not str(record.msg).startswith("max_buffered_speech reached")


logging.getLogger("livekit.agents").addFilter(_is_news)


class SpeakingNow:
    """A detector's stream whose windows count speech only while there is some.

    LiveKit interrupts the agent when a window says `speech_duration` is long enough, and the detector
    goes on counting through the silence after the last sound: a cough of 70 ms would end up as 320.
    """

    def __init__(self, stream: vad.VADStream) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def __aiter__(self) -> "SpeakingNow":
        return self

    async def __anext__(self) -> vad.VADEvent:
        event = await self._stream.__anext__()
        if event.type == vad.VADEventType.INFERENCE_DONE and event.raw_accumulated_silence > 0:
            return dataclasses.replace(event, speech_duration=0.0)
        return event


KEPT_SECONDS = 60.0
"""Of one stretch of speech, for a recogniser that hears it whole."""
LISTENING_SECONDS = 1.0
"""The same for who only wants to know when somebody speaks: nobody uses the sound, of 32 kB a second."""


def build(kind: Vad, min_silence_seconds: float, kept_seconds: float = KEPT_SECONDS) -> vad.VAD:
    """The detector this machine was told to use."""
    detector: vad.VAD
    if kind == "silero":
        from livekit.plugins import silero  # noqa: PLC0415 - onnxruntime only where it was asked for

        detector = silero.VAD.load(min_silence_duration=min_silence_seconds, max_buffered_speech=kept_seconds)
    else:
        detector = inference.VAD(
            min_silence_duration=min_silence_seconds, max_buffered_speech=kept_seconds, executor=_INLINE
        )
    stream = detector.stream
    # On the object, not by a class around it: LiveKit asks a detector for more than its base class has.
    detector.stream = lambda: cast("vad.VADStream", SpeakingNow(stream()))  # type: ignore[method-assign]
    return detector
