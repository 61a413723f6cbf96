"""Recordings and other sound files, decoded for listening to."""

import io
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

RATE = 48_000


def decoded(file: Path | bytes, *, layout: str = "stereo") -> NDArray[np.int16]:
    """Samples of any sound file at 48 kHz, shape (channels, samples)."""
    channels = {"mono": 1, "stereo": 2}[layout]
    source = io.BytesIO(file) if isinstance(file, bytes) else str(file)
    resampler = av.AudioResampler(format="s16", layout=layout, rate=RATE)
    blocks = []
    with av.open(source) as container:
        for frame in container.decode(audio=0):
            blocks += [made.to_ndarray() for made in resampler.resample(frame)]
    joined = np.concatenate(blocks, axis=1) if blocks else np.zeros((1, 0), np.int16)
    return np.ascontiguousarray(joined.reshape(-1, channels).T)


def loud_stretches(pcm: NDArray[np.int16], *, gap_seconds: float = 0.6) -> list[tuple[float, float]]:
    """When one channel is heard, as (start, end) in seconds; pauses shorter than the gap are bridged."""
    size = RATE // 50
    frames = pcm[: len(pcm) // size * size].reshape(-1, size).astype(np.float32)
    loud = np.flatnonzero(np.sqrt((frames**2).mean(axis=1)) > 300) / 50
    stretches: list[tuple[float, float]] = []
    for at in loud.tolist():
        if stretches and at - stretches[-1][1] <= gap_seconds:
            stretches[-1] = (stretches[-1][0], at + 0.02)
        else:
            stretches.append((at, at + 0.02))
    return stretches
