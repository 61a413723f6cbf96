"""Loading the speech models with as little memory as they can be loaded with."""

import ctypes
import gc
import logging
import sys
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import psutil

from kb.embeddings import MiniLmEmbedder
from pipelines.local import weights
from pipelines.local.engines import HibariEngine, WhisperEngine

logger = logging.getLogger(__name__)

Engine = TypeVar("Engine")


class _Told:
    """Logs progress, a line for each quarter."""

    def __init__(self) -> None:
        self._quarter = -1

    def __call__(self, what: str, share: float) -> None:
        if (quarter := int(share * 4)) > self._quarter:
            self._quarter = quarter
            logger.info("preparing weights", extra={"what": what, "percent": round(share * 100)})


def load_whisper(models: Path, whisper_model: str, threads: int, workers: int) -> WhisperEngine:
    """Whisper, from wherever its weights are, warmed up. Raises `WeightsMissing`."""
    path = weights.whisper(models, whisper_model, _Told())
    engine = WhisperEngine(path, threads=threads, workers=workers)
    engine.warm_up()
    return _tidied(engine)


def load_hibari(models: Path) -> HibariEngine:
    """hibari, checked and warmed up. Raises `WeightsMissing`."""
    weights.hibari(models)
    engine = HibariEngine()
    engine.warm_up()
    return _tidied(engine)


def load_minilm(models: Path) -> MiniLmEmbedder:
    """MiniLM, checked and warmed up. Raises `WeightsMissing`."""
    engine = MiniLmEmbedder(weights.minilm(models))
    engine.embed_now(["hello"])
    return _tidied(engine)


def _tidied(engine: Engine) -> Engine:
    """Give back what loading took: the lexica and graphs are read once and then never freed again."""
    gc.collect()
    gc.freeze()
    libc_call("malloc_trim", 0)
    return engine


def libc_call(name: str, *arguments: int) -> None:
    """Turn a knob of glibc's allocator, where there is one."""
    if sys.platform == "linux":  # elsewhere the allocator has no such knobs
        with suppress(AttributeError, OSError):  # not glibc
            getattr(ctypes.CDLL(None), name)(*arguments)


def memory_bytes() -> int:
    """What this process takes: its share of every page (PSS), or its own pages where nobody counts shares."""
    memory = psutil.Process().memory_full_info()
    return int(getattr(memory, "pss", None) or memory.uss)
