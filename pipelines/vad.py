"""Hear that somebody speaks: one detector for a call, shared by turn taking and recognition."""

import asyncio
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from typing import Any, ParamSpec, TypeVar

from livekit import rtc
from livekit.agents import inference, vad

from pipelines.providers import Vad

P = ParamSpec("P")
T = TypeVar("T")

Tap = asyncio.Queue[vad.VADEvent]
TAP_BOUND = 256
"""Starts and ends of speech that may wait; one would have to talk for minutes unheard to fill it."""


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


class SharedVAD(vad.VAD):
    """A detector whose starts and ends of speech others may follow.

    A recogniser that cannot stream would run a second detector of its own over the same audio,
    which costs as much again and sometimes disagrees with the first about where speech ended.
    """

    def __init__(self, inner: vad.VAD) -> None:
        super().__init__(capabilities=inner.capabilities)
        self._inner = inner
        self._taps: set[Tap] = set()

    @property
    def model(self) -> str:
        """Name of the model inside."""
        return self._inner.model

    @property
    def provider(self) -> str:
        """Who made the model inside."""
        return self._inner.provider

    @property
    def min_silence_duration(self) -> float | None:
        """Silence, in seconds, after which speech has ended."""
        return getattr(self._inner, "min_silence_duration", None)

    def follow(self) -> Tap:
        """A queue of every start and end of speech from now on, until `unfollow`."""
        tap: Tap = asyncio.Queue(TAP_BOUND)
        self._taps.add(tap)
        return tap

    def unfollow(self, tap: Tap) -> None:
        """Nothing more goes into `tap`."""
        self._taps.discard(tap)

    def tell(self, event: vad.VADEvent) -> None:
        """Put a start or an end of speech into every queue."""
        if event.type == vad.VADEventType.INFERENCE_DONE:
            return
        for tap in self._taps:
            if not tap.full():
                tap.put_nowait(event)

    def stream(self) -> vad.VADStream:
        """The detector's stream; whoever reads it also feeds the followers."""
        return _SharedStream(self, self._inner.stream())


class _SharedStream(vad.VADStream):
    def __init__(self, shared: SharedVAD, inner: vad.VADStream) -> None:
        # Not calling super: the inner stream has the tasks and queues that the base would make again.
        self._shared = shared
        self._inner = inner

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        self._inner.push_frame(frame)

    def flush(self) -> None:
        self._inner.flush()

    def end_input(self) -> None:
        self._inner.end_input()

    async def aclose(self) -> None:
        await self._inner.aclose()

    def __aiter__(self) -> AsyncIterator[vad.VADEvent]:
        return self

    async def __anext__(self) -> vad.VADEvent:
        event = await self._inner.__anext__()
        self._shared.tell(event)
        return event

    async def _main_task(self) -> None:
        raise NotImplementedError


def build(kind: Vad, min_silence_seconds: float) -> SharedVAD:
    """The detector this machine was told to use: LiveKit's native one, or the silero plugin."""
    if kind == "silero":
        from livekit.plugins import silero  # noqa: PLC0415 - onnxruntime only where it was asked for

        return SharedVAD(silero.VAD.load(min_silence_duration=min_silence_seconds))
    options: dict[str, Any] = {"min_silence_duration": min_silence_seconds, "executor": _INLINE}
    return SharedVAD(inference.VAD(**options))
