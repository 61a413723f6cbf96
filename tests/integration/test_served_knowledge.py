"""A base that the operator's server embeds: added, asked over HTTP and in a call, changed, refused."""

import asyncio
import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from kb import calibration
from kb import index as indexes
from pipelines.contract.brief import CallBrief, KnowledgeVersion
from pipelines.tools.knowledge import Passage
from tests.support.api import Api, Person, running_api
from tests.support.embedding_server import KEY, EmbeddingServer, embedding_server
from tests.support.knowledge import asked, read
from worker.knowledge import Knowledge, knows
from worker.settings import WorkerSettings

TEXTS = [
    {"title": "Hours", "text": "We are open from nine to six on weekdays."},
    {"title": "Parking", "text": "Cars may stand behind the house."},
]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EmbeddingServer, Api]]:
    home = tmp_path_factory.mktemp("served")
    with (
        embedding_server() as server,
        running_api(home, CALL2ME_EMBEDDINGS_URL=server.url, CALL2ME_EMBEDDINGS_KEY=KEY) as api,
    ):
        yield server, api


def made(person: Person, embedder: str) -> dict[str, Any]:
    body = {"knowledge_base_name": "Shop", "embedder": embedder, "knowledge_base_texts": TEXTS}
    return read(person, person.made("/v1/knowledge-base", body))


def newest(api: Api, base: dict[str, Any]) -> Path:
    """The base's index."""
    held = (Path(api.home) / "knowledge").glob(f"{base['knowledge_base_id']}-*.index")
    return max(held, key=lambda path: int(path.stem.split("-")[1]))


def best(person: Person, base: dict[str, Any], question: str = "Where may cars stand?") -> dict[str, Any]:
    found: dict[str, Any] = asked(person, base, question, threshold=0)["results"][0]
    return found


async def found_in_a_call(api: Api, base: dict[str, Any], question: str) -> list[Passage]:
    """What a worker with these settings finds, through its own cache."""
    index = newest(api, base)
    known = KnowledgeVersion(
        base_id=base["knowledge_base_id"],
        version=int(index.stem.split("-")[1]),
        digest=hashlib.sha256(index.read_bytes()).hexdigest(),
    )
    settings = WorkerSettings.load(
        {**api.environment, "CALL2ME_API_URL": api.url, "CALL2ME_LOCAL_MODELS": "off"}
    )
    agent = SimpleNamespace(kb_chunks_count=1, kb_similarity_threshold=0.0)
    brief = cast("CallBrief", SimpleNamespace(knowledge=(known,), agent=agent))
    knowledge = knows(settings)(brief, None)
    assert isinstance(knowledge, Knowledge)
    try:
        return list(await knowledge.find(question))
    finally:
        await knowledge.aclose()


def test_a_base_is_embedded_and_asked_by_the_operators_server(served: tuple[EmbeddingServer, Api]) -> None:
    server, api = served
    person = api.person()
    base = made(person, "openai/small")
    assert (base["status"], base["embedder"]) == ("complete", "openai/small"), base["progress"]
    assert server.refused == []
    assert any("Cars may stand" in text for text in server.texts)
    hit = best(person, base)
    assert "Cars may stand" in hit["content"]
    assert "meaning" in hit["why"]
    index = indexes.load(newest(api, base))
    assert (index.space, index.dimensions) == ("openai:127.0.0.1:small:64", 64)
    assert index.calibration != calibration.known(index.space), "measured, not guessed"

    asked_before = len(server.texts)
    passage, *_ = asyncio.run(found_in_a_call(api, base, "Which cars stand there?"))
    assert "Cars may stand" in passage["text"]
    assert server.texts[asked_before:] == ["Which cars stand there?"]


def test_another_embedder_embeds_the_base_again(served: tuple[EmbeddingServer, Api]) -> None:
    server, api = served
    person = api.person()
    base = made(person, "words")
    path = f"/v1/knowledge-base/{base['knowledge_base_id']}"
    assert "no vectors" in best(person, base)["why"]
    spaces = []
    for embedder in ("openai/small", "openai/large", "words"):
        server.texts.clear()
        assert person.ask("PATCH", path, {"embedder": embedder}).status == 200
        assert read(person, base)["status"] == "complete"
        spaces.append(indexes.load(newest(api, base)).space)
        assert sum("Cars may stand" in text for text in server.texts) == (embedder != "words")
    assert spaces == ["openai:127.0.0.1:small:64", "openai:127.0.0.1:large:128", ""]


def test_what_the_server_refuses_is_told(served: tuple[EmbeddingServer, Api]) -> None:
    _, api = served
    base = made(api.person(), "openai/none")
    assert base["status"] == "error"
    assert "The model `none` does not exist" in base["progress"]["reason"]
    for wrong in ("openai/", "openai/a b", "http://x/y", "Auto"):
        body = {"knowledge_base_name": "x", "embedder": wrong}
        assert api.person().ask("POST", "/v1/knowledge-base", body).status == 422


def test_words_decide_while_the_server_is_away_and_a_wrong_key_is_not_repeated(tmp_path: Path) -> None:
    with embedding_server() as server:
        settings = {"CALL2ME_EMBEDDINGS_URL": server.url, "CALL2ME_EMBEDDINGS_KEY": KEY}
        with running_api(tmp_path / "home", **settings) as api:
            person = api.person()
            base = made(person, "openai/small")
            assert "meaning" in best(person, base)["why"]
        with running_api(tmp_path / "home", **{**settings, "CALL2ME_EMBEDDINGS_KEY": "sk-wrong"}) as again:
            person = Person(again, person.email, person.credentials)
            hit = best(person, base)
            assert "Cars may stand" in hit["content"]
            assert "no vectors" in hit["why"]
            reason = made(person, "openai/small")["progress"]["reason"]
            assert "does not accept the operator's key" in reason
            assert "sk-wrong" not in reason
