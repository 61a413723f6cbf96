"""Pages as sources: fetched through the guard, and read anew only when they changed."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlmodel import select

from api.db import migrate
from api.db.columns import now
from api.db.engine import Database
from api.durable import engine
from api.knowledge_base import apart, blobs, ingestion, service, workflows
from api.knowledge_base.answers import Answers
from api.knowledge_base.schemas import Question
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from api.outside.mail import FileMail
from api.outside.storage import FolderStorage
from api.settings import Settings
from kb import index as indexes
from kb.embeddings import E5Embedder, MiniLmEmbedder
from pipelines.outbound import Guard
from tests.support.rehearsed_calls import RehearsedRooms

PAGE = "<html><head><title>{title}</title></head><body><article><p>{text}</p></article></body></html>"
LONG = "This sentence stands here so that the page reads like an article with enough words in it. " * 4


class Site:
    """One page that can change, and what it was asked."""

    def __init__(self) -> None:
        self.text, self.etag, self.status = "The pool opens at nine.", '"1"', 200
        self.asked: list[str | None] = []

    async def answer(self, request: web.Request) -> web.Response:
        known = request.headers.get("If-None-Match")
        self.asked.append(known)
        if self.status != 200:
            return web.Response(status=self.status)
        if known == self.etag:
            return web.Response(status=304)
        page = PAGE.format(title="Pool", text=f"{self.text} {LONG}")
        return web.Response(text=page, content_type="text/html", headers={"ETag": self.etag})


@pytest.fixture
async def site() -> AsyncIterator[tuple[Site, str]]:
    site, app = Site(), web.Application()
    app.router.add_get("/pool", site.answer)
    async with TestServer(app, host="127.0.0.1") as server:
        yield site, str(server.make_url("/pool"))


@dataclass
class Pages:
    """A site of several pages that can change."""

    texts: dict[str, str]
    asked: list[str] = field(default_factory=list)

    async def answer(self, request: web.Request) -> web.Response:
        if request.path not in self.texts:
            return web.Response(status=404)
        text = self.texts[request.path]
        etag = f'"{len(text)}"'
        self.asked.append(request.path)
        if request.headers.get("If-None-Match") == etag:
            return web.Response(status=304)
        links = "".join(f'<a href="{path}">on</a>' for path in self.texts)
        page = PAGE.format(title=f"Page {request.path}", text=f"{text} {LONG}").replace(
            "<body>", f"<body>{links}"
        )
        return web.Response(text=page, content_type="text/html", headers={"ETag": etag})


@pytest.fixture
async def database(database_url: str, tmp_path: Path) -> AsyncIterator[Database]:
    await migrate.upgrade(database_url)
    database = Database(database_url)
    settings = Settings.load({"CALL2ME_HOME": str(tmp_path / "home"), "CALL2ME_DATABASE_URL": database_url})
    mail = FileMail(tmp_path, "a@b.c")
    guard = Guard(["127.0.0.1"])
    storages = (FolderStorage(tmp_path / "r"), FolderStorage(tmp_path / "k"))
    engine.launch(settings, engine.Reach(database, RehearsedRooms(), *storages, guard, mail))
    yield database
    await engine.close()
    await guard.close()
    await database.close()


async def only(database: Database) -> tuple[KnowledgeBaseRow, KnowledgeSourceRow]:
    # The source first: PostgreSQL shows each query what is committed by then, so the base is not the older.
    async with database.transaction(writes=False) as session:
        source = (await session.exec(select(KnowledgeSourceRow))).one()
        return (await session.exec(select(KnowledgeBaseRow))).one(), source


async def settled(database: Database) -> tuple[KnowledgeBaseRow, KnowledgeSourceRow]:
    async with asyncio.timeout(120):
        while True:
            base, source = await only(database)
            if source.progress in ("complete", "error") and base.version == base.revision:
                return base, source
            await asyncio.sleep(0.05)


async def due_again(database: Database) -> None:
    """Twelve hours later."""
    async with database.transaction() as session:
        row = (await session.exec(select(KnowledgeSourceRow))).one()
        row.fetched_at = row.updated_at = now() - timedelta(hours=12, seconds=1)
        session.add(row)
    await workflows.sweep_refresh()


async def test_a_page_is_read_anew_only_when_it_changed(
    database: Database, site: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, url = site
    jobs: list[dict[str, Any]] = []
    run = apart.run

    async def watched(job: dict[str, Any], *arguments: Any) -> dict[str, Any]:
        jobs.append(job)
        return await run(job, *arguments)

    monkeypatch.setattr(apart, "run", watched)
    async with database.transaction() as session:
        base = KnowledgeBaseRow(owner_id="me", name="Pool", embedder="words", is_auto_refreshed=True)
        session.add(base)
        await session.flush()
        await service.add(session, base, [workflows.url_source(url)])
    base, source = await settled(database)
    assert (source.progress, source.title, source.etag) == ("complete", "Pool", '"1"'), source.reason
    assert source.passage_count > 0
    assert base.version == 1
    assert len(jobs) == 2

    await due_again(database)
    base, source = await settled(database)
    assert page.asked == [None, '"1"']
    assert (base.version, len(jobs)) == (1, 2), "nothing was read again"

    page.text, page.etag = "The pool opens at ten.", '"2"'
    await due_again(database)
    base, source = await settled(database)
    assert (base.version, source.etag, source.part_revision) == (2, '"2"', 3)
    assert jobs[2]["before"], "what was embedded before is at hand"

    page.status = 500
    await due_again(database)
    base, source = await settled(database)
    assert source.progress == "error"
    assert "answered 500" in source.reason
    assert (base.version, source.part_revision) == (2, 3), "what it said is still answered from"
    names = await engine.reach().knowledge.names(f"{source.id}-")
    assert names == [f"{source.id}-3.part"]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_nothing_is_fetched_anew_where_nobody_wants_it(
    database: Database, site: tuple[Site, str]
) -> None:
    async with database.transaction() as session:
        base = KnowledgeBaseRow(owner_id="me", name="Pool", embedder="words")
        session.add(base)
        await session.flush()
        await service.add(session, base, [workflows.url_source(site[1])])
    await settled(database)
    await due_again(database)
    _, source = await only(database)
    assert (source.revision, site[0].asked) == (1, [None])


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_files_that_no_row_names_are_swept_and_others_stay(
    database: Database, site: tuple[Site, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as session:
        base = await service.texts_added(session, "me", "Mine", [("A", "We open at nine.")])
        base.embedder = "words"
    _, source = await settled(database)

    async def chunks() -> AsyncIterator[bytes]:
        yield b"x"

    storage = engine.reach().knowledge
    for name in ("source_0123456789ab.raw", "source_0123456789ab-1.part", f"{base.id}-9.index"):
        await storage.put(name, chunks(), 10)
    monkeypatch.setattr(workflows, "ORPHAN_SECONDS", 0.0)
    await workflows.sweep_forgotten()
    kept = {f"{source.id}-1.part", f"{base.id}-1.index"}
    assert set(await storage.names("")) == kept


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_no_copy_and_no_older_index_keeps_what_was_deleted(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.transaction() as session:
        base = await service.texts_added(session, "me", "Mine", [("A", "The code is 4711."), ("B", "No.")])
        base.embedder = "words"
    async with asyncio.timeout(60):
        while (base := await base_of(database)).version < 2 or base.version < base.revision:
            await asyncio.sleep(0.05)
    storage, copies = engine.reach().knowledge, tmp_path / "copies"
    answers = Answers(storage, copies, tmp_path / "none.sock")
    sources = (await sources_of(database, base))[base.id]
    question = Question(query="What is the code?", threshold=0.3)
    assert "4711" in (await answers.ask(base, sources, question)).context_text
    first = base.version
    async with database.transaction() as session:
        await service.remove_source(session, base, next(row.id for row in sources if row.title == "A"))
    async with asyncio.timeout(60):
        while (base := await base_of(database)).version == first:
            await asyncio.sleep(0.05)
    await answers.sweep()
    assert not list(copies.iterdir())
    await workflows.sweep_replaced()
    assert await storage.size(blobs.index_name(base.id, first)), "a worker may be fetching it"
    monkeypatch.setattr(workflows, "REPLACED_SECONDS", -1.0)
    await workflows.sweep_replaced()
    assert await storage.names(f"{base.id}-") == [blobs.index_name(base.id, base.version)]
    assert (await base_of(database)).previous_version == 0
    assert not any(b"4711" in path.read_bytes() for path in (tmp_path / "k").iterdir())


async def base_of(database: Database) -> KnowledgeBaseRow:
    async with database.transaction(writes=False) as session:
        return (await session.exec(select(KnowledgeBaseRow))).one()


async def sources_of(database: Database, base: KnowledgeBaseRow) -> dict[str, list[KnowledgeSourceRow]]:
    async with database.transaction(writes=False) as session:
        return await service.sources_of(session, [base.id])


async def served(pages: Pages) -> TestServer:
    app = web.Application()
    app.router.add_get("/{path:.*}", pages.answer)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    return server


async def texts_of(base: KnowledgeBaseRow, folder: Path) -> str:
    """All that the base's newest index says."""
    path = folder / f"{base.version}.index"
    await blobs.copy(engine.reach().knowledge, blobs.index_name(base.id, base.version), path)
    return " ".join(passage.text for passage in indexes.load(path).passages)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_site_is_one_source_of_which_only_changed_pages_are_fetched_anew(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages = Pages({"/": "The pool opens at nine.", "/sauna": "The sauna is closed.", "/bar": "Tea is free."})
    server, told = await served(pages), []
    note = ingestion.note

    async def noted(source_id: str, revision: int, **values: Any) -> None:
        told.append((values.get("stage"), values.get("done"), values.get("total")))
        await note(source_id, revision, **values)

    monkeypatch.setattr(ingestion, "note", noted)
    monkeypatch.setattr(ingestion, "_TOLD_SECONDS", 0.0)
    async with database.transaction() as session:
        base = KnowledgeBaseRow(owner_id="me", name="Pool", embedder="words", is_auto_refreshed=True)
        session.add(base)
        await session.flush()
        await service.add(session, base, [workflows.site_source(str(server.make_url("/")), 2, 10)])
    base, source = await settled(database)
    assert (source.progress, source.reason, source.page_count) == ("complete", "", 3)
    said = await texts_of(base, tmp_path)
    assert all(text in said for text in ("opens at nine", "sauna is closed", "Tea is free"))
    assert {("fetching", 1, 3), ("fetching", 2, 3)} <= set(told)
    assert ("reading", 2, 3) in told

    await due_again(database)
    base, source = await settled(database)
    assert (base.version, source.part_revision) == (1, 1), "nothing changed, and nothing was read"

    pages.texts["/sauna"] = "The sauna opens at four."
    del pages.texts["/bar"]
    await due_again(database)
    base, source = await settled(database)
    assert (base.version, source.page_count, source.reason) == (2, 2, "")
    said = await texts_of(base, tmp_path)
    assert "sauna opens at four" in said
    assert "sauna is closed" not in said
    assert "Tea is free" not in said
    async with asyncio.timeout(20):
        while len(names := await engine.reach().knowledge.names(f"{source.id}")) != 4:
            await asyncio.sleep(0.05)
    assert sorted(name.split(".")[1] for name in names) == ["page", "page", "part", "site"]

    async with database.transaction() as session:
        held = await service.get(session, "me", base.id, to_change=True)
        await service.add(session, held, [workflows.site_source(str(server.make_url("/")), 2, 1)])
    base, source = await settled(database)
    assert (source.page_count, base.version) == (1, 3), "the same site within other bounds"
    async with database.transaction() as session:
        await service.remove(session, await service.get(session, "me", base.id, to_change=True))
    assert await engine.reach().knowledge.names("") == []
    await server.close()


@pytest.mark.skipif(not E5Embedder.is_installed(), reason="e5 comes for Linux on x86_64 alone")
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_base_learns_other_languages_when_a_text_in_one_comes(
    database: Database, tmp_path: Path
) -> None:
    async def settled_all() -> tuple[KnowledgeBaseRow, dict[str, KnowledgeSourceRow]]:
        async with asyncio.timeout(120):
            while True:
                async with database.transaction(writes=False) as session:
                    rows = (await session.exec(select(KnowledgeSourceRow))).all()
                    base = (await session.exec(select(KnowledgeBaseRow))).one()
                if base.version == base.revision and all(row.progress == "complete" for row in rows):
                    return base, {row.title: row for row in rows}
                await asyncio.sleep(0.05)

    async def added(title: str, text: str) -> tuple[KnowledgeBaseRow, dict[str, KnowledgeSourceRow]]:
        async with database.transaction() as session:
            held = (await session.exec(select(KnowledgeBaseRow))).one()
            await service.add(session, held, [workflows.text_source(title, text)])
        return await settled_all()

    async with database.transaction() as session:
        session.add(KnowledgeBaseRow(owner_id="me", name="Pool"))
    english = "The pool opens at nine in the morning, and closes at six on every day of the week."
    base, rows = await added("Hours", english)
    assert (base.space, rows["Hours"].space) == (MiniLmEmbedder.space, MiniLmEmbedder.space)
    turkish = "Otopark binanın arkasındadır ve ilk bir saat ücretsizdir. Sonraki her saat on liradır."
    base, rows = await added("Otopark", turkish)
    assert {base.space, *(row.space for row in rows.values())} == {E5Embedder.space}
    assert rows["Hours"].part_revision == 2, "embedded again, once"
    path = tmp_path / "index"
    await blobs.copy(engine.reach().knowledge, blobs.index_name(base.id, base.version), path)
    index = indexes.load(path)
    assert index.space == E5Embedder.space
    assert all(np.linalg.norm(vector) == pytest.approx(1, abs=0.01) for vector in index.vectors)
    base, rows = await added("Sauna", "The sauna is open for guests of the hotel, from four o'clock.")
    assert rows["Sauna"].space == E5Embedder.space, "one base, one space"
    assert rows["Hours"].part_revision == 2


async def test_a_question_does_not_wait_until_documents_are_read() -> None:
    async with apart._turns.turn("a"), apart._turns.turn("b"), asyncio.timeout(60):
        made = await apart.run({"do": "embed", "space": MiniLmEmbedder.space, "texts": ["Open?"]}, "me")
    assert len(made["vectors"][0]) == MiniLmEmbedder.dimensions


async def test_a_source_that_waits_its_turn_gives_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    told = asyncio.Event()

    async def noted(*_: Any, **values: Any) -> None:
        assert values["stage"] == "waiting"
        told.set()

    monkeypatch.setattr(ingestion, "note", noted)
    monkeypatch.setattr(ingestion, "_ALIVE_SECONDS", 0.01)
    async with ingestion.telling(KnowledgeSourceRow(title="", knowledge_base_id="")), asyncio.timeout(20):
        await told.wait()
