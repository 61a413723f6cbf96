"""Loading the speech models with as little memory as they can be loaded with."""

import ctypes
import gc
import logging
import sys
from contextlib import suppress
from pathlib import Path

import psutil

from kb.embeddings import E5Embedder, MiniLmEmbedder
from pipelines.local import weights
from pipelines.local.engines import HibariEngine, WhisperEngine

logger = logging.getLogger(__name__)


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
    return engine


def load_hibari(models: Path) -> HibariEngine:
    """hibari, checked and warmed up. Raises `WeightsMissing`."""
    weights.hibari(models)
    engine = HibariEngine()
    engine.warm_up()
    return engine


def load_minilm(models: Path) -> MiniLmEmbedder:
    """MiniLM, checked and warmed up. Raises `WeightsMissing`."""
    engine = MiniLmEmbedder(weights.minilm(models))
    engine.embed_now(["hello"])
    return engine


def load_e5(models: Path) -> E5Embedder:
    """e5, checked and warmed up. Raises `WeightsMissing`."""
    weights.e5(models)
    engine = E5Embedder()
    engine.embed_now(["hello"])
    return engine


def prepare() -> None:
    """Before loading: to look for garbage among the words of a lexicon that is being read is futile."""
    gc.disable()


def settle() -> None:
    """After loading: what stays for ever is not looked through again, and what loading took is given back."""
    gc.collect()
    gc.freeze()
    gc.enable()
    libc_call("malloc_trim", 0)


def libc_call(name: str, *arguments: int) -> None:
    """Turn a knob of glibc's allocator, where there is one."""
    if sys.platform == "linux":  # elsewhere the allocator has no such knobs
        with suppress(AttributeError, OSError):  # not glibc
            getattr(ctypes.CDLL(None), name)(*arguments)


def memory_bytes() -> int:
    """What this process takes: its share of every page (PSS), or its own pages where nobody counts shares."""
    memory = psutil.Process().memory_full_info()
    return int(getattr(memory, "pss", None) or memory.uss)
