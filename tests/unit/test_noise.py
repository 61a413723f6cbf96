"""Noise goes, words stay."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from livekit import rtc

from pipelines.noise import Suppressor
from tests.support import sounds
from tests.support.speech import spoken


def cleaned(pcm: np.ndarray, rate: int) -> np.ndarray:
    suppressor, out = Suppressor(), []
    size = rate * 32 // 1000
    for at in range(0, len(pcm) - size + 1, size):
        frame = rtc.AudioFrame(pcm[at : at + size].tobytes(), rate, 1, size)
        for ready in suppressor.clean(frame):
            assert ready.sample_rate == rate
            out.append(np.frombuffer(ready.data, np.int16))
    suppressor.close()
    return np.concatenate(out)


def level(pcm: np.ndarray) -> float:
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_hiss_is_taken_away_and_a_voice_is_not(rate: int) -> None:
    hiss = np.asarray(sounds.pink(2.0, level=0.1) * 32_000, np.int16)
    hiss = np.repeat(hiss, rate // 16_000)
    voice = spoken("What are your opening hours?")[:: RATE // rate]
    assert level(cleaned(hiss, rate)[rate:]) < 0.3 * level(hiss[rate:])
    assert level(cleaned(voice, rate)) > 0.6 * level(voice)
    assert abs(len(cleaned(voice, rate)) - len(voice)) < rate // 10, "nothing of it is lost"


RATE = 48_000


def test_a_call_may_end_while_a_frame_is_cleaned() -> None:
    suppressor = Suppressor()
    frame = rtc.AudioFrame(np.zeros(RATE, np.int16).tobytes(), RATE, 1, RATE)
    with ThreadPoolExecutor(1) as threads:
        running = [threads.submit(suppressor.clean, frame) for _ in range(20)]
        running[0].result()
        suppressor.close()
        ready = [len(one.result()) for one in running]
    assert ready[0] == 1
    assert suppressor.clean(frame) == [], "its memory is gone, and nobody touches it"
