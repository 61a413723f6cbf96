"""Pages as sources: fetched through the guard, and read anew only when they changed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from sqlmodel import select

from api.db import migrate
from api.db.columns import now
from api.db.engine import Database
from api.durable import engine
from api.knowledge_base import apart, ingestion, service, workflows
from api.knowledge_base.table import KnowledgeBaseRow, KnowledgeSourceRow
from api.outside.mail import FileMail
from api.outside.storage import FolderStorage
from api.settings import Settings
from pipelines.outbound import Guard
from tests.integration.test_work import RehearsedRooms

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
    async with database.transaction(writes=False) as session:
        base = (await session.exec(select(KnowledgeBaseRow))).one()
        return base, (await session.exec(select(KnowledgeSourceRow))).one()


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

    blobs = engine.reach().knowledge
    for name in ("source_0123456789ab.raw", "source_0123456789ab-1.part", f"{base.id}-9.index"):
        await blobs.put(name, chunks(), 10)
    monkeypatch.setattr(workflows, "ORPHAN_SECONDS", 0.0)
    await workflows.sweep_forgotten()
    kept = {f"{source.id}-1.part", ingestion.index_name(base.id, 1)}
    assert set(await blobs.names("")) == kept
