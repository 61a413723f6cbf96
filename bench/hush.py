"""What the hush gains and costs: how soon the agent is silent for a sentence, what holes shorter sounds make.

    python -m bench.hush

The session, the detector and everything of ours are real; the clock is virtual, so that a busy machine
changes nothing. Sentences and murmurs are spoken by hibari, coughs are made of noise and pulses, a vowel is
cut short; all has a telephone's band and begins at several places of the detector's windows. Each sound comes
alone, over a long story, a moment after the one before and after a while of listening; nobody rests after
errors. The tables of docs/decisions/hush-first.md.
"""

import contextlib
import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np
from livekit.local_inference import VAD
from numpy.typing import NDArray

from bench.parts.script import Stretch
from pipelines.wakeful import Model
from tests.support import sounds
from tests.support.speech import spoken
from tests.support.virtual_clock import played
from tests.support.virtual_talk import RATE, talking

Pcm = NDArray[np.int16]

SENTENCES = (
    *("No, stop.", "Wait a moment please.", "Stop please.", "Excuse me.", "I have a question.", "Hold on."),
    *("That is not what I meant.", "Sorry, what?", "Yes but when?", "Can I ask something?", "Hello?"),
    "Actually no.",
)
MURMURS = ("Mhm.", "Uh-huh.", "Yeah.", "Okay.", "Hmm.", "Right.")
PLACES = (0, 80, 160, 240)
"""Samples before the sound: a window has 512."""
QUESTION = "Can I ask something?"
STORY = "once there was a clinic " + "that had many rooms " * 95
AT_ONCE = 8
"""Sounds in one call: the story is as long."""
LOUD, HOLE_SECONDS = 600, 0.025
LISTENED_SECONDS = (2.5, 8.0)
"""Of silence before each sound: a detector may have forgotten what a voice is."""


@dataclass(frozen=True)
class Said:
    """A sound over the agent's voice; `words` as its recogniser understands them."""

    kind: str
    pcm: Pcm
    words: str = ""
    place: int = 0


@dataclass(frozen=True)
class Seen:
    """Seconds from the sound's beginning to silence, None where the agent talked on; and of all holes."""

    kind: str
    stop: float | None
    hole: float


def over_a_telephone(sound: Pcm) -> Pcm:
    """In its band."""
    return sounds.pcm(sounds.telephone(sound.astype(np.float32) / 32_768))


def voice(text: str) -> Pcm:
    """From the first loud sample to the last one."""
    pcm = spoken(text)[::3]
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > 400)
    return over_a_telephone(pcm[loud[0] : loud[-1] + 1])


def _resonance(sound: sounds.Sound, hertz: float, sharpness: float) -> sounds.Sound:
    at = np.fft.rfftfreq(len(sound), 1 / RATE)
    bend = 1 + 1j * sharpness * (at / hertz - hertz / np.maximum(at, 1))
    return np.asarray(np.fft.irfft(np.fft.rfft(sound) / bend, len(sound)), np.float32)


def _throat(sound: sounds.Sound, *resonances: tuple[float, float]) -> sounds.Sound:
    return np.asarray(sum(_resonance(sound, *at) for at in resonances), np.float32)


def cough(random: np.random.Generator, seconds: float) -> Pcm:
    """A burst in a throat's resonances, more or less voiced, that dies away."""
    size = int(seconds * RATE)
    burst = random.standard_normal(size).astype(np.float32)
    burst = sum(
        (_resonance(burst, *at) for at in ((550, 4), (1400, 5), (2500, 6))), np.zeros(size, np.float32)
    )
    pulses = np.zeros(size, np.float32)
    pulses[:: int(RATE / random.uniform(90, 180))] = 1
    pulses = _throat(pulses, (600, 5), (1200, 6))
    voiced = random.uniform(0, 0.7)
    whole = burst / np.abs(burst).max() * (1 - voiced) + pulses / np.abs(pulses).max() * voiced
    whole *= np.exp(-np.arange(size) / RATE / (seconds * 0.35))
    return over_a_telephone((whole / np.abs(whole).max() * random.uniform(6_000, 16_000)).astype(np.int16))


def everything() -> Iterator[Said]:
    """48 beginnings of sentences, 24 of murmurs, 80 coughs, 30 pieces of a vowel, ten noises."""
    random = np.random.default_rng(3)
    for text, place in itertools.product(SENTENCES, PLACES):
        yield Said("a sentence", voice(text), place=place)
    for text, place in itertools.product(MURMURS, PLACES):
        yield Said("a murmur", voice(text), text, place)
    for seconds, _ in itertools.product((0.15, 0.2, 0.3, 0.5), range(20)):
        yield Said("a cough", cough(random, seconds))
    whole = spoken("Ah, yes.")[::3]
    loudest = int(np.abs(whole.astype(np.int32)).argmax())
    for seconds, place in itertools.product((0.1, 0.15, 0.2), range(0, 320, 32)):
        begin = max(0, loudest - int(seconds * RATE) // 2)
        yield Said(
            "a vowel cut short", over_a_telephone(whole[begin : begin + int(seconds * RATE)]), place=place
        )
    for (name, noise), level in itertools.product(sounds.NOISES.items(), (0.3, 0.1)):
        kind = "a hum" if name == "hum" else "another noise"
        yield Said(kind, over_a_telephone(sounds.pcm(noise(8.0, level))))


async def seen(said: list[Said], listened: float) -> list[Seen]:
    """Say each over the agent's story, after so many seconds of silence."""
    found = []
    question = voice(QUESTION)
    for first in range(0, len(said), AT_ONCE):
        async with talking({QUESTION: STORY}, detector=VAD) as talk:
            await talk.quiet()
            await talk.plays(question, (Stretch(QUESTION, 0, len(question) / RATE),))
            await talk.hears()
            await talk.pause(listened)
            for one in said[first : first + AT_ONCE]:
                lead = np.random.default_rng(one.place).normal(0, 8, one.place).astype(np.int16)
                words = (Stretch(one.words, 0, len(one.pcm) / RATE),) if one.words else ()
                began = time.time()
                await talk.plays(np.concatenate([lead, one.pcm]), words)
                await talk.pause(listened)
                heard = [at for at, pcm in talk.sounds if at >= began - 0.05 and np.abs(pcm).max() > LOUD]
                holes = [pair for pair in itertools.pairwise(heard) if pair[1] - pair[0] > HOLE_SECONDS]
                stop = holes[0][0] + 0.01 - began - one.place / RATE if holes else None
                found.append(Seen(one.kind, stop, sum(later - earlier for earlier, later in holes)))
    return found


class Asleep:
    """The detector's model as it is."""

    def __init__(self, model: Model) -> None:
        self.predict, self.reset = model.predict, model.reset


WAYS: dict[str, dict[str, Any]] = {
    "not hushed": {"pipelines.turn_taking.HUSHES_FROM": 2.0},
    "hushed by a detector that falls asleep": {
        "pipelines.windows.Wakeful": Asleep,
        "pipelines.vad.BEGINS": 0.5,
        "pipelines.hush.LIKELY": 0.5,
        "pipelines.hush.SURE": 2.0,
    },
    "hushed": {},
}


def main() -> None:
    """Print a table for each silence."""
    said = list(everything())
    for listened in LISTENED_SECONDS:
        found = {}
        for way, changes in WAYS.items():
            with contextlib.ExitStack() as changed:
                for name, value in {"pipelines.hush.REST_SECONDS": 0.0, **changes}.items():
                    changed.enter_context(mock.patch(name, value))
                found[way] = played(seen(said, listened), 100_000)
        print(f"\n| after {listened} s | " + " | ".join(f"{way} | " for way in WAYS) + "|")
        print("| --- " * (1 + 2 * len(WAYS)) + "|")
        for kind in dict.fromkeys(one.kind for one in said):
            cells = [
                cell for each in found.values() for cell in _cells([one for one in each if one.kind == kind])
            ]
            print(f"| {kind} | " + " | ".join(cells) + " |", flush=True)


def _cells(found: list[Seen]) -> tuple[str, str]:
    stops = [one.stop * 1000 for one in found if one.stop is not None]
    often = f"{len(stops)} of {len(found)}"
    if not stops:
        return often, ""
    holes = [one.hole for one in found if one.stop is not None]
    return often, (
        f"after {np.median(stops):.0f} ms, p95 {np.percentile(stops, 95):.0f}; "
        f"holes {np.median(holes):.2f} s, at most {max(holes):.2f}"
    )


if __name__ == "__main__":
    main()
