"""Embeddings from the models process, for whoever searches knowledge during a call."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kb.embeddings import E5Embedder, MiniLmEmbedder, Vectors
from pipelines.local.client import ModelsClient
from pipelines.local.wire import Urgency

_BATCHES = {MiniLmEmbedder.space: 8, E5Embedder.space: 2}
"""A question that comes while a text is being indexed waits for one batch, 100 ms or a little more."""


class ModelsEmbedder:
    """A `kb.embeddings.Embedder` that asks the models process. Raises `wire.ModelsError`s.

    `space` says which of its models: MiniLM knows English, e5 a hundred languages where it is installed
    (else `ModelUnavailable`). More than one text is work that can wait: a caller's question goes before it.
    """

    space: str = MiniLmEmbedder.space
    dimensions = MiniLmEmbedder.dimensions

    def __init__(
        self,
        models_socket: Path,
        *,
        space: str = MiniLmEmbedder.space,
        timeout: float = 2.0,
        batch_timeout: float = 30.0,
    ) -> None:
        self.space = space
        self._batch = _BATCHES[space]
        self._client = ModelsClient(models_socket)
        self._timeout = timeout
        self._batch_timeout = batch_timeout

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One normalised float32 row for each text, in order."""
        urgency: Urgency = "now" if len(texts) == 1 else "later"
        timeout = self._timeout if len(texts) == 1 else self._batch_timeout
        rows = [np.zeros((0, self.dimensions), np.float32)]
        for start in range(0, len(texts), self._batch):
            batch = texts[start : start + self._batch]
            found = await self._client.embed(batch, space=self.space, urgency=urgency, timeout=timeout)
            rows.append(found)
        return np.concatenate(rows)

    async def aclose(self) -> None:
        """Drop the connection."""
        await self._client.aclose()
