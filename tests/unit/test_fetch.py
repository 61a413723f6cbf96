"""Pages and sites, over real HTTP through the guarded connector: once, then only if changed, and bounded."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import web

from kb import errors
from kb.crawl import Failed, Unchanged, crawl
from kb.fetch import Bounds, Fetcher, Page, Seen
from pipelines.outbound import Guard, NoAnswer

QUICK = Bounds(pause_seconds=0, page_seconds=5)


@dataclass
class Site:
    """Pages by path; what was asked for, in order."""

    pages: dict[str, str] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request.path)
        self.agents.add(request.headers.get("User-Agent", ""))
        if request.path == "/forever":
            response = web.StreamResponse()
            await response.prepare(request)
            while True:
                await response.write(b"x" * 10_000)
        if request.path == "/silent":
            await asyncio.sleep(3600)
        if request.path == "/moved":
            raise web.HTTPFound("/about")
        if request.path == "/away":
            raise web.HTTPFound("http://10.0.0.1/secret")
        if request.path == "/round":
            raise web.HTTPFound("/round")
        if request.path == "/map.gz":
            return web.Response(body=gzip.compress(self.pages["/map.gz"].encode()))
        if request.path not in self.pages:
            raise web.HTTPNotFound
        etag = f'"{hash(self.pages[request.path])}"'
        if request.headers.get("If-None-Match") == etag:
            raise web.HTTPNotModified
        text = self.pages[request.path].replace("HOST", f"http://{request.host}")
        return web.Response(text=text, content_type="text/html", headers={"ETag": etag})


@asynccontextmanager
async def _serving(site: Site, bounds: Bounds = QUICK) -> AsyncIterator[tuple[str, Fetcher]]:
    app = web.Application()
    app.router.add_get("/{path:.*}", site.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    guard = Guard([f"{host}:{port}"])
    try:
        yield f"http://{host}:{port}", Fetcher(guard.fetch, (NoAnswer,), bounds)
    finally:
        await guard.close()
        await runner.cleanup()


async def _crawled(fetcher: Fetcher, url: str, known: dict[str, Seen] | None = None) -> list[str]:
    found = []
    async for each in crawl(fetcher, url, known):
        kind = {Page: "", Unchanged: "same ", Failed: "failed "}[type(each)]
        found.append(kind + "/" + each.asked.split("/", 3)[3])
    return found


async def test_a_page_is_read_with_what_tells_later_whether_it_changed() -> None:
    site = Site({"/about": "<p>We are open.</p>"})
    async with _serving(site) as (base, fetcher):
        page = await fetcher.fetch(f"{base}/about#hours")
        assert page is not None
        assert (page.body, page.declared_type) == (b"<p>We are open.</p>", "text/html; charset=utf-8")
        assert await fetcher.fetch(f"{base}/about", page.seen) is None
        site.pages["/about"] = "<p>We are closed.</p>"
        again = await fetcher.fetch(f"{base}/about", page.seen)
        assert again is not None
        assert again.body == b"<p>We are closed.</p>"


async def test_a_page_that_moved_is_read_where_it_is_now() -> None:
    async with _serving(Site({"/about": "here"})) as (base, fetcher):
        page = await fetcher.fetch(f"{base}/moved")
        assert page is not None
        assert page.url == f"{base}/about"


@pytest.mark.parametrize(
    ("path", "refused"),
    [
        ("/nowhere", errors.Refused),
        ("/away", errors.Unreachable),
        ("/round", errors.Unreachable),
        ("/forever", errors.TooLarge),
        ("/silent", errors.Unreachable),
        ("/empty", errors.Empty),
    ],
)
async def test_a_page_that_cannot_be_read_says_why(path: str, refused: type[errors.Unreadable]) -> None:
    bounds = replace(QUICK, page_bytes=100_000, page_seconds=0.5 if path == "/silent" else 20)
    async with _serving(Site({"/empty": " \n"}), bounds) as (base, fetcher):
        with pytest.raises(refused) as caught:
            await fetcher.fetch(base + path)
        assert len(str(caught.value)) > 20


@pytest.mark.parametrize(
    "url", ["", "file:///etc/passwd", "ftp://a.test/x", "http://", "http://[::1", "x" * 9000]
)
async def test_what_is_no_address_of_a_page_is_refused_unasked(url: str) -> None:
    guard = Guard()
    with pytest.raises(errors.BadAddress):
        await Fetcher(guard.fetch, (NoAnswer,)).fetch(url)


async def test_the_network_this_machine_stands_in_stays_out_of_reach() -> None:
    guard = Guard()
    for url in ("http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest/"):
        with pytest.raises(errors.Unreachable):
            await Fetcher(guard.fetch, (NoAnswer,)).fetch(url)
    await guard.close()


SITE = {
    "/": '<a href="/a">a</a> <a href="/b#x">b</a> <a href="/logo.png">l</a> <a href="http://other.test/">o</a>',
    "/a": '<a href="/deep">d</a> <a href="/private/x">p</a> a page',
    "/b": "another page",
    "/deep": '<a href="/deeper">d</a> deep',
    "/deeper": "too deep",
    "/private/x": "not for us",
    "/copy": "another page",
    "/robots.txt": "User-agent: *\nDisallow: /private/\n",
}


async def test_a_site_is_read_along_its_links_as_deep_as_told_and_as_robots_txt_allows() -> None:
    site = Site(dict(SITE))
    async with _serving(site) as (base, fetcher):
        assert await _crawled(fetcher, f"{base}/") == ["/", "/a", "/b", "/deep"]
    assert not {"/private/x", "/logo.png", "/deeper"} & set(site.asked)
    assert site.agents == {"Call2MeRuntime/1"}


async def test_a_site_that_forbids_it_is_not_read() -> None:
    async with _serving(Site({"/": "x", "/robots.txt": "User-agent: *\nDisallow: /"})) as (base, fetcher):
        with pytest.raises(errors.Disallowed):
            await _crawled(fetcher, f"{base}/")


async def test_a_sitemap_names_pages_that_nothing_links_to() -> None:
    pages = {
        "/": "home",
        "/x": "x",
        "/y": "y",
        "/robots.txt": "Sitemap: HOST/index.xml",
        "/index.xml": "<sitemapindex><sitemap><loc>HOST/map.xml</loc></sitemap></sitemapindex>",
        "/map.xml": '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9"><url><loc>HOST/x</loc></url>'
        "<url><loc>http://other.test/z</loc></url><url><loc>HOST/y</loc></url></urlset>",
    }
    async with _serving(Site(pages)) as (base, fetcher):
        assert await _crawled(fetcher, f"{base}/") == ["/", "/x", "/y"]


@pytest.mark.parametrize(
    "sitemap",
    [
        "not xml",
        '<!DOCTYPE x [<!ENTITY a "b"><!ENTITY c "&a;&a;">]><urlset><url><loc>HOST/x&c;</loc></url></urlset>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><urlset><url><loc>&f;</loc></url></urlset>',
    ],
)
async def test_a_sitemap_that_is_none_or_hostile_is_passed_over(sitemap: str) -> None:
    async with _serving(Site({"/": "home", "/sitemap.xml": sitemap})) as (base, fetcher):
        assert await _crawled(fetcher, f"{base}/") == ["/"]


async def test_only_what_lies_below_the_first_address_is_read() -> None:
    pages = {"/help/": '<a href="/help/a">a</a><a href="/shop">s</a>', "/help/a": "a", "/shop": "s"}
    async with _serving(Site(pages)) as (base, fetcher):
        assert await _crawled(fetcher, f"{base}/help/") == ["/help/", "/help/a"]


async def test_a_site_read_again_gives_only_what_changed() -> None:
    site = Site(dict(SITE))
    async with _serving(site) as (base, fetcher):
        known = {each.asked: each.seen async for each in crawl(fetcher, f"{base}/") if isinstance(each, Page)}
        site.pages["/b"] = "a page that changed"
        assert await _crawled(fetcher, f"{base}/", known) == ["same /", "same /a", "/b", "same /deep"]


async def test_a_site_without_end_is_read_as_far_as_the_bounds() -> None:
    endless = {f"/{n}": f'<a href="/{n + 1}">on</a> page {n}' for n in range(100)} | {
        "/": '<a href="/0">on</a>'
    }
    async with _serving(Site(endless), replace(QUICK, pages=7, depth=1000)) as (base, fetcher):
        assert len(await _crawled(fetcher, f"{base}/")) == 7
    async with _serving(Site(endless), replace(QUICK, bytes=100, depth=1000)) as (base, fetcher):
        assert 2 <= len(await _crawled(fetcher, f"{base}/")) <= 6


async def test_a_page_that_fails_does_not_stop_the_others_unless_it_is_the_first() -> None:
    pages = {"/": '<a href="/gone">g</a><a href="/b">b</a>', "/b": "b"}
    async with _serving(Site(pages)) as (base, fetcher):
        assert await _crawled(fetcher, f"{base}/") == ["/", "failed /gone", "/b"]
        with pytest.raises(errors.Refused):
            await _crawled(fetcher, f"{base}/gone")
