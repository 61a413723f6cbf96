"""What an agent knows, as an index kept on this machine: built once for each wording, then only read."""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from kb import index as indexes
from kb.chunking import passages
from kb.search import search
from pipelines.contract import CallBrief, KnowledgeText
from pipelines.local.embedder import ModelsEmbedder
from pipelines.local.wire import ModelsError
from pipelines.providers import ProviderSettings, language_code
from pipelines.tools.knowledge import Finds, Passage

logger = logging.getLogger(__name__)

VECTOR_LANGUAGES = ("en",)
"""What the embedding model was trained on; elsewhere words alone decide."""
SCRIPTED_PASSAGES = 8
"""The scripted engine picks single sentences, and judges for itself."""
_VERSION = b"1"


class Knowledge:
    """The texts of one call, ready as soon as they have been indexed; until then nothing is found."""

    def __init__(
        self,
        texts: Sequence[KnowledgeText],
        folder: Path,
        embedder: ModelsEmbedder | None,
        top_k: int,
        threshold: float,
    ) -> None:
        self._texts = texts
        self._embedder = embedder
        self._top_k, self._threshold = top_k, threshold
        self._path = folder / f"{_digest(texts, embedder is not None)}.index"
        self._index: indexes.Index | None = None
        self._loading = asyncio.create_task(self._load(), name="knowledge")

    async def find(self, question: str) -> Sequence[Passage]:
        """The best passages, best first."""
        if self._index is None:
            await asyncio.shield(self._loading)
        if self._index is None:
            return ()
        vector = None
        if self._embedder is not None and self._index.vectors.shape[1]:
            try:
                vector = (await self._embedder.embed([question]))[0]
            except ModelsError:
                logger.info("a question was searched by its words alone")
        return [
            Passage(
                source_id=found.passage.source_id,
                title=found.passage.title,
                text=found.passage.text,
                score=found.score,
            )
            for found in search(self._index, question, vector, top_k=self._top_k)
            if found.score >= self._threshold
        ]

    async def aclose(self) -> None:
        """Stop loading."""
        self._loading.cancel()
        await asyncio.gather(self._loading, return_exceptions=True)

    async def _load(self) -> None:
        try:
            self._index = await asyncio.to_thread(indexes.load, self._path)
        except (OSError, indexes.BrokenIndex):
            self._index = await self._build()

    async def _build(self) -> indexes.Index:
        pieces = [
            piece
            for text in self._texts
            for piece in await asyncio.to_thread(passages, text.source_id, text.title, text.text)
        ]
        built = await asyncio.to_thread(indexes.build, pieces)
        self._index = built
        if self._embedder is not None and pieces:
            try:
                vectors = await self._embedder.embed([f"{piece.title}. {piece.text}" for piece in pieces])
                built = await asyncio.to_thread(indexes.build, pieces, vectors, self._embedder.space)
            except ModelsError as error:
                logger.warning("knowledge has no vectors", extra={"error": type(error).__name__})
                return built
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(indexes.save, built, self._path)
        except OSError as error:
            logger.warning("an index was not kept", extra={"reason": error.strerror})
        return built


def knows(
    folder: Path, providers: ProviderSettings
) -> Callable[[CallBrief, ModelsEmbedder | None], Finds | None]:
    """How a call of this worker comes by its knowledge; None for an agent that has none."""

    def of(brief: CallBrief, models: ModelsEmbedder | None) -> Finds | None:
        if not brief.knowledge:
            return None
        embedder = models if language_code(brief.agent.language) in VECTOR_LANGUAGES else None
        if providers.has_language_model:
            return Knowledge(
                brief.knowledge,
                folder,
                embedder,
                brief.agent.kb_chunks_count,
                brief.agent.kb_similarity_threshold,
            )
        return Knowledge(brief.knowledge, folder, embedder, SCRIPTED_PASSAGES, 0.0)

    return of


def _digest(texts: Sequence[KnowledgeText], has_vectors: bool) -> str:
    digest = hashlib.sha256(_VERSION + ModelsEmbedder.space.encode() * has_vectors)
    for text in texts:
        digest.update(text.model_dump_json().encode() + b"\0")
    return digest.hexdigest()[:40]
