"""The embedder of the scripted engine, asked once for each text: many short calls ask the same."""

from collections.abc import Sequence

import numpy as np

from kb.embeddings import MiniLmEmbedder, Vectors


class RememberingEmbedder:
    """MiniLM behind a memory."""

    space = MiniLmEmbedder.space
    dimensions = MiniLmEmbedder.dimensions

    def __init__(self) -> None:
        self._embedder = MiniLmEmbedder()
        self._vectors: dict[str, Vectors] = {}

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `kb.embeddings.Embedder`."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._vectors]
        self._vectors |= zip(missing, self._embedder.embed_now(missing), strict=True)
        return np.stack([self._vectors[text] for text in texts]) if texts else self._embedder.embed_now([])
