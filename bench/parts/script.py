"""What the paced caller says: utterances with labels, to the sample, of where speech begins and ends."""

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tests.support.speech import spoken

RATE = 16_000
QUIET = 300
"""Samples below this (int16) are the silence around an utterance."""
NOISE_DB = 15.0

Pcm = NDArray[np.int16]


@dataclass(frozen=True)
class Stretch:
    """Words said without a pause, `start` and `end` in seconds of the utterance."""

    text: str
    start: float
    end: float


@dataclass(frozen=True)
class Utterance:
    """One thing the caller says: int16 mono at 16 kHz, and what is in it."""

    name: str
    pcm: Pcm
    stretches: tuple[Stretch, ...]

    @property
    def end(self) -> float:
        """Seconds from its first sample to its last sound."""
        return self.stretches[-1].end


def utterance(name: str, *parts: str | float, noise: bool = False) -> Utterance:
    """Words and, as numbers, the seconds of pause between them."""
    pieces: list[Pcm] = []
    stretches: list[Stretch] = []
    at = 0.0
    for part in parts:
        if isinstance(part, float):
            pieces.append(np.zeros(int(part * RATE), np.int16))
            at += part
            continue
        voice = _voice(part)
        stretches.append(Stretch(part, at, at + len(voice) / RATE))
        pieces.append(voice)
        at += len(voice) / RATE
    pcm = np.concatenate(pieces)
    return Utterance(name, _in_noise(pcm) if noise else pcm, tuple(stretches))


def _voice(text: str) -> Pcm:
    """The words, cut where they are heard; made once for each machine, since making them is work."""
    kept = Path(tempfile.gettempdir()) / f"call2me-bench-{abs(hash_of(text)):x}.npy"
    if kept.exists():
        return np.asarray(np.load(kept), np.int16)
    pcm = spoken(text)[::3]
    loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > QUIET)
    pcm = np.ascontiguousarray(pcm[loud[0] : loud[-1] + 1])
    np.save(kept, pcm)
    return pcm


def hash_of(text: str) -> int:
    """The same in each process."""
    return int.from_bytes(text.encode(), "big") % (2**61 - 1)


def _in_noise(pcm: Pcm) -> Pcm:
    loudness = float(np.sqrt(np.mean(pcm.astype(np.float64) ** 2)))
    noise = np.random.default_rng(1).normal(0, loudness / 10 ** (NOISE_DB / 20), len(pcm))
    return np.asarray(np.clip(pcm + noise, -32_768, 32_767), np.int16)


@functools.cache
def utterances() -> dict[str, Utterance]:
    """The eight of BENCH, the two turns with work behind them, and what is said over the agent."""
    made = (
        utterance("short", "What are your opening hours?"),
        utterance(
            "long", "I would like to know how much a cleaning costs and whether you take new patients."
        ),
        utterance("600 ms, open", "My name is Peter Johnson and", 0.6, "I need an appointment on Tuesday."),
        utterance(
            "900 ms, number", "My number is five five five", 0.9, "zero one three four four seven nine."
        ),
        utterance("300 ms, closed", "I need a cleaning", 0.3, "on Monday in the morning."),
        utterance("600 ms, closed", "I need an appointment", 0.6, "for my daughter on Tuesday."),
        utterance("900 ms, closed", "Do you have time on Thursday", 0.9, "or maybe on Friday afternoon?"),
        utterance("um", "Can I bring my um", 0.7, "insurance card next week?"),
        utterance("digits", "My code is four nine two seven one three eight five zero six."),
        utterance("noise", "How much is a root canal?", noise=True),
        utterance("tool", "Please book it for me."),
        utterance("knowledge", "Which insurance companies do you accept?"),
        utterance("stop", "Wait, stop. What about Sunday?"),
        utterance("uh-huh", "Uh-huh."),
    )
    return {each.name: each for each in made}


TURNS = (
    *("short", "long", "600 ms, open", "900 ms, number", "600 ms, closed", "900 ms, closed", "um", "digits"),
    *("noise", "tool", "knowledge", "short", "600 ms, open", "long", "900 ms, number", "300 ms, closed"),
    *("900 ms, closed", "um", "300 ms, closed", "short"),
)
"""Twenty, in this order."""
BARGED_IN = frozenset({0, 4, 9, 13, 18})
"""Turns whose long answer is broken into 0.7 s after it began."""
MURMURED = frozenset({1, 10, 16})
"""Turns whose long answer is murmured at."""
