"""Embeddings from the models process, for whoever searches knowledge during a call."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from kb.embeddings import MiniLmEmbedder, Vectors
from pipelines.local.client import ModelsClient
from pipelines.local.wire import Urgency

_BATCH = 8
"""A question that comes while a text is being indexed waits for one batch, about 100 ms."""


class ModelsEmbedder:
    """A `kb.embeddings.Embedder` that asks the models process. Raises `wire.ModelsError`s.

    More than one text is work that can wait: a caller's question goes before it.
    """

    space = MiniLmEmbedder.space
    dimensions = MiniLmEmbedder.dimensions

    def __init__(self, models_socket: Path, *, timeout: float = 2.0, batch_timeout: float = 30.0) -> None:
        self._client = ModelsClient(models_socket)
        self._timeout = timeout
        self._batch_timeout = batch_timeout

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One normalised float32 row for each text, in order."""
        urgency: Urgency = "now" if len(texts) == 1 else "later"
        timeout = self._timeout if len(texts) == 1 else self._batch_timeout
        rows = [np.zeros((0, self.dimensions), np.float32)]
        for start in range(0, len(texts), _BATCH):
            batch = texts[start : start + _BATCH]
            rows.append(await self._client.embed(batch, urgency=urgency, timeout=timeout))
        return np.concatenate(rows)

    async def aclose(self) -> None:
        """Drop the connection."""
        await self._client.aclose()
