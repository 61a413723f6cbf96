"""LiveKit's native detector, asked window by window, in place: it says what LiveKit's own stream says.

    frame ──► window of 32 ms ──► model ──► event          here: one call, and a hand-over only for news
    frame ──► queue ──► task ──► executor ──► queue ──► tee ──► measuring        there, 31 times a second

Half of what listening to a quiet line costs is handing windows on in which nothing happened. Of those each
eighth is told; a window with speech in it, or the first without, always is.
"""

import time
from collections import deque
from collections.abc import Callable

import numpy as np
from livekit import rtc
from livekit.agents import inference, vad
from livekit.agents.utils.aio import Chan, ChanClosed
from livekit.local_inference import VAD, VAD_WINDOW_SAMPLES

from pipelines.wakeful import Wakeful

RATE = 16_000
"""int16 mono, what the model hears."""
TOLD_OF_QUIET = 8
_SECONDS = VAD_WINDOW_SAMPLES / RATE
_BYTES = 2
_WINDOW_BYTES = VAD_WINDOW_SAMPLES * _BYTES


Hears = Callable[[vad.VADEvent], None]


class Windows:
    """A `vad.VADStream` by its methods. Frames come at any rate, events have theirs at `RATE`.

    A window says `speech_duration` 0 once sound has stopped: LiveKit interrupts the agent when it is long
    enough, and would go on counting through the silence, so that a cough of 70 ms ends up as 320.
    """

    def __init__(self, detector: inference.VAD, hears: Hears | None = None) -> None:
        """`hears` is told of each event before whoever asks for them."""
        self._hears = hears
        self._asked = detector._opts
        self._model = Wakeful(VAD())
        self._events: Chan[vad.VADEvent] = Chan()
        self._resampler: rtc.AudioResampler | None = None
        self._pcm = bytearray()
        self._error: Exception | None = None
        self._kept = _Kept(self._asked.prefix_padding_duration, self._asked.max_buffered_speech)
        self._is_ended = False
        self._begin()

    def _begin(self) -> None:
        self._is_speaking = False
        self._samples = 0
        self._at = self._speech = self._silence = 0.0
        """Seconds: of the stream, of the present stretch of speech, of the present silence."""
        self._run_of_speech = self._run_of_silence = 0.0
        self._quiet = 0
        """Windows in a row with nothing in them."""

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        """Hear this, and say what there is to say of it."""
        if self._is_ended or self._events.closed:
            raise RuntimeError("no more can be heard")
        if frame.sample_rate != RATE:
            self._pcm += self._resampled(frame)
        else:
            self._pcm += frame.data.cast("b")
        try:
            while len(self._pcm) >= _WINDOW_BYTES:
                window = bytes(self._pcm[:_WINDOW_BYTES])
                del self._pcm[:_WINDOW_BYTES]
                self._hear(window)
        except Exception as error:  # noqa: BLE001 - it belongs to whoever asks for events
            self._error = error
            self._events.close()

    def _resampled(self, frame: rtc.AudioFrame) -> bytes:
        if self._resampler is None:
            quality = rtc.AudioResamplerQuality.QUICK
            self._resampler = rtc.AudioResampler(frame.sample_rate, RATE, quality=quality)
        return b"".join(bytes(made.data) for made in self._resampler.push(frame))

    def flush(self) -> None:
        """What is heard next has nothing to do with what was."""
        self._model.reset()
        self._pcm.clear()
        self._kept.clear()
        self._resampler = None
        self._begin()

    def end_input(self) -> None:
        """Nothing more is heard; what was said of it is still there."""
        self._is_ended = True
        self._events.close()

    async def aclose(self) -> None:
        """Hear and say no more."""
        self._events.close()

    def __aiter__(self) -> "Windows":
        return self

    async def __anext__(self) -> vad.VADEvent:
        try:
            return await self._events.recv()
        except ChanClosed:
            if self._error is not None:
                raise self._error from None
            raise StopAsyncIteration from None

    # ── a window ─────────────────────────────────────────────────────────────────────────────────
    def _hear(self, window: bytes) -> None:
        began = time.perf_counter()
        probability = self._model.predict(np.frombuffer(window, np.int16))
        took = time.perf_counter() - began
        self._samples += VAD_WINDOW_SAMPLES
        self._at += _SECONDS
        self._kept.add(window)
        if self._is_speaking:
            self._speech += _SECONDS
        else:
            self._silence += _SECONDS
        asked = self._asked
        lowest = asked.deactivation_threshold if self._is_speaking else asked.activation_threshold
        is_speech = probability >= asked.activation_threshold or probability > lowest
        if self._is_news(is_speech):
            self._say(self._window(window, probability, took))
        if is_speech:
            self._speech_goes_on()
        else:
            self._silence_goes_on()

    def _say(self, event: vad.VADEvent) -> None:
        if self._hears is not None:
            self._hears(event)
        self._events.send_nowait(event)

    def _is_news(self, is_speech: bool) -> bool:
        if self._is_speaking or is_speech or self._run_of_speech:
            self._quiet = 0
            return True
        self._quiet += 1
        return self._quiet % TOLD_OF_QUIET == 1

    def _speech_goes_on(self) -> None:
        self._run_of_speech += _SECONDS
        self._run_of_silence = 0.0
        if not self._is_speaking and self._run_of_speech >= self._asked.min_speech_duration:
            self._is_speaking = True
            self._silence, self._speech = 0.0, self._run_of_speech
            self._turned(vad.VADEventType.START_OF_SPEECH, self._speech)

    def _silence_goes_on(self) -> None:
        self._run_of_silence += _SECONDS
        self._run_of_speech = 0.0
        if self._is_speaking and self._run_of_silence >= self._asked.min_silence_duration:
            self._is_speaking = False
            self._silence = self._run_of_silence
            self._turned(vad.VADEventType.END_OF_SPEECH, max(0.0, self._speech - self._run_of_silence))
            self._speech = 0.0
        if not self._is_speaking:
            self._kept.shorten()

    def _window(self, window: bytes, probability: float, took: float) -> vad.VADEvent:
        return vad.VADEvent(
            type=vad.VADEventType.INFERENCE_DONE,
            samples_index=self._samples,
            timestamp=self._at,
            silence_duration=self._silence,
            speech_duration=0.0 if self._run_of_silence > 0 else self._speech,
            probability=probability,
            inference_duration=took,
            frames=[rtc.AudioFrame(window, RATE, 1, VAD_WINDOW_SAMPLES)],
            speaking=self._is_speaking,
            raw_accumulated_silence=self._run_of_silence,
            raw_accumulated_speech=self._run_of_speech,
        )

    def _turned(self, kind: vad.VADEventType, speech_seconds: float) -> None:
        pcm = self._kept.pcm()
        self._say(
            vad.VADEvent(
                type=kind,
                samples_index=self._samples,
                timestamp=self._at,
                silence_duration=self._silence,
                speech_duration=speech_seconds,
                frames=[rtc.AudioFrame(pcm, RATE, 1, len(pcm) // _BYTES)],
                speaking=self._is_speaking,
            )
        )


class _Kept:
    """A stretch of speech with what was before it, for a recogniser that hears it whole."""

    def __init__(self, before_seconds: float, most_seconds: float) -> None:
        self._before = int(before_seconds * RATE) * _BYTES
        self._most = int(most_seconds * RATE) * _BYTES + self._before
        self._windows: deque[bytes] = deque()
        self._size = 0

    def add(self, window: bytes) -> None:
        """What lies beyond the most is not kept."""
        if piece := window[: max(0, self._most - self._size)]:
            self._windows.append(piece)
            self._size += len(piece)

    def shorten(self) -> None:
        """Keep only what may be before the next stretch."""
        while self._size > self._before:
            over = self._size - self._before
            first = self._windows[0]
            if len(first) > over:
                self._windows[0] = first[over:]
                self._size -= over
            else:
                self._windows.popleft()
                self._size -= len(first)

    def pcm(self) -> bytes:
        """All of it."""
        return b"".join(self._windows)

    def clear(self) -> None:
        """Nothing was before."""
        self._windows.clear()
        self._size = 0
