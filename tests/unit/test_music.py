"""Music on hold: it has no seam, is no louder than a voice, and the voice waits behind it."""

import asyncio

import numpy as np
import pytest
from livekit import rtc

from worker.lines.music import Music, loop_of
from worker.lines.playout import Playout

RATE = 24_000


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000])
def test_it_never_falls_silent_nor_clips_and_its_end_fits_its_beginning(rate: int) -> None:
    loop = loop_of(rate).astype(float)
    pieces = loop[: len(loop) // (rate // 4) * (rate // 4)].reshape(-1, rate // 4)
    loudness = np.sqrt((pieces**2).mean(axis=1))
    assert 500 < loudness.min() <= loudness.max() < 4_000
    assert np.abs(loop).max() < 12_000
    steps = np.abs(np.diff(np.concatenate([loop, loop[:1]])))
    assert steps[-1] <= steps[:-1].max(), "no click where it begins again"
    spectrum = np.abs(np.fft.rfft(loop)) ** 2
    hertz = np.fft.rfftfreq(len(loop), 1 / rate)
    assert spectrum[(hertz > 150) & (hertz < 3_400)].sum() / spectrum.sum() > 0.95, "a telephone carries it"


async def test_it_goes_on_for_ever_and_each_hold_begins_softly() -> None:
    music, frame = Music(8_000), 160
    assert music.next(frame) is None
    await music.prepare()
    heard = b"".join(music.next(frame) or b"" for _ in range(2_000))
    assert len(heard) == 2 * frame * 2_000
    music.begin()
    assert np.abs(np.frombuffer(music.next(frame) or b"", np.int16)).max() < 300


async def test_the_voice_waits_behind_it_and_what_is_cut_off_ends() -> None:
    sent: list[np.ndarray] = []

    async def take(frame: rtc.AudioFrame) -> None:
        sent.append(np.frombuffer(frame.data, np.int16).copy())

    loop_of(RATE)
    playout, finished = Playout(take, RATE), []
    playout.on("playback_finished", finished.append)
    voice = np.full(RATE // 5, 5_000, np.int16)
    playout.wait("music")
    await playout.capture_frame(rtc.AudioFrame(voice.tobytes(), RATE, 1, len(voice)))
    playout.flush()
    await asyncio.sleep(0.5)
    assert len(sent) > 30
    assert not any((frame == 5_000).any() for frame in sent)
    assert finished == []
    playout.wait(None)
    await asyncio.wait_for(playout.wait_for_playout(), 2)
    assert sum(int((frame == 5_000).sum()) for frame in sent) == len(voice)
    playout.wait("silence")
    await playout.capture_frame(rtc.AudioFrame(voice.tobytes(), RATE, 1, len(voice)))
    playout.flush()
    playout.clear_buffer()
    ended = await asyncio.wait_for(playout.wait_for_playout(), 2)
    assert (ended.interrupted, ended.playback_position) == (True, 0.0)
    await playout.aclose()
