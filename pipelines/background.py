"""The sound of a room behind the agent: made here, mixed under its voice, never in a transcript.

voice       ▁▁▁▁██████▁▁▁▁▁▁▁▁████▁▁▁▁
background  ░░░░░░░░░░░░░░░░░░░░░░░░░░      also while nobody speaks: a room does not fall silent
"""

import asyncio
import functools
from typing import Literal

import numpy as np
from livekit import rtc
from numpy.typing import NDArray

Sound = Literal["none", "office", "keyboard"]

LOOP_SECONDS = 16
_FULL_RMS = 0.06
"""Of full scale, at a volume of 1: 24 dB below the loudest there is, as a busy room is behind a voice."""
_FULL_PEAK = 0.4
_SEED = 7


class Background:
    """One call's place in a loop of sound. `volume` is 0 to 1."""

    def __init__(self, sound: Literal["office", "keyboard"], volume: float) -> None:
        self._sound: Literal["office", "keyboard"] = sound
        self._volume = volume
        self._at = 0
        self._loop: NDArray[np.float32] | None = None

    async def prepare(self, sample_rate: int) -> None:
        """Have the sound made, beside whatever else goes on; before, there is none."""
        self._loop = await asyncio.to_thread(loop_of, self._sound, sample_rate)

    def under(self, voice: rtc.AudioFrame | None, sample_rate: int, samples: int) -> rtc.AudioFrame:
        """So many samples of int16 mono: the voice, where there is one, on the sound that goes on."""
        piece = np.zeros(samples, np.float32)
        if (loop := self._loop) is not None:
            ends = self._at + samples
            piece = np.take(loop, np.arange(self._at, ends), mode="wrap") * self._volume
            self._at = ends % len(loop)
        if voice is not None:
            piece = piece + np.frombuffer(voice.data, np.int16)
        pcm = np.clip(piece, -32768, 32767).astype(np.int16).tobytes()
        return rtc.AudioFrame(pcm, sample_rate, 1, samples)


def background_of(sound: Sound, volume: float) -> Background | None:
    """What an agent asks for; nothing where it is not to be heard."""
    return None if sound == "none" or volume <= 0 else Background(sound, volume)


@functools.lru_cache(maxsize=8)
def loop_of(sound: Literal["office", "keyboard"], sample_rate: int) -> NDArray[np.float32]:
    """`LOOP_SECONDS` of it, the end fitting the beginning; float32, scaled as int16. Made once a process."""
    random = np.random.default_rng(_SEED)
    size = LOOP_SECONDS * sample_rate
    made = _typing(random, size, sample_rate)
    if sound == "office":
        # Air and far voices; somebody types at the other end of the room.
        murmur = _noise(random, size, sample_rate, 180, 1800) * _slow(random, size)
        made = _noise(random, size, sample_rate, 40, 900) + 0.8 * murmur + 0.25 * made
    loudness = min(
        _FULL_RMS / float(np.sqrt(np.mean(made**2))),
        _FULL_PEAK / float(np.abs(made).max()),  # a key is over before it is loud on average
    )
    return np.asarray(made * loudness * 32767, np.float32)


def _noise(random: np.random.Generator, size: int, rate: int, low: float, high: float) -> NDArray[np.float64]:
    """Noise that falls off like a room's between two frequencies; periodic, since it is made of waves."""
    frequencies = np.fft.rfftfreq(size, 1 / rate)
    shape = np.where(
        (frequencies >= low) & (frequencies <= high), 1 / np.sqrt(np.maximum(frequencies, low)), 0
    )
    waves = shape * np.exp(2j * np.pi * random.random(len(frequencies)))
    made = np.fft.irfft(waves, size)
    return np.asarray(made / np.std(made))


def _slow(random: np.random.Generator, size: int) -> NDArray[np.float64]:
    """How loud the voices are, from moment to moment: two to four times a second, between 0.2 and 1."""
    steps = LOOP_SECONDS * 3
    levels = random.uniform(0.2, 1.0, steps)
    between = np.interp(np.arange(size) / size * steps, np.arange(steps + 1), [*levels, levels[0]])
    return np.asarray(between, np.float64)


def _typing(random: np.random.Generator, size: int, rate: int) -> NDArray[np.float64]:
    """Keys in bursts, with pauses to think."""
    made = np.zeros(size)
    key = int(rate * 0.03)
    fade = np.exp(-np.arange(key) / (rate * 0.004))
    at = 0.2
    while at < LOOP_SECONDS - 1.5:
        for _ in range(int(random.integers(4, 14))):
            start = int(at * rate)
            if start + key >= size:
                break
            made[start : start + key] += random.uniform(0.4, 1.0) * fade * random.standard_normal(key)
            at += float(random.uniform(0.08, 0.2))
        at += float(random.uniform(0.5, 2.0))
    return made
