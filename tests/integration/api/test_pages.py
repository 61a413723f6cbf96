"""What a browser loads: from our own host, under a strict policy, never from elsewhere on the disk."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from yarl import URL

from api.http.callers import admit
from api.http.edge import complete_headers, edge
from api.http.rate_limits import RateLimits
from api.http.routes import mount
from api.keys import RATE_LIMITS, SETTINGS
from api.settings import Settings
from api.system import pages

Client = TestClient[web.Request, web.Application]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """What Vite would have built."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Talk</title>")
    (folder / "docs.html").write_text("<!doctype html><title>Reference</title>")
    (folder / "assets" / "app-1a2b.js").write_text("1")
    (folder / "favicon.svg").write_text("<svg/>")
    (tmp_path / "secret.txt").write_text("secret")
    return folder


@pytest.fixture
async def client(dist: Path, tmp_path: Path) -> AsyncIterator[Client]:
    """A browser's view."""
    app = web.Application(middlewares=[edge])
    app[SETTINGS] = Settings.load(
        {"CALL2ME_HOME": str(tmp_path), "LIVEKIT_PUBLIC_URL": "wss://live.example.com"}
    )
    app[RATE_LIMITS] = RateLimits()
    app.on_response_prepare.append(complete_headers)
    mount(app, [pages.routes], admit)
    pages.install(app, dist)
    async with TestClient(TestServer(app)) as client:
        yield client


async def test_a_page_may_load_only_what_is_ours_and_reach_only_livekit(client: Client) -> None:
    reply = await client.get("/")
    assert reply.status == 200
    assert reply.content_type == "text/html"
    policy = dict(part.split(" ", 1) for part in reply.headers["Content-Security-Policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self' wss://live.example.com https://live.example.com"
    assert policy["frame-ancestors"] == "'none'"
    assert "microphone=(self)" in reply.headers["Permissions-Policy"]
    assert reply.headers["Cache-Control"] == "no-cache"


async def test_the_reference_may_reach_nothing_but_us(client: Client) -> None:
    reply = await client.get("/docs")
    assert "Reference" in await reply.text()
    assert "connect-src 'self';" in reply.headers["Content-Security-Policy"]


async def test_assets_are_kept_for_ever_and_icons_for_an_hour(client: Client) -> None:
    asset = await client.get("/assets/app-1a2b.js")
    assert (asset.status, await asset.text()) == (200, "1")
    assert "immutable" in asset.headers["Cache-Control"]
    assert asset.headers["X-Content-Type-Options"] == "nosniff"
    assert (await client.get("/favicon.svg")).content_type == "image/svg+xml"


@pytest.mark.parametrize(
    "path",
    [
        "/assets/../index.html",
        "/assets/..%2f..%2fsecret.txt",
        "/assets/..",
        "/assets/",
        "/secret.txt",
        "/a.exe",
    ],
)
async def test_nothing_else_on_the_disk_is_served(client: Client, path: str) -> None:
    reply = await client.get(URL(path, encoded=True))
    assert reply.status == 404 or "Talk" in await reply.text()
    assert "secret" not in await reply.text()


async def test_a_page_that_was_not_built_says_what_to_do(client: Client, dist: Path) -> None:
    (dist / "index.html").unlink()
    reply = await client.get("/")
    assert reply.status == 503
    assert "make page" in (await reply.json())["detail"]
