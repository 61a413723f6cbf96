"""A person, a machine and its beep, told apart by sound alone."""

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.support.speech import spoken
from worker.lines.rtp.answering import Answering

RATE = 8000
GREETING = (
    "You have reached the office of Smith and Sons. Please leave a message after the tone and we call back."
)


def said(text: str) -> NDArray[np.int16]:
    sound = spoken(text)
    telephone = sound[: len(sound) // 6 * 6].reshape(-1, 6).mean(axis=1).astype(np.int16)
    return telephone[int(np.argmax(np.abs(telephone) > 300)) :]


def silent(seconds: float) -> NDArray[np.int16]:
    noise = np.random.default_rng(2).normal(0, 12, int(seconds * RATE))
    return noise.astype(np.int16)


def tone(hz: float, seconds: float, level: float = 6000.0) -> NDArray[np.int16]:
    at = np.arange(int(seconds * RATE)) / RATE
    return (level * np.sin(2 * np.pi * hz * at)).astype(np.int16)


def heard(*sounds: NDArray[np.int16]) -> tuple[Answering, float | None, float | None]:
    """After all of it; when it was clear who it is, and when the beep was heard, in seconds."""
    answering = Answering(RATE)
    clear_at = beep_at = None
    pcm = np.concatenate(sounds)
    for number in range(len(pcm) // 160):
        answering.hear(pcm[number * 160 : number * 160 + 160].tobytes())
        moment = (number + 1) * 0.02
        clear_at = moment if clear_at is None and answering.answered_by else clear_at
        beep_at = moment if beep_at is None and answering.has_beeped else beep_at
    return answering, clear_at, beep_at


@pytest.mark.parametrize("hello", ["Hello?", "Hello, this is Anna.", "Yes?"])
def test_a_short_word_and_silence_is_a_person(hello: str) -> None:
    word = said(hello)
    answering, clear_at, _ = heard(silent(0.6), word, silent(1.5))
    assert answering.answered_by == "person"
    assert clear_at is not None
    assert clear_at < 0.6 + len(word) / RATE + 0.8
    assert not answering.has_beeped


def test_a_long_greeting_is_a_machine_within_two_seconds_of_it() -> None:
    greeting = said(GREETING)
    began = 0.5 + int(np.argmax(np.abs(greeting) > 500)) / RATE
    answering, clear_at, beep_at = heard(silent(0.5), greeting, silent(1.0))
    assert answering.answered_by == "machine"
    assert clear_at is not None
    assert 1.0 < clear_at - began < 2.0
    assert beep_at is None, "a voice is no beep"


@pytest.mark.parametrize("hz", [440.0, 1000.0, 1400.0, 2000.0])
def test_a_beep_is_heard_and_what_follows_it(hz: float) -> None:
    greeting = said(GREETING)
    answering, _, beep_at = heard(greeting, silent(0.5), tone(hz, 0.4), silent(0.4))
    assert beep_at is not None
    assert 0.15 < beep_at - len(greeting) / RATE - 0.5 < 0.3
    assert answering.has_beeped
    assert answering.quiet_seconds > 0.2


def test_a_tone_before_the_greeting_is_not_the_beep() -> None:
    answering, clear_at, _ = heard(silent(0.2), tone(900.0, 0.4), said(GREETING))
    assert answering.answered_by == "machine"
    assert clear_at is not None
    assert clear_at < 0.6
    assert not answering.has_beeped


def test_silence_clicks_and_noise_are_nobody() -> None:
    click = np.zeros(400, np.int16)
    click[:80] = 9000
    assert heard(silent(4.0))[0].answered_by is None
    assert heard(silent(0.5), click, silent(2.0))[0].answered_by is None
    street = np.random.default_rng(3).normal(0, 400, RATE * 4).astype(np.int16)
    assert heard(street)[0].answered_by is None
    assert heard(np.zeros(RATE * 3, np.int16))[0].answered_by is None
    broken = Answering(RATE)
    broken.hear(b"\x00")
    assert broken.answered_by is None
