"""Meanings of texts and judgements of answers, each made once: the models behind a bounded memory."""

import logging
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from kb.reranking import Ranker
from pipelines.local.scripted.topics import SPACE, Likenesses, shared, topics

_logger = logging.getLogger(__name__)

Vector = NDArray[np.float32]


class Embeds(Protocol):
    """The part of an embedder that is needed here."""

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One normalised row for each text."""


class Meanings:
    """Remembers the vectors of up to `capacity` texts, and as many judgements.

    Without an embedder, or when it fails, every text is unlike every other: words decide. Without a
    ranker, or when it fails, nothing is judged, and likeness decides.
    """

    def __init__(
        self, embedder: Embeds | None, ranker: Ranker | None = None, *, capacity: int = 8192
    ) -> None:
        self._embedder = embedder
        self._ranker = ranker
        self._capacity = capacity
        self._known: OrderedDict[str, Vector] = OrderedDict()
        self._judged: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._stated: OrderedDict[str, Likenesses] = OrderedDict()
        # Their vectors mean nothing in another model's space.
        self._topics = topics() if getattr(embedder, "space", None) == SPACE else None

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
        _trim(self._known, self._capacity)

    def likeness(self, one: str, other: str) -> float:
        """Cosine of two learned texts; 0 when one of them is not known."""
        first, second = self._known.get(one), self._known.get(other)
        if first is None or second is None:
            return 0.0
        return float(first @ second)

    async def judge(self, question: str, texts: Sequence[str]) -> list[float] | None:
        """How well each text answers the question (see `kb.reranking.Scores`); None where none can tell."""
        missing = [text for text in dict.fromkeys(texts) if (question, text) not in self._judged]
        if self._ranker is None:
            return None
        if missing:
            try:
                scores = await self._ranker.rank(question, missing)
            except Exception:
                _logger.warning("answers were not judged, likeness decides", exc_info=True)
                return None
            for text, score in zip(missing, scores, strict=True):
                self._judged[question, text] = float(score)
        found = [self._judged[question, text] for text in texts]
        _trim(self._judged, self._capacity)
        return found

    def topics_shared(self, question: str, facts: Sequence[str]) -> list[tuple[float, float]]:
        """For each fact, how much it is about what a learned question is about (see `topics.shared`)."""
        asked = self._known.get(question)
        if self._topics is None or asked is None:
            return [(0.0, 0.0)] * len(facts)
        of_question = self._topics.of_question(asked)
        return [shared(of_question, self._stated_by(fact)) for fact in facts]

    def _stated_by(self, fact: str) -> Likenesses:
        assert self._topics is not None  # noqa: S101 - checked where this is called
        if (found := self._stated.get(fact)) is None:
            vector = self._known.get(fact)
            if vector is None:
                return np.zeros(int(self._topics.stated_of.max()) + 1, np.float32)
            found = self._stated[fact] = self._topics.of_fact(vector)
            _trim(self._stated, self._capacity)
        return found


def _trim(held: OrderedDict[Any, Any], capacity: int) -> None:
    while len(held) > capacity:
        held.popitem(last=False)
