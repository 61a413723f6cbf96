"""The real models of the scripted engine, asked once for each text: many short calls ask the same."""

from collections.abc import Sequence

import numpy as np

from kb.embeddings import MiniLmEmbedder, Vectors
from kb.reranking import MsMarcoRanker, Scores


class RememberedModels:
    """An embedder and a ranker in one, as `ModelsEmbedder` is."""

    space = MiniLmEmbedder.space
    dimensions = MiniLmEmbedder.dimensions

    def __init__(self) -> None:
        self._embedder, self._ranker = MiniLmEmbedder(), MsMarcoRanker()
        self._vectors: dict[str, Vectors] = {}
        self._scores: dict[tuple[str, str], float] = {}

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `kb.embeddings.Embedder`."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors |= zip(missing, self._embedder.embed_now(missing), strict=True)
        return np.stack([self._vectors[text] for text in texts]) if texts else self._embedder.embed_now([])

    async def rank(self, question: str, texts: Sequence[str]) -> Scores:
        """See `kb.reranking.Ranker`."""
        missing = [text for text in dict.fromkeys(texts) if (question, text) not in self._scores]
        scores = self._ranker.rank_now(question, missing)
        self._scores |= {(question, text): float(s) for text, s in zip(missing, scores, strict=True)}
        return np.array([self._scores[question, text] for text in texts], np.float32)
