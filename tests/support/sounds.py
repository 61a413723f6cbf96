"""Sounds to try recognisers on: noises that hold no words, silence, and the telephone's narrow band."""

import numpy as np
from numpy.typing import NDArray

RATE = 16_000

Sound = NDArray[np.float32]


def _coloured(seconds: float, exponent: float, seed: int) -> Sound:
    random = np.random.default_rng(seed)
    size = int(seconds * RATE)
    spectrum = np.fft.rfft(random.standard_normal(size))
    frequencies = np.fft.rfftfreq(size, 1 / RATE)
    frequencies[0] = frequencies[1]
    shaped = np.fft.irfft(spectrum / frequencies**exponent, size)
    return (shaped / np.abs(shaped).max()).astype(np.float32)


def white(seconds: float, level: float = 0.3, seed: int = 1) -> Sound:
    """Hiss."""
    return level * _coloured(seconds, 0.0, seed)


def pink(seconds: float, level: float = 0.3, seed: int = 2) -> Sound:
    """Rain."""
    return level * _coloured(seconds, 0.5, seed)


def brown(seconds: float, level: float = 0.3, seed: int = 3) -> Sound:
    """A far motorway."""
    return level * _coloured(seconds, 1.0, seed)


def hum(seconds: float, level: float = 0.3) -> Sound:
    """The mains, with its harmonics."""
    at = np.arange(int(seconds * RATE)) / RATE
    wave = sum(np.sin(2 * np.pi * 50 * harmonic * at) / harmonic for harmonic in (1, 2, 3, 5, 7))
    return (level * wave / np.abs(wave).max()).astype(np.float32)


def clicks(seconds: float, level: float = 0.6, seed: int = 4) -> Sound:
    """Somebody types on a keyboard: short decaying bursts, about six a second."""
    random = np.random.default_rng(seed)
    sound = np.zeros(int(seconds * RATE), np.float32)
    at = 0.0
    while (at := at + random.exponential(1 / 6)) < seconds - 0.05:
        burst = random.standard_normal(640) * np.exp(-np.arange(640) / random.uniform(40, 160))
        place = int(at * RATE)
        sound[place : place + 640] += burst.astype(np.float32) * random.uniform(0.2, 1.0)
    return level * sound / max(1e-6, float(np.abs(sound).max()))


def silence(seconds: float) -> Sound:
    """Nothing at all."""
    return np.zeros(int(seconds * RATE), np.float32)


NOISES = {"white": white, "pink": pink, "brown": brown, "hum": hum, "clicks": clicks}


def resample(sound: Sound, source: int, target: int) -> Sound:
    """Another rate, by cutting or padding the spectrum; good enough for tests."""
    size = round(len(sound) * target / source)
    spectrum = np.fft.rfft(sound)
    bins = size // 2 + 1
    fitted = np.zeros(bins, np.complex128)
    fitted[: min(bins, len(spectrum))] = spectrum[:bins]
    return (np.fft.irfft(fitted, size) * (size / len(sound))).astype(np.float32)


def telephone(sound: Sound) -> Sound:
    """Through a telephone: 300 to 3,400 Hz, and the steps of mu-law."""
    spectrum = np.fft.rfft(sound)
    frequencies = np.fft.rfftfreq(len(sound), 1 / RATE)
    spectrum[(frequencies < 300) | (frequencies > 3400)] = 0
    narrow = np.clip(np.fft.irfft(spectrum, len(sound)), -1, 1)
    squeezed = np.sign(narrow) * np.log1p(255 * np.abs(narrow)) / np.log(256)
    stepped = np.round(squeezed * 127) / 127
    return (np.sign(stepped) * (np.power(256, np.abs(stepped)) - 1) / 255).astype(np.float32)


def pcm(sound: Sound) -> NDArray[np.int16]:
    """float32 to int16."""
    return (np.clip(sound, -1, 1) * 32767).astype(np.int16)


def word_errors(wanted: str, heard: str) -> float:
    """Word error rate: how many words must change, by those wanted; case and punctuation aside."""
    want, have = (
        "".join(letter if letter.isalnum() or letter == "'" else " " for letter in text.lower()).split()
        for text in (wanted, heard)
    )
    row = list(range(len(have) + 1))
    for place, word in enumerate(want, 1):
        diagonal, row[0] = row[0], place
        for other, heard_word in enumerate(have, 1):
            diagonal, row[other] = (
                row[other],
                min(row[other] + 1, row[other - 1] + 1, diagonal + (word != heard_word)),
            )
    return row[-1] / max(1, len(want))
