"""What the agent of one call knows: all its bases, searched together and swapped while the call goes on."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kb.embeddings import Vectors
from kb.index import Index
from kb.openai_embeddings import EmbedderFailed
from kb.search import Found, search
from pipelines.contract.brief import CallBrief, KnowledgeVersion
from pipelines.embedding_server import ServedEmbedder
from pipelines.index_files import IndexGone
from pipelines.local.embedder import ModelsEmbedder
from pipelines.local.wire import ModelsError
from pipelines.reranking_server import CANDIDATES, Judge
from pipelines.tools.knowledge import Finds, Passage
from worker.knowledge_cache import KnowledgeCache, cache_of
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

SCRIPTED_PASSAGES = 8
"""The scripted engine picks single sentences, and judges for itself."""
LOOK_SECONDS = 0.5
SERVED_SECONDS = 0.25
"""A server that takes longer for a question is not waited for: words alone find something sooner."""
RERANKED_SECONDS = 0.2
"""The same for a reranker: what the search thought stands then."""
MAX_READ_CHARACTERS = 400_000
_INLINE = 5_000
"""Passages that are searched faster than a thread is asked."""


@dataclass
class _Held:
    version: KnowledgeVersion
    index: Index | None = None
    seen: float = 0.0
    loading: "asyncio.Task[None] | None" = None


class Knowledge:
    """The bases of one call: searched together, each swapped for its newer version while the call goes on."""

    def __init__(
        self,
        bases: Sequence[KnowledgeVersion],
        cache: KnowledgeCache,
        embedder_of: Callable[[str], ModelsEmbedder | ServedEmbedder | None],
        top_k: int,
        threshold: float,
        judge: Judge | None = None,
    ) -> None:
        self._cache, self._embedder_of = cache, embedder_of
        self._top_k, self._threshold, self._judge = top_k, threshold, judge
        self._embedders: dict[str, ModelsEmbedder | ServedEmbedder | None] = {}
        self._held = {base.base_id: _Held(base) for base in bases}
        self.on_change: Callable[[], None] = lambda: None
        """Called when what was found before may not be what would be found now."""
        for held in self._held.values():
            cache.use(held.version)
            self._load(held, held.version)
        self._following = asyncio.create_task(self._follow(), name="newer knowledge")

    async def find(self, question: str) -> Sequence[Passage]:
        """The best passages of all bases, best first; those below the agent's threshold are none."""
        first = [held.loading for held in self._held.values() if held.index is None and held.loading]
        if first:
            await asyncio.wait([asyncio.shield(task) for task in first])
        indexes = [
            (held.version.base_id, held.index) for held in self._held.values() if held.index is not None
        ]
        vectors = {
            space: await self._vector(space, question) for space in {i.space for _, i in indexes} if space
        }
        top_k = self._top_k if self._judge is None else max(self._top_k, CANDIDATES)
        hits: list[Found] = []
        base_of: dict[int, str] = {}
        for base_id, index in indexes:
            ask = (index, question, vectors.get(index.space))
            if len(index.passages) <= _INLINE:
                found = search(*ask, top_k=top_k)
            else:
                found = await asyncio.to_thread(search, *ask, top_k=top_k)
            base_of |= dict.fromkeys((id(hit.passage) for hit in found), base_id)
            hits += found
        best: Sequence[Found] = sorted(hits, key=lambda hit: -hit.score)[:top_k]
        if self._judge is not None:
            best = await self._judge.judged(question, best)
        return [
            Passage(
                source_id=hit.passage.source_id,
                title=hit.passage.title,
                text=hit.passage.text,
                score=hit.score,
                base_id=base_of[id(hit.passage)],
                page=hit.passage.page,
            )
            for hit in best[: self._top_k]
            if hit.score >= self._threshold
        ]

    async def texts(self) -> tuple[tuple[str, str], ...]:
        """Titles and texts of all passages, for an engine that reads them beforehand; bounded."""
        await asyncio.gather(*(held.loading for held in self._held.values() if held.loading))
        told: list[tuple[str, str]] = []
        room = MAX_READ_CHARACTERS
        for held in self._held.values():
            for passage in held.index.passages if held.index is not None else ():
                room -= len(passage.text)
                if room < 0:
                    return tuple(told)
                told.append((passage.title, passage.text))
        return tuple(told)

    async def aclose(self) -> None:
        """Stop loading."""
        loading = [self._following, *(held.loading for held in self._held.values() if held.loading)]
        for task in loading:
            task.cancel()
        await asyncio.gather(*loading, return_exceptions=True)
        for embedder in self._embedders.values():
            if embedder is not None:
                await embedder.aclose()
        if self._judge is not None:
            await self._judge.aclose()

    async def _follow(self) -> None:
        """Map newer versions as they come to this machine; the old one answers until then."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        for base_id, held in self._held.items():
            newest = self._cache.current(base_id)
            if newest is None:
                continue
            if newest.is_gone and not held.version.is_gone:
                held.version, held.index = newest, None
                self.on_change()
            elif newest.version > held.version.version and (held.loading is None or held.loading.done()):
                self._load(held, newest)
            else:
                self._cache.use(held.version)

    def _load(self, held: _Held, version: KnowledgeVersion) -> None:
        if version.version and not version.is_gone:
            held.loading = asyncio.create_task(self._swap(held, version), name="knowledge")

    async def _swap(self, held: _Held, version: KnowledgeVersion) -> None:
        try:
            index = await self._cache.open(version)
        except IndexGone:
            logger.warning("an index of knowledge is not to be had", extra={"base_id": version.base_id})
            return
        held.version, held.index = version, index
        self.on_change()

    async def _vector(self, space: str, question: str) -> Vectors | None:
        if space not in self._embedders:
            self._embedders[space] = self._embedder_of(space)
        embedder = self._embedders[space]
        if embedder is None:
            return None
        try:
            vector: Vectors = (await embedder.embed([question]))[0]
        except (ModelsError, EmbedderFailed):
            logger.info("a question was searched by its words alone")
            return None
        return vector


def knows(settings: WorkerSettings) -> Callable[[CallBrief, ModelsEmbedder | None], Finds | None]:
    """How a call of this worker comes by its knowledge; None for an agent that has none."""
    cache = cache_of(settings)
    providers = settings.providers

    def embedder_of(space: str) -> ModelsEmbedder | ServedEmbedder | None:
        try:
            if providers.embeddings is not None and space.startswith("openai:"):
                return ServedEmbedder(providers.embeddings, space, SERVED_SECONDS)
            if providers.models_socket is None:
                return None
            return ModelsEmbedder(providers.models_socket, space=space)
        except KeyError:  # a space of a newer version, or of another machine or server
            return None

    def of(brief: CallBrief, _: ModelsEmbedder | None) -> Finds | None:
        if not brief.knowledge:
            return None
        agent = brief.agent
        chosen = (agent.kb_chunks_count, agent.kb_similarity_threshold)
        judge = None
        if not providers.has_language_model:
            chosen = (SCRIPTED_PASSAGES, 0.0)
        elif providers.reranker is not None:
            judge = Judge(providers.reranker, settings.home / "knowledge-cache", RERANKED_SECONDS)
        return Knowledge(brief.knowledge, cache, embedder_of, *chosen, judge)

    return of
