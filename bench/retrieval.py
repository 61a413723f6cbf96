"""How long an answer waits for its passages: `python -m bench.retrieval`, with MiniLM in this process.

Questions arrive word by word, each an interim transcript. The final one comes after the last word, and
the engine is asked in the same moment: preemptively, before the pause is judged to be the end of the
turn. A third of the finals are other words than the last interim.
"""

import asyncio
import statistics
import sys
from collections.abc import Sequence

from livekit.agents import llm

from api.seed_data import clinic
from kb import index as indexes
from kb.chunking import passages
from kb.embeddings import MiniLmEmbedder
from kb.search import search
from pipelines.retrieval import Retrieval
from pipelines.tools.knowledge import Passage

TURNS = 60
INTERIM_SECONDS, FINAL_SECONDS = 0.1, 0.1
"""Shorter than speech: a search must be done sooner here than in a call."""
QUESTIONS = (
    "What are your opening hours on Saturday?", "How much does a teeth cleaning cost?",
    "Do you treat children, and from which age?", "How long does a teeth whitening take?",
    "Can I pay in monthly instalments for a crown?", "Where can I park my car when I come?",
)  # fmt: skip


class Index:
    """The demo clinic's knowledge, searched as a call searches it."""

    def __init__(self) -> None:
        self.embedder = MiniLmEmbedder()
        found = [p for title, text in clinic.KNOWLEDGE for p in passages("s", title, text)]
        vectors = self.embedder.embed_now([p.embedded for p in found])
        self.index = indexes.build(found, vectors, self.embedder.space)
        self.searches = 0

    async def find(self, question: str) -> Sequence[Passage]:
        """As `worker.knowledge` does."""
        self.searches += 1
        (vector,) = await self.embedder.embed([question])
        return [
            Passage(source_id="s", title=hit.passage.title, text=hit.passage.text, score=hit.score)
            for hit in search(self.index, question, vector, top_k=3)
        ]


async def turn(retrieval: Retrieval, question: str, is_corrected: bool, looks_ahead: bool) -> float:
    """Milliseconds that the answer to one question waited."""
    words = question.rstrip("?").split()
    for said in range(1, len(words) + 1):
        await asyncio.sleep(INTERIM_SECONDS)
        if looks_ahead:
            retrieval.ahead(" ".join(words[:said]))
    await asyncio.sleep(FINAL_SECONDS)
    final = f"{question} Please." if is_corrected else question
    if looks_ahead:
        retrieval.ahead(final)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=final)
    await retrieval.add_to(context, final)
    return retrieval.last_ms or 0.0


async def main() -> None:
    """Print waits with and without looking ahead."""
    index = Index()
    for looks_ahead in (False, True):
        waits = {False: [], True: []}  # type: dict[bool, list[float]]
        for number in range(TURNS):
            is_corrected = number % 3 == 0
            question = QUESTIONS[number % len(QUESTIONS)]
            waits[is_corrected].append(await turn(Retrieval(index), question, is_corrected, looks_ahead))
        every = sorted(waits[False] + waits[True])
        corrected = sorted(waits[True])
        sys.stdout.write(
            f"looks ahead: {looks_ahead}  turns {len(every)}  corrected {len(corrected)}  "
            f"p50 {statistics.median(every):.1f} ms  p95 {every[int(len(every) * 0.95) - 1]:.1f} ms  "
            f"corrected: p50 {statistics.median(corrected):.1f} ms, worst {corrected[-1]:.1f} ms\n"
        )


if __name__ == "__main__":
    asyncio.run(main())
