"""Questions to a base over HTTP: the same index and the same scores as in a call."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from api.durable import engine
from api.knowledge_base import apart, blobs, versions
from api.knowledge_base.schemas import Answer, Question, Result, type_of
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from api.outside.storage import Storage
from kb import index as indexes
from kb.embeddings import Vectors
from kb.openai_embeddings import EmbedderFailed
from kb.search import Found, search
from pipelines.embedding_server import EmbeddingServer, ServedEmbedder
from pipelines.index_files import IndexFiles, IndexGone
from pipelines.local.embedder import ModelsEmbedder
from pipelines.local.wire import ModelsError
from pipelines.reranking_server import CANDIDATES, Judge, RerankServer

_LOG = logging.getLogger(__name__)

MAX_DISK_BYTES = 2 * 1024**3
SERVED_SECONDS = 10.0


@dataclass
class Answers:
    """Indexes of bases that were asked lately, mapped from copies on this machine's disk."""

    storage: Storage
    folder: Path
    models_socket: Path
    server: EmbeddingServer | None = None
    reranker: RerankServer | None = None

    def __post_init__(self) -> None:
        self._judge: Judge | None = None
        self._files = IndexFiles(self.folder, MAX_DISK_BYTES)

    async def ask(
        self, base: KnowledgeBaseRow, sources: list[KnowledgeSourceRow], question: Question
    ) -> Answer:
        """What the base says to this."""
        kinds = {row.id: type_of(row) for row in sources}
        # Deleted sources are in the index until the next one is published, and must not be told of.
        wanted = kinds.keys() & (kinds.keys() if question.source_ids is None else set(question.source_ids))
        results: list[Result] = []
        if base.version and (index := await self._index(base)) is not None:
            vector = await self._vector(index, question.query, base.owner_id)
            top_k = question.top_k if self.reranker is None else max(question.top_k, CANDIDATES)
            found: Sequence[Found] = await asyncio.to_thread(
                search, index, question.query, vector, top_k=top_k, sources=wanted
            )
            found = (await self._judged(question.query, found))[: question.top_k]
            results = [_result(each, kinds) for each in found if each.score >= question.threshold]
        context = "\n\n".join(f"[{result.title or 'source'}]\n{result.content}" for result in results)
        return Answer(query=question.query, results=results, context_text=context)

    async def _judged(self, question: str, found: Sequence[Found]) -> Sequence[Found]:
        if self.reranker is None:
            return found
        if self._judge is None:
            self._judge = Judge(self.reranker, self.folder.parent, SERVED_SECONDS)  # calls keep it there, too
        return await self._judge.judged(question, found, waits=True)

    async def aclose(self) -> None:
        """Drop the connections to a reranking server."""
        if self._judge is not None:
            await self._judge.aclose()

    def forget(self, base_id: str) -> None:
        """Its owner deleted it: no copy of it stays here."""
        self._files.forget(base_id)

    async def sweep(self) -> None:
        """Remove copies of what was deleted or replaced, by whichever process that was done."""
        bases = await asyncio.to_thread(self._files.bases)
        async with engine.reach().database.transaction(writes=False) as session:
            newest = {known.base_id: known.version for known in await versions.newest(session, list(bases))}
        self._files.tidy(bases, newest)

    async def _index(self, base: KnowledgeBaseRow) -> indexes.Index | None:
        def chunks() -> AsyncIterator[bytes]:
            return self.storage.read(blobs.index_name(base.id, base.version))

        try:
            return await self._files.open(base.id, base.version, base.digest, chunks)
        except IndexGone:
            _LOG.warning("an index is not in the storage", extra={"base_id": base.id})
            return None

    async def _vector(self, index: indexes.Index, text: str, owner_id: str) -> Vectors | None:
        if not index.space:
            return None
        if index.space.startswith("openai:"):
            return await self._served_vector(index.space, text)
        embedder = ModelsEmbedder(self.models_socket, space=index.space)
        try:
            vector: Vectors = (await embedder.embed([text]))[0]
            return vector
        except (ModelsError, OSError):
            made = await apart.run({"do": "embed", "space": index.space, "texts": [text]}, owner_id)
            return np.array(made["vectors"][0], np.float32)
        finally:
            await embedder.aclose()

    async def _served_vector(self, space: str, text: str) -> Vectors | None:
        """None where the server is another one by now, or gives nothing: words decide."""
        try:
            if self.server is None:
                return None
            embedder = ServedEmbedder(self.server, space, SERVED_SECONDS)
        except KeyError:
            return None
        try:
            vector: Vectors = (await embedder.embed([text]))[0]
            return vector
        except EmbedderFailed:
            _LOG.warning("a question was searched by its words alone: the embedding server did not answer")
            return None
        finally:
            await embedder.aclose()


def _result(found: Found, kinds: dict[str, str]) -> Result:
    passage = found.passage
    return Result(
        source_id=passage.source_id,
        content=passage.text,
        score=round(found.score, 4),
        source_type=kinds[passage.source_id],
        title=passage.title or None,
        page=passage.page,
        why=found.explain(),
    )
