"""Hear that somebody speaks: LiveKit's native detector, or the silero plugin."""

from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

from livekit.agents import inference, vad

from pipelines.providers import Vad

P = ParamSpec("P")
T = TypeVar("T")


class Inline(Executor):
    """Runs a call at once, in place.

    A window takes 0.04 ms; handing it to a thread and back costs several times that.
    """

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> "Future[T]":
        """Call `fn` now; the future that comes back is done."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - what it raised belongs to whoever asks the future
            future.set_exception(error)
        return future


_INLINE = Inline()


def build(kind: Vad, min_silence_seconds: float) -> vad.VAD:
    """The detector this machine was told to use."""
    if kind == "silero":
        from livekit.plugins import silero  # noqa: PLC0415 - onnxruntime only where it was asked for

        return silero.VAD.load(min_silence_duration=min_silence_seconds)
    return inference.VAD(min_silence_duration=min_silence_seconds, executor=_INLINE)
