"""How much speech the detector says there is while somebody coughs, and while somebody speaks."""

import asyncio

import numpy as np
from livekit import rtc
from livekit.agents.vad import VADEventType

from pipelines import vad
from pipelines.turn_taking import VAD_SILENCE_SECONDS, interruption_seconds
from tests.support.speech import spoken

DEFAULT = interruption_seconds(0.5)


async def longest_speech(pcm: np.ndarray) -> float:
    """What the windows of this sound (16 kHz) claim at most, with a second of silence around it."""
    quiet = np.zeros(16_000, np.int16)
    sound = np.concatenate([quiet, pcm, quiet])
    stream = vad.build("native", VAD_SILENCE_SECONDS).stream()
    for at in range(0, len(sound) - 511, 512):
        stream.push_frame(rtc.AudioFrame(sound[at : at + 512].tobytes(), 16_000, 1, 512))
    stream.end_input()
    longest = 0.0
    async with asyncio.timeout(20):
        async for event in stream:
            if event.type == VADEventType.INFERENCE_DONE:
                longest = max(longest, event.speech_duration)
    await stream.aclose()
    return longest


def short_sound(seconds: float) -> np.ndarray:
    """The loudest so many seconds of a spoken vowel: as much like speech as a cough can be."""
    ah = spoken("Ah, yes.")[::3]
    loudest = int(np.abs(ah).argmax())
    size = int(seconds * 16_000)
    start = max(0, loudest - size // 2)
    return ah[start : start + size]


async def test_a_cough_is_no_longer_for_the_silence_after_it() -> None:
    longest = await longest_speech(short_sound(0.15))
    assert 0 < longest < DEFAULT


async def test_a_word_is_long_enough_to_interrupt() -> None:
    assert await longest_speech(spoken("Stop please.")[::3]) >= DEFAULT
