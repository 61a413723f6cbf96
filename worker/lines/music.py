"""Music for whoever waits on hold: composed and played here, so that it is nobody's, and no file is shipped.

    music = Music(rate)            a call's place in the loop; costs nothing until it is asked for
    await music.prepare()          have it rendered, in a thread, once a process and rate
    music.next(samples)            int16 mono; None until it is rendered

Whoever holds a call plays it in the place of the voice (`lines.phone`, `lines.playout`); it never ends, and
each hold begins softly at its first bar. On a telephone the other side is told by a re-INVITE, too
(`exchange.holds`).
"""

import asyncio
import functools

import numpy as np
from numpy.typing import NDArray

BEAT_SECONDS = 0.75
_CHORDS = ((60, 64, 67, 71), (57, 64, 67, 72), (53, 60, 65, 69), (55, 62, 67, 69))
"""C, A minor, F and G as MIDI notes, a bar of four beats each; twice round is the loop."""
_SCALE = (72, 74, 76, 79, 81, 84)
"""Of the melody: five tones that go with every chord."""
_BARS = 8
LOOP_SECONDS = _BARS * 4 * BEAT_SECONDS
_RMS = 0.045
"""Of full scale: 27 dB below, softer than a voice on a telephone, as who waits may want to talk meanwhile."""
_PEAK = 0.3
_FADE_SECONDS = 0.4
_SEED = 11


class Music:
    """One call's place in the loop, from its beginning."""

    def __init__(self, sample_rate: int) -> None:
        self._rate = sample_rate
        self._at = 0
        self._has_wrapped = False
        self._loop: NDArray[np.int16] | None = None

    async def prepare(self) -> None:
        """Have it rendered, beside whatever else goes on."""
        self._loop = await asyncio.to_thread(loop_of, self._rate)

    def begin(self) -> None:
        """From the first bar, softly."""
        self._at, self._has_wrapped = 0, False

    def next(self, samples: int) -> bytes | None:
        """So many samples of int16 mono; None while it is not rendered yet."""
        if (loop := self._loop) is None:
            return None
        ends = self._at + samples
        piece = (
            loop[self._at : ends] if ends <= len(loop) else np.take(loop, range(self._at, ends), mode="wrap")
        )
        fade = int(_FADE_SECONDS * self._rate)
        if self._at < fade and not self._has_wrapped:
            piece = (piece * np.minimum(1.0, np.arange(self._at, ends) / fade)).astype(np.int16)
        self._has_wrapped |= ends >= len(loop)
        self._at = ends % len(loop)
        return piece.tobytes()


@functools.lru_cache(maxsize=4)
def loop_of(sample_rate: int) -> NDArray[np.int16]:
    """`LOOP_SECONDS` of it, the end fitting the beginning. Made once a process."""
    random = np.random.default_rng(_SEED)
    made = np.zeros(int(LOOP_SECONDS * sample_rate))
    step = 3
    for bar in range(_BARS):
        chord, starts = _CHORDS[bar % len(_CHORDS)], bar * 4 * BEAT_SECONDS
        for note in chord:
            _play(made, sample_rate, starts, 4.6 * BEAT_SECONDS, note, 0.16, attack=0.5)
        for eighth, place in enumerate((0, 1, 2, 3, 2, 1, 2, 1)):
            _play(made, sample_rate, starts + eighth * BEAT_SECONDS / 2, 1.6, chord[place], 0.5, attack=0.008)
        for beat in (0.0, 1.5, 2.0, 3.0):
            if random.random() < 0.7:
                step = int(np.clip(step + random.integers(-2, 3), 0, len(_SCALE) - 1))
                at = starts + beat * BEAT_SECONDS
                _play(made, sample_rate, at, 2.2, _SCALE[step], 0.42, attack=0.015)
    made *= min(_RMS / float(np.sqrt(np.mean(made**2))), _PEAK / float(np.abs(made).max())) * 32767
    return made.astype(np.int16)


def _play(
    into: NDArray[np.float64],
    rate: int,
    at: float,
    seconds: float,
    note: int,
    loudness: float,
    *,
    attack: float,
) -> None:
    """A soft tone with two overtones that dies away; what reaches past the end sounds at the beginning."""
    time = np.arange(int(seconds * rate)) / rate
    hertz = 440.0 * 2 ** ((note - 69) / 12)
    angle = 2 * np.pi * hertz * time
    sine, cosine = np.sin(angle), np.cos(angle)
    # The overtones are sin 2x = 2 sin x cos x and sin 3x = sin x (4 cos² x - 1).
    wave = sine * (1 + 0.28 * 2 * cosine + 0.09 * (4 * cosine**2 - 1))
    sound, start = loudness * wave * _envelope(rate, seconds, attack), int(at * rate)
    here = len(into) - start
    into[start : start + len(sound)] += sound[:here]
    into[: max(0, len(sound) - here)] += sound[here:]


@functools.lru_cache(maxsize=16)
def _envelope(rate: int, seconds: float, attack: float) -> NDArray[np.float64]:
    """Quickly there, then dying away."""
    time = np.arange(int(seconds * rate)) / rate
    fades = np.exp(-2.6 * time / seconds) * np.minimum(1.0, (seconds - time) / 0.1)
    return np.asarray(np.minimum(1.0, time / attack) * fades)
