"""Vectors of texts, each made once: the embedder behind a bounded memory."""

import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

_logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]


class Embeds(Protocol):
    """The part of an embedder that is needed here."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One normalised row for each text."""


class Meanings:
    """Remembers the vectors of up to `capacity` texts.

    Without an embedder, or when it fails, every text is unlike every other: words decide.
    """

    def __init__(self, embedder: Embeds | None, capacity: int = 8192) -> None:
        self._embedder = embedder
        self._capacity = capacity
        self._known: OrderedDict[str, Vector] = OrderedDict()

    @property
    def are_known(self) -> bool:
        """Whether meanings can be compared at all."""
        return self._embedder is not None

    async def learn(self, texts: Sequence[str]) -> None:
        """Make the vectors that are not known yet, in one request."""
        missing = [text for text in dict.fromkeys(texts) if text not in self._known]
        if not missing or self._embedder is None:
            return
        try:
            rows = await self._embedder.embed(missing)
        except Exception:
            _logger.warning("texts were not embedded, words decide", exc_info=True)
            return
        for text, row in zip(missing, rows, strict=True):
            self._known[text] = row
        while len(self._known) > self._capacity:
            self._known.popitem(last=False)

    def know(self, texts: Iterable[str]) -> bool:
        """Whether all of these were learned: under load a request may have failed."""
        return all(text in self._known for text in texts)

    def likeness(self, one: str, other: str) -> float:
        """Cosine of two learned texts; 0 when one of them is not known."""
        first, second = self._known.get(one), self._known.get(other)
        if first is None or second is None:
            return 0.0
        return float(first @ second)

    def likenesses(self, one: str, others: Sequence[str]) -> list[float]:
        """Cosines of one learned text with many."""
        return [self.likeness(one, other) for other in others]
