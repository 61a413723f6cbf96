"""What one call may answer from: the brief's texts, indexed in the background, asked in milliseconds."""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import numpy as np

from kb.chunking import Passage, passages
from kb.embeddings import Embedder
from kb.index import BrokenIndex, Index, build, load, save
from kb.search import search
from pipelines.contract import KnowledgeText

_logger = logging.getLogger(__name__)

_LAYOUT = "1"
"""Part of a cached index's name; raised when chunking or embedding changes what an index holds."""


class FoundPassage(TypedDict):
    """A passage as it travels in a chat message's `extra`."""

    source_id: str
    title: str
    text: str
    score: float


class Knowledge:
    """The knowledge of one call.

    Words can be searched from the first moment; vectors join as soon as they are made or loaded.
    Indexes are kept in `cache_folder` by the hash of what they hold, so a second call computes nothing.
    An embedder that fails or is slow costs meaning, never an answer: words remain.
    """

    def __init__(
        self,
        texts: Sequence[KnowledgeText],
        embedder: Embedder | None = None,
        *,
        cache_folder: Path | None = None,
        build_seconds: float = 60.0,
        question_seconds: float = 1.0,
    ) -> None:
        self._embedder = embedder
        self._cache_folder = cache_folder
        self._build_seconds = build_seconds
        self._question_seconds = question_seconds
        self._passages: list[Passage] = [
            passage for text in texts for passage in passages(text.source_id, text.title, text.text)
        ]
        self._index: Index = build(self._passages)
        self._building: asyncio.Task[None] | None = None

    @property
    def is_empty(self) -> bool:
        """True when there is nothing to retrieve."""
        return not self._passages

    def start(self) -> None:
        """Begin to make or load the vectors; returns at once. A second start does nothing."""
        if self._building is None and self._embedder is not None and self._passages:
            self._building = asyncio.create_task(self._build(self._embedder), name="knowledge")

    async def ready(self) -> None:
        """Return when the vectors are there, or cannot be had."""
        self.start()
        if self._building is not None:
            await asyncio.shield(self._building)

    async def aclose(self) -> None:
        """Stop building."""
        if self._building is not None:
            self._building.cancel()
            await asyncio.gather(self._building, return_exceptions=True)

    async def retrieve(self, question: str, top_k: int = 3, min_score: float = 0.0) -> list[FoundPassage]:
        """The passages that fit a question best, best first."""
        if self.is_empty or not question.strip():
            return []
        index, vector = self._index, None
        if self._embedder is not None and index.vectors.shape[1]:
            try:
                async with asyncio.timeout(self._question_seconds):
                    vector = (await self._embedder.embed([question]))[0]
            except Exception:  # an answer by words is better than none
                _logger.warning("question was not embedded, words decide", exc_info=True)
        return [
            FoundPassage(
                source_id=found.passage.source_id,
                title=found.passage.title,
                text=found.passage.text,
                score=round(found.score, 4),
            )
            for found in search(index, question, vector, top_k=top_k)
            if found.score >= min_score
        ]

    async def _build(self, embedder: Embedder) -> None:
        try:
            async with asyncio.timeout(self._build_seconds):
                path = self._path(embedder)
                index = await asyncio.to_thread(_cached, path) if path else None
                if index is None:
                    vectors = await embedder.embed([f"{p.title}. {p.text}" for p in self._passages])
                    index = build(self._passages, np.asarray(vectors, np.float32), embedder.space)
                    if path:
                        await asyncio.to_thread(_keep, index, path)
                self._index = index
        except Exception:  # see the class: words remain
            _logger.warning("knowledge was not embedded, words decide", exc_info=True)

    def _path(self, embedder: Embedder) -> Path | None:
        if self._cache_folder is None:
            return None
        digest = hashlib.sha256(f"{_LAYOUT}\0{embedder.space}".encode())
        for passage in self._passages:
            for field in (passage.source_id, passage.title, passage.text):
                digest.update(f"\0{len(field)}\0{field}".encode())
        return self._cache_folder / f"knowledge-{digest.hexdigest()[:32]}.kb"


def _cached(path: Path) -> Index | None:
    try:
        return load(path)
    except FileNotFoundError:
        return None
    except (BrokenIndex, OSError):
        _logger.warning("cached knowledge could not be read, it is made again", exc_info=True)
        return None


def _keep(index: Index, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(index, path)
    except OSError:
        _logger.warning("knowledge could not be cached", exc_info=True)
