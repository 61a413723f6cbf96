"""The operator's reranker has the last word, over HTTP and in a call, as long as it speaks in time."""

import asyncio
import hashlib
import time
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from kb import index as indexes
from kb.calibration import ANCHORS
from kb.chunking import Passage, passages
from pipelines.contract.brief import CallBrief, KnowledgeVersion
from pipelines.reranking_server import Judge, RerankServer
from tests.support.api import running_api
from tests.support.knowledge import asked, read
from tests.support.reranking_server import KEY, reranking_server
from worker import knowledge
from worker.knowledge import Knowledge, knows
from worker.knowledge_cache import KnowledgeCache
from worker.settings import WorkerSettings

TEXTS = [
    {"title": "Cars", "text": "Cars may stand in the yard. Cars may stand there all day."},
    {"title": "Garage", "text": "The garage beneath the house is for cars of guests."},
]
QUESTION = "Where may cars stand?"


def test_a_question_over_http_is_judged_by_the_operators_reranker(tmp_path: Path) -> None:
    with (
        reranking_server() as server,
        running_api(tmp_path, CALL2ME_RERANKER_URL=server.url, CALL2ME_RERANKER_KEY=KEY) as api,
    ):
        person = api.person()
        body = {"knowledge_base_name": "House", "embedder": "words", "knowledge_base_texts": TEXTS}
        base = read(person, person.made("/v1/knowledge-base", body))
        server.favourite = "garage beneath"
        best, other = asked(person, base, QUESTION, threshold=0)["results"]
        assert (best["title"], other["title"]) == ("Garage", "Cars")
        assert "reranked" in best["why"]
        assert best["score"] > 0.6
        assert len(server.asked) == len(ANCHORS) + 1
        only = asked(person, base, QUESTION, threshold=0, top_k=1)["results"]
        assert [result["title"] for result in only] == ["Garage"]
        assert len(server.asked) == len(ANCHORS) + 2, "what its numbers are worth is measured once"
        server.answer = lambda *_: (500, {})  # type: ignore[method-assign]
        assert asked(person, base, QUESTION, threshold=0)["results"][0]["title"] == "Cars"
        assert "House" not in api.log.read_text()


@pytest.fixture
def cache(tmp_path: Path) -> tuple[KnowledgeCache, KnowledgeVersion]:
    found: list[Passage] = [p for each in TEXTS for p in passages("s", each["title"], each["text"])]
    path = tmp_path / "cache" / "a-1.index"
    path.parent.mkdir()
    indexes.save(indexes.build(found), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return (
        KnowledgeCache(tmp_path / "cache", "http://127.0.0.1:9", "key"),
        KnowledgeVersion(base_id="a", version=1, digest=digest),
    )


async def titles(known: Knowledge) -> list[str]:
    return [passage["title"] for passage in await known.find(QUESTION)]


async def test_a_call_is_told_what_the_reranker_prefers_and_never_waits_for_it(
    cache: tuple[KnowledgeCache, KnowledgeVersion], tmp_path: Path
) -> None:
    files, base = cache
    with reranking_server() as server:
        server.favourite = "garage beneath"
        judge = Judge(RerankServer(server.url, "m", KEY), tmp_path, knowledge.RERANKED_SECONDS)
        known = Knowledge([base], files, lambda _: None, 1, 0.3, judge)
        assert await titles(known) == ["Cars"], "its numbers mean nothing yet"
        async with asyncio.timeout(10):
            while await titles(known) != ["Garage"]:
                await asyncio.sleep(0.05)
        server.wait_seconds = 5.0
        started = time.monotonic()
        assert await titles(known) == ["Cars"]
        assert time.monotonic() - started < 1.0
        await known.aclose()
        # The next call, in another process, knows what the numbers are worth.
        server.wait_seconds, before = 0.0, len(server.asked)
        judge = Judge(RerankServer(server.url, "m", KEY), tmp_path, knowledge.RERANKED_SECONDS)
        known = Knowledge([base], files, lambda _: None, 1, 0.3, judge)
        assert await titles(known) == ["Garage"]
        assert len(server.asked) == before + 1
        await known.aclose()


@pytest.mark.parametrize(("openai", "is_judged"), [("http://127.0.0.1:9/v1", True), ("", False)])
async def test_only_agents_with_a_language_model_are_judged_for(
    cache: tuple[KnowledgeCache, KnowledgeVersion], tmp_path: Path, openai: str, is_judged: bool
) -> None:
    settings = WorkerSettings.load(
        {
            "CALL2ME_HOME": str(tmp_path),
            "CALL2ME_LOCAL_MODELS": "off",
            "OPENAI_BASE_URL": openai,
            "CALL2ME_RERANKER_URL": "http://127.0.0.1:9/v1",
            "CALL2ME_INTERNAL_KEY": "key",
            "LIVEKIT_API_KEY": "key",
            "LIVEKIT_API_SECRET": "s" * 32,
        }
    )
    agent = SimpleNamespace(kb_chunks_count=1, kb_similarity_threshold=0.6)
    brief = cast("CallBrief", SimpleNamespace(knowledge=(cache[1],), agent=agent))
    known = knows(settings)(brief, None)
    assert isinstance(known, Knowledge)
    assert (known._judge is not None) is is_judged
    await known.aclose()
