"""The knowledge of a call on a worker's machine: fetched by version, checked, swapped while it is used."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from kb import index as indexes
from kb.chunking import passages
from pipelines.contract.brief import KnowledgeVersion, KnowledgeWanted
from pipelines.index_files import IndexFiles, IndexGone
from worker import knowledge, knowledge_cache
from worker.knowledge import Knowledge
from worker.knowledge_cache import KnowledgeCache, KnowledgeKeeper


class Api:
    """The two requests of a worker, answered from memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.blobs: dict[tuple[str, int], bytes] = {}
        self.newest: dict[str, KnowledgeVersion] = {}
        self.fetched: list[str] = []

    def publish(self, base_id: str, version: int, text: str) -> KnowledgeVersion:
        path = self._folder / "made"
        indexes.save(indexes.build(passages("s", "Hours", text)), path)
        raw = self.blobs[base_id, version] = path.read_bytes()
        digest = hashlib.sha256(raw).hexdigest()
        told = self.newest[base_id] = KnowledgeVersion(base_id=base_id, version=version, digest=digest)
        return told

    async def give(self, request: web.Request) -> web.Response:
        assert request.headers["X-Internal-Key"] == "key"
        self.fetched.append(request.path)
        raw = self.blobs.get((request.match_info["base"], int(request.match_info["version"])))
        return web.Response(body=raw) if raw is not None else web.Response(status=404)

    async def tell(self, request: web.Request) -> web.Response:
        wanted = KnowledgeWanted.model_validate_json(await request.read())
        found = [self.newest[id_].model_dump() for id_ in wanted.base_ids if id_ in self.newest]
        return web.json_response(found)


@pytest.fixture
async def api(tmp_path: Path) -> Api:
    return Api(tmp_path)


@pytest.fixture
async def url(api: Api) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/internal/knowledge/{base}/{version}", api.give)
    app.router.add_post("/internal/knowledge/versions", api.tell)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


@pytest.fixture
def cache(url: str, tmp_path: Path) -> KnowledgeCache:
    return KnowledgeCache(tmp_path / "cache", url, "key")


@pytest.fixture
async def keeper(cache: KnowledgeCache, url: str) -> AsyncIterator[KnowledgeKeeper]:
    async with aiohttp.ClientSession(headers={"X-Internal-Key": "key"}) as http:
        yield KnowledgeKeeper(cache, url, http)


@pytest.fixture
def know(
    cache: KnowledgeCache, monkeypatch: pytest.MonkeyPatch
) -> Callable[[list[KnowledgeVersion]], Knowledge]:
    monkeypatch.setattr(knowledge, "LOOK_SECONDS", 0.01)
    return lambda bases: Knowledge(bases, cache, lambda _: None, 3, 0.3)


Know = Callable[[list[KnowledgeVersion]], Knowledge]


async def found(known: Knowledge, question: str) -> list[str]:
    return [passage["text"] for passage in await known.find(question)]


async def test_a_call_finds_what_its_bases_say_and_where(api: Api, know: Know) -> None:
    bases = [api.publish("a", 3, "We open at nine."), api.publish("b", 1, "Parking is free.")]
    known = know(bases)
    hits = await known.find("When do you open?")
    assert [(hit["base_id"], hit["source_id"], hit["text"]) for hit in hits] == [
        ("a", "s", "We open at nine.")
    ]
    assert await found(known, "Is parking free?") == ["Parking is free."]
    assert set(await known.texts()) == {("Hours", "We open at nine."), ("Hours", "Parking is free.")}
    await known.aclose()


async def test_an_index_is_fetched_once_for_all_calls_of_a_machine(api: Api, know: Know) -> None:
    base = api.publish("a", 3, "We open at nine.")
    for _ in range(3):
        known = know([base])
        assert await found(known, "When do you open?")
        await known.aclose()
    assert len(api.fetched) == 1


async def test_a_newer_version_is_swapped_in_between_two_questions(
    api: Api, know: Know, keeper: KnowledgeKeeper
) -> None:
    known = know([api.publish("a", 1, "We open at nine.")])
    changed: list[bool] = []
    known.on_change = lambda: changed.append(True)
    assert await found(known, "When do you open?") == ["We open at nine."]
    before = len(changed)
    api.publish("a", 2, "We open at eight.")
    await keeper.look()
    while await found(known, "When do you open?") == ["We open at nine."]:
        await asyncio.sleep(0.01)
    assert await found(known, "When do you open?") == ["We open at eight."]
    assert len(changed) == before + 1
    assert len(api.fetched) == 2
    await known.aclose()


async def test_a_base_whose_first_index_comes_during_the_call_is_used_then(
    api: Api, know: Know, keeper: KnowledgeKeeper
) -> None:
    api.newest["a"] = KnowledgeVersion(base_id="a", version=0)
    known = know([api.newest["a"]])
    assert await found(known, "When do you open?") == []
    api.publish("a", 1, "We open at nine.")
    await keeper.look()
    while not await found(known, "When do you open?"):
        await asyncio.sleep(0.01)
    await known.aclose()


async def test_a_base_that_is_deleted_while_a_call_uses_it_is_forgotten(
    api: Api, know: Know, keeper: KnowledgeKeeper, tmp_path: Path
) -> None:
    known = know([api.publish("a", 1, "We open at nine.")])
    assert await found(known, "When do you open?")
    del api.newest["a"]
    await keeper.look()
    while await found(known, "When do you open?"):
        await asyncio.sleep(0.01)
    assert list((tmp_path / "cache").glob("*.index")) == []
    await keeper.look()
    await known.aclose()


async def test_an_api_that_does_not_answer_changes_nothing(
    api: Api, know: Know, keeper: KnowledgeKeeper
) -> None:
    known = know([api.publish("a", 1, "We open at nine.")])
    assert await found(known, "When do you open?")
    api.publish("a", 2, "We open at eight.")
    api.blobs.clear()
    await keeper.look()
    assert await found(known, "When do you open?") == ["We open at nine."]
    await known.aclose()


async def test_an_index_that_is_not_to_be_had_is_knowledge_of_nothing(api: Api, know: Know) -> None:
    base = api.publish("a", 1, "We open at nine.")
    api.blobs.clear()
    known = know([base])
    assert await found(known, "When do you open?") == []
    assert await known.texts() == ()
    await known.aclose()


async def chunks(raw: bytes) -> AsyncIterator[bytes]:
    yield raw


async def test_bytes_that_are_not_what_was_made_are_not_kept(api: Api, tmp_path: Path) -> None:
    base = api.publish("a", 1, "We open at nine.")
    raw = api.blobs["a", 1]
    files = IndexFiles(tmp_path / "files", 10**9)
    for wrong in (raw[:-1], b"", raw + b"x"):
        with pytest.raises(IndexGone):
            await files.open("a", 1, base.digest, lambda wrong=wrong: chunks(wrong))  # type: ignore[misc]
    assert list((tmp_path / "files").iterdir()) == []
    index = await files.open("a", 1, base.digest, lambda: chunks(raw))
    assert len(index.passages) == 1
    for name in ("../a", "a/b", ""):
        with pytest.raises(IndexGone):
            await files.open(name, 1, base.digest, lambda: chunks(raw))


async def test_a_file_that_was_torn_is_fetched_again(api: Api, tmp_path: Path) -> None:
    base = api.publish("a", 1, "We open at nine.")
    raw = api.blobs["a", 1]
    path = IndexFiles(tmp_path / "files", 10**9).path("a", 1)
    path.parent.mkdir()
    path.write_bytes(raw[: len(raw) // 2])
    index = await IndexFiles(tmp_path / "files", 10**9).open("a", 1, base.digest, lambda: chunks(raw))
    assert len(index.passages) == 1
    assert path.read_bytes() == raw


async def test_the_disk_holds_no_more_than_its_bound_and_what_is_mapped_goes_on(
    api: Api, tmp_path: Path
) -> None:
    bases = [api.publish(f"b{number}", 1, f"We open at {number}.") for number in range(6)]
    size = len(api.blobs["b0", 1])
    files = IndexFiles(tmp_path / "files", int(size * 3.5))
    opened = []
    for base in bases:
        raw = api.blobs[base.base_id, 1]
        opened.append(await files.open(base.base_id, 1, base.digest, lambda raw=raw: chunks(raw)))  # type: ignore[misc]
    kept = {path.name for path in (tmp_path / "files").glob("*.index")}
    assert len(kept) == 3
    assert "b5-1.index" in kept
    assert opened[0].passages[0].text == "We open at 0."


async def test_what_was_deleted_or_replaced_does_not_stay_on_the_disk_though_no_call_uses_it(
    api: Api, know: Know, keeper: KnowledgeKeeper, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for base in (api.publish("gone", 1, "The code is 4711."), api.publish("changed", 1, "The code is 4711.")):
        known = know([base])
        assert await found(known, "What is the code?")
        await known.aclose()
    kept = know([api.publish("kept", 1, "We open at nine.")])
    assert await found(kept, "When do you open?")
    monkeypatch.setattr(knowledge_cache, "IN_USE_SECONDS", -1.0)
    del api.newest["gone"]
    api.publish("changed", 2, "There is no code.")
    await keeper.tidy()
    left = {path.name for path in (tmp_path / "cache").iterdir()}
    assert left == {"changed.current", "kept.current", "kept-1.index"}
    assert await found(kept, "When do you open?") == ["We open at nine."]
    await kept.aclose()


async def test_a_call_hears_that_its_base_is_gone_before_that_is_forgotten(
    api: Api, know: Know, keeper: KnowledgeKeeper, cache: KnowledgeCache
) -> None:
    known = know([api.publish("a", 1, "We open at nine.")])
    assert await found(known, "When do you open?")
    del api.newest["a"]
    await keeper.look()
    await keeper.tidy()
    assert (told := cache.current("a")) is not None
    assert (told.is_gone, told.name, told.titles) == (True, "", ())
    await known.aclose()


def test_a_base_that_no_call_uses_any_more_is_not_asked_about(
    cache: KnowledgeCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.use(KnowledgeVersion(base_id="a", version=1, digest="d"))
    assert [base.base_id for base in cache.in_use()] == ["a"]
    cache.use(KnowledgeVersion(base_id="a", version=0))
    assert [base.version for base in cache.in_use()] == [1], "an older brief does not take a version back"
    monkeypatch.setattr(knowledge_cache, "IN_USE_SECONDS", -1.0)
    assert cache.in_use() == []
