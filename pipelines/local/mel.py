"""The picture of a sound that Whisper reads: log-mel frames of 10 ms, in plain numpy.

A transcription of the definition in the Whisper paper (Radford et al., 2022, section 2.2) with the
slaney mel scale. faster-whisper has one too, but importing it brings PyAV and 30 MB into the process.
"""

import functools

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE = 16_000
HOP = 160
WINDOW = 400

_LINEAR_HZ_PER_MEL = 200.0 / 3
_LOG_FROM_HZ = 1000.0
_LOG_STEP = np.log(6.4) / 27.0


def _hertz(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Slaney's scale: linear up to 1 kHz, logarithmic above."""
    log_from = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
    curved = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mels - log_from))
    return np.where(mels < log_from, mels * _LINEAR_HZ_PER_MEL, curved)


@functools.lru_cache(maxsize=2)
def _filters(bands: int) -> NDArray[np.float32]:
    """Triangles of equal area on the mel scale, shape (bands, WINDOW // 2 + 1)."""
    bins = np.fft.rfftfreq(WINDOW, 1 / SAMPLE_RATE)
    top = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL + np.log(SAMPLE_RATE / 2 / _LOG_FROM_HZ) / _LOG_STEP
    edges = _hertz(np.linspace(0.0, top, bands + 2))
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising = (bins - low) / (centre - low)
    falling = (high - bins) / (high - centre)
    area = 2.0 / (high - low)
    filters: NDArray[np.float32] = (np.clip(np.minimum(rising, falling), 0, None) * area).astype(np.float32)
    return filters


_HANN = np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def log_mel(samples: NDArray[np.float32], bands: int = 80) -> NDArray[np.float32]:
    """Log-mel frames of float32 mono sound at 16 kHz, shape (bands, len(samples) // HOP).

    Needs at least `WINDOW` samples.
    """
    padded = np.pad(samples, WINDOW // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[::HOP][: len(samples) // HOP]
    spectrum = np.fft.rfft(frames * _HANN, axis=-1)
    power = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    logs = np.log10(np.maximum(_filters(bands) @ power.T, 1e-10))
    picture = (np.maximum(logs, logs.max() - 8.0) + 4.0) / 4.0
    return np.ascontiguousarray(picture, np.float32)


def at_16_khz(samples: NDArray[np.float32], rate: int) -> NDArray[np.float32]:
    """The same sound at 16 kHz, by cutting or padding its spectrum; for whole utterances, not for streams."""
    if rate == SAMPLE_RATE or not len(samples):
        return samples
    size = max(1, round(len(samples) * SAMPLE_RATE / rate))
    spectrum = np.fft.rfft(samples)[: size // 2 + 1]
    resampled = np.fft.irfft(spectrum, size) * (size / len(samples))
    return resampled.astype(np.float32)
