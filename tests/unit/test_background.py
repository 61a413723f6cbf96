"""The sound of a room behind the agent: low, without a seam, and going on when nobody speaks."""

import asyncio
from typing import Literal

import numpy as np
import pytest
from livekit import rtc

from pipelines.background import Background, background_of, loop_of
from worker.lines.playout import Playout

RATE = 16_000
Sound = Literal["office", "keyboard"]


def rms(samples: np.ndarray) -> float:
    """Of full scale."""
    return float(np.sqrt(np.mean((samples.astype(float) / 32767) ** 2)))


@pytest.mark.parametrize("sound", ["office", "keyboard"])
def test_it_stays_behind_a_voice_and_has_no_seam(sound: Sound) -> None:
    loop = loop_of(sound, RATE)
    assert 0.003 < rms(loop) <= 0.0601
    assert np.abs(loop).max() <= 0.4 * 32767
    steps = np.abs(np.diff(loop))
    assert abs(loop[0] - loop[-1]) <= steps.max()


def test_the_same_sound_is_made_once() -> None:
    assert loop_of("office", RATE) is loop_of("office", RATE)


def test_none_is_asked_for_by_silence() -> None:
    assert background_of("none", 1.0) is None
    assert background_of("office", 0.0) is None


async def test_a_voice_is_heard_over_it_and_never_wraps_around() -> None:
    background = Background("office", 1.0)
    loud = rtc.AudioFrame(np.full(RATE, 32_000, np.int16).tobytes(), RATE, 1, RATE)
    before = np.frombuffer(background.under(loud, RATE, RATE).data, np.int16)
    assert (before == 32_000).all(), "nothing is made yet"
    await background.prepare(RATE)
    mixed = np.frombuffer(background.under(loud, RATE, RATE).data, np.int16)
    assert mixed.min() > 15_000
    assert mixed.max() == 32_767
    assert mixed.std() > 0


async def test_a_playout_goes_on_with_it_between_two_sentences() -> None:
    heard: list[np.ndarray] = []
    enough = asyncio.Event()

    async def take(frame: rtc.AudioFrame) -> None:
        heard.append(np.frombuffer(frame.data, np.int16))
        if len(heard) >= 60 and any(piece.any() for piece in heard[-5:]):
            enough.set()

    playout = Playout(take, RATE, background=Background("office", 0.5))
    playout.begin()
    voice = np.full(RATE // 10, 8_000, np.int16)
    await playout.capture_frame(rtc.AudioFrame(voice.tobytes(), RATE, 1, len(voice)))
    playout.flush()
    finished = await playout.wait_for_playout()
    await asyncio.wait_for(enough.wait(), 30)
    await playout.aclose()
    assert finished.playback_position == pytest.approx(0.1, abs=0.011), "only speech counts as played"
    spoken = [number for number, piece in enumerate(heard) if piece.mean() > 4_000]
    assert len(spoken) == 10
    assert rms(np.concatenate(heard[-5:])) < 0.06
