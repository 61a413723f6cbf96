"""How much speech the detector says there is while somebody coughs, and while somebody speaks."""

import asyncio
import dataclasses
import itertools
from typing import Any
from unittest import mock

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import inference
from livekit.agents.vad import VADEvent, VADEventType
from livekit.local_inference import VAD

from bench.hush import over_a_telephone
from pipelines import vad
from pipelines.hush import SURE
from pipelines.turn_taking import VAD_SILENCE_SECONDS, interruption_seconds
from pipelines.wakeful import ASLEEP_AFTER, Model, Wakeful
from pipelines.windows import RATE, TOLD_OF_QUIET
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


async def events(stream: Any, pcm: np.ndarray, rate: int, samples: int) -> list[VADEvent]:
    """What it says of a sound that comes in frames of so many samples, without how long it took."""
    for at in range(0, len(pcm), samples):
        piece = pcm[at : at + samples]
        stream.push_frame(rtc.AudioFrame(piece.tobytes(), rate, 1, len(piece)))
    stream.end_input()
    async with asyncio.timeout(20):
        said = [dataclasses.replace(event, inference_duration=0.0) async for event in stream]
    await stream.aclose()
    return said


def without_frames(event: VADEvent) -> VADEvent:
    return dataclasses.replace(event, frames=[])


@pytest.mark.parametrize("samples", [512, 320, 2000])
async def test_it_says_what_livekits_own_stream_says(samples: int) -> None:
    noise = np.random.default_rng(1).normal(0, 300, 16_000).astype(np.int16)
    quiet = np.zeros(24_000, np.int16)
    words = [short_sound(0.15), quiet, spoken("I need an appointment, please.")[::3], noise, quiet]
    sound = np.concatenate([quiet, *words, spoken("Stop.")[::3], quiet])
    asked = {"activation_threshold": vad.BEGINS, "deactivation_threshold": vad.GOES_ON}
    theirs = await events(inference.VAD(min_silence_duration=0.25, **asked).stream(), sound, 16_000, samples)
    # Theirs falls asleep in silence.
    with mock.patch("pipelines.windows.Wakeful", lambda model: model):
        ours = await events(vad.build("native", 0.25).stream(), sound, 16_000, samples)

    def turns(said: list[VADEvent]) -> list[tuple[VADEvent, bytes]]:
        return [
            (without_frames(one), bytes(one.frames[0].data))
            for one in said
            if one.type != VADEventType.INFERENCE_DONE
        ]

    assert turns(ours) == turns(theirs)
    assert len(turns(ours)) >= 4
    windows = {one.samples_index: one for one in theirs if one.type == VADEventType.INFERENCE_DONE}
    told = [one for one in ours if one.type == VADEventType.INFERENCE_DONE]
    for one in told:
        same = windows.pop(one.samples_index)
        # Of a sound that is over it counts nothing.
        counted = 0.0 if same.raw_accumulated_silence > 0 else same.speech_duration
        assert without_frames(one) == without_frames(dataclasses.replace(same, speech_duration=counted))
        assert bytes(one.frames[0].data) == bytes(same.frames[0].data)
    untold = list(windows.values())
    assert all(not one.speaking and one.probability < 0.5 for one in untold)
    assert len(untold) > len(told) / TOLD_OF_QUIET


def soonest(model: Model, pcm: np.ndarray) -> float:
    """Seconds until it is sure for two windows in a row, after "Can I ask something?" and 8 s of silence."""
    before = np.concatenate([spoken("Can I ask something?")[::3], np.zeros(8 * RATE, np.int16)])
    sound = np.concatenate([before[len(before) % 512 :], pcm, np.zeros(RATE, np.int16)])
    said = [model.predict(sound[at : at + 512]) for at in range(0, len(sound) - 511, 512)]
    first = len(before) // 512
    pairs = enumerate(itertools.pairwise(said[first:]), 2)
    return next((number * 512 / RATE for number, pair in pairs if min(pair) >= SURE), 9.0)


def test_after_a_long_silence_words_are_heard_as_soon_as_after_a_short_one() -> None:
    texts = ("Okay.", "Hold on.", "Yes but when?", "Sorry, what?", "No, stop.", "Hmm.")
    words = [over_a_telephone(spoken(text)[::3]) for text in texts]
    begun = [word[np.flatnonzero(np.abs(word.astype(np.int32)) > 400)[0] :] for word in words]
    kept_awake = [soonest(Wakeful(VAD()), word) for word in begun]
    as_it_is = [soonest(VAD(), word) for word in begun]
    assert np.median(kept_awake) < 0.15
    assert np.median(kept_awake) < np.median(as_it_is) - 0.1


def test_silence_and_steady_noise_are_not_taken_for_speech_by_who_is_awake() -> None:
    random = np.random.default_rng(5)
    model = Wakeful(VAD())
    for level in (0, 8, 60, 300, 1500):
        noise = random.normal(0, level, 20 * RATE).astype(np.int16)
        said = [model.predict(noise[at : at + 512]) for at in range(0, len(noise) - 511, 512)]
        assert max(min(pair) for pair in itertools.pairwise(said)) < SURE


def test_of_silence_the_model_is_not_asked_for_long() -> None:
    asked: list[int] = []

    class Counted:
        def predict(self, window: np.ndarray) -> float:
            asked.append(len(window))
            return 0.0

        def reset(self) -> None:
            asked.clear()

    model = Wakeful(Counted())
    told = len(asked)
    for level in (3000, *[5] * 100, 3000, *[5] * 100):
        model.predict(np.full(512, level, np.int16))
    assert len(asked) == told, "woken again after a second of silence, and not asked since"
    for _ in range(ASLEEP_AFTER):
        model.predict(np.full(512, 3000, np.int16))
    assert len(asked) > told, "a louder sound is heard"


async def test_a_sound_of_another_rate_is_heard_too() -> None:
    sound = np.concatenate([np.zeros(48_000, np.int16), spoken("Stop please."), np.zeros(48_000, np.int16)])
    said = await events(vad.build("native", 0.25).stream(), sound, 48_000, 480)
    assert [one.type for one in said if one.type != VADEventType.INFERENCE_DONE] == [
        VADEventType.START_OF_SPEECH,
        VADEventType.END_OF_SPEECH,
    ]


async def test_what_was_flushed_is_forgotten() -> None:
    stream = vad.build("native", 0.25).stream()
    word = spoken("Stop please.")[::3]
    stream.push_frame(rtc.AudioFrame(word.tobytes(), 16_000, 1, len(word)))
    stream.flush()
    said = await events(stream, np.zeros(16_000, np.int16), 16_000, 512)
    assert [one.type for one in said][-1] == VADEventType.INFERENCE_DONE
    assert not said[-1].speaking
