"""Words into sound and back, to talk to an agent and to check what it was heard saying."""

import functools
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.local import weights
from pipelines.local.engines import WhisperEngine

RATE = 48_000

Pcm = NDArray[np.int16]


@functools.lru_cache(maxsize=64)
def spoken(text: str) -> Pcm:
    """A voice saying this: int16 mono at 48 kHz."""
    sound = np.concatenate(list(_voice().stream(text)))
    doubled = np.interp(np.arange(0, len(sound), 0.5), np.arange(len(sound)), sound)
    return np.asarray(np.clip(doubled, -1, 1) * 32_000, np.int16)


def words(text: str) -> Pcm:
    """The same as a telephone has it: 8 kHz."""
    sound = spoken(text)
    return sound[: len(sound) // 6 * 6].reshape(-1, 6).mean(axis=1).astype(np.int16)


def pause(seconds: float) -> Pcm:
    """Nothing, for that long."""
    return np.zeros(int(seconds * RATE), np.int16)


def understood(pcm: Pcm, rate: int = RATE) -> str:
    """What a listener with good ears makes of it, in lower case, up to two minutes."""
    step = rate // 16_000
    usable = pcm[: len(pcm) // step * step].astype(np.float32).reshape(-1, step).mean(axis=1) / 32_768
    return _ears().transcribe(usable.astype(np.float32), language="en").text.lower()


@functools.cache
def _voice() -> Any:
    from hibari import Hibari

    return Hibari(threads=1)


@functools.cache
def _ears() -> WhisperEngine:
    # A folder for each user: what one has put into the shared one, no other may read.
    kept = Path(tempfile.gettempdir()) / f"call2me-test-models-{os.getuid()}"
    return WhisperEngine(weights.whisper(kept))
