"""Deciding when somebody speaks."""

from pathlib import Path

import numpy as np
import pytest

from bench.hush import voice
from pipelines.local.gate import SAMPLE_RATE, WINDOW, SpeechGate
from pipelines.local.whisper import WhisperSTT

LOUD, QUIET = 0.9, 0.05


def window(value: int = 0) -> "np.ndarray":
    return np.full(WINDOW, value, np.int16)


def steps(gate: SpeechGate, *probabilities: float) -> list[str]:
    return [step for p in probabilities if (step := gate.feed(window(round(p * 100)), p)) is not None]


def test_a_word_starts_hushes_pauses_and_ends() -> None:
    gate = SpeechGate()
    assert steps(gate, *[QUIET] * 20, *[LOUD] * 10, *[QUIET] * 8) == ["started", "hushed", "paused", "ended"]


def test_speech_that_comes_back_is_the_same_stretch() -> None:
    gate = SpeechGate()
    assert steps(gate, *[LOUD] * 5, *[QUIET] * 6, *[LOUD] * 5, *[QUIET] * 8) == [
        "started",
        "hushed",
        "paused",
        "resumed",
        "hushed",
        "paused",
        "ended",
    ]
    assert (gate.stretch().samples == 90).sum() == 10 * WINDOW


def test_a_stretch_holds_what_was_just_before_and_its_times() -> None:
    gate = SpeechGate()
    steps(gate, *[QUIET] * 40, *[LOUD] * 10, *[QUIET] * 8)
    stretch = gate.stretch()
    assert len(stretch.samples) == (12 - 2 + 10 + 8) * WINDOW
    assert stretch.starts_at == pytest.approx((40 - 10) * 0.032)
    assert stretch.ends_at == pytest.approx(50 * 0.032)


def test_the_next_stretch_never_repeats_the_last_one() -> None:
    gate = SpeechGate()
    steps(gate, *[LOUD] * 10, *[QUIET] * 8)
    gate.clear()
    steps(gate, *[QUIET] * 2, *[LOUD] * 3)
    assert len(gate.stretch().samples) == 5 * WINDOW


def test_a_click_is_no_word() -> None:
    assert steps(SpeechGate(), *[QUIET] * 5, LOUD, LOUD, *[QUIET] * 8)[-1] == "dropped"
    assert steps(SpeechGate(), *[QUIET] * 5, LOUD, *[QUIET] * 8) == []


def test_somebody_who_never_stops_is_cut_and_loses_nothing() -> None:
    gate = SpeechGate()
    taken = 0
    for _ in range(2000):
        if gate.feed(window(90), LOUD) == "cut":
            taken += len(gate.stretch().samples)
            gate.clear()
    assert taken + len(gate.stretch().samples) == 2000 * WINDOW
    assert taken == 2 * 750 * WINDOW


def test_the_session_may_end_a_stretch_early() -> None:
    gate = SpeechGate()
    assert gate.end() is None
    steps(gate, *[LOUD] * 10)
    assert gate.end() == "ended"
    assert gate.end() is None


@pytest.mark.parametrize("noise", [10, 40])
def test_a_short_word_after_a_long_silence_is_not_missed(noise: int) -> None:
    random = np.random.default_rng(1)
    gate, probability = SpeechGate(), WhisperSTT(Path("models.sock")).detector()
    words = ("Yes.", "No.", "Okay.", "Two.", "Four.", "Tuesday.", "Thanks.", "Six thirty.")
    ended = 0
    for word in words:
        sound = np.concatenate([np.zeros(10 * SAMPLE_RATE), voice(word), np.zeros(SAMPLE_RATE)])
        heard = (sound + random.normal(0, noise, len(sound))).clip(-32_768, 32_767).astype(np.int16)
        for at in range(0, len(heard) - WINDOW + 1, WINDOW):
            part = heard[at : at + WINDOW]
            if (step := gate.feed(part, probability(part))) in ("ended", "dropped"):
                ended += step == "ended"
                gate.clear()
    assert ended == len(words)
