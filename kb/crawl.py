"""A whole site as sources: the pages of its sitemap, else those that link to each other, within bounds."""

import asyncio
import gzip
import hashlib
import io
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import urldefrag, urljoin, urlsplit
from urllib.robotparser import RobotFileParser
from xml.etree.ElementTree import ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from kb.errors import Disallowed, Unreadable
from kb.fetch import AGENT, URL_CHARACTERS, Fetcher, Page, Seen, checked
from kb.readers.html import links
from kb.readers.text import decoded

_SITEMAP_BYTES = 20_000_000
_SITEMAPS = 10
_ADDRESSES = 10_000
_NO_PAGES = frozenset(
    """
    .jpg .jpeg .png .gif .webp .svg .ico .css .js .json .xml .zip .gz .mp3 .mp4 .avi .mov .woff .woff2 .exe
    """.split()
)


@dataclass(frozen=True, slots=True)
class Failed:
    """A page of a site that could not be read, and why."""

    asked: str
    error: Unreadable


@dataclass(frozen=True, slots=True)
class Unchanged:
    """A page of a site that is as it was."""

    asked: str


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A page of a site that says what another one says, or leads away from it."""

    asked: str


async def crawl(
    fetcher: Fetcher,
    url: str,
    known: Mapping[str, Seen] | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> AsyncIterator[Page | Unchanged | Failed | LeftOut]:
    """The pages of a site at and below an address: those of its sitemap, else those that link there.

    `known` pages are asked whether they changed, and read again only then. Two addresses of the
    same content are one page. `on_progress` is told how many pages were asked for, and of how many
    that are known of by now. Raises an `errors.Unreadable` when not even the first can be read.
    """
    start = checked(url)
    known = known or {}
    bounds = fetcher.bounds
    ends_at = time.monotonic() + bounds.seconds
    robots = await _robots(fetcher, start)
    if not robots.can_fetch(AGENT, start):
        raise Disallowed
    walk = _Walk(start, robots)
    walk.found([start], 0)
    walk.found(await _sitemap(fetcher, start, robots), bounds.depth)
    walk.found(known, bounds.depth)
    pause = min(
        max(bounds.pause_seconds, float(robots.crawl_delay(AGENT) or 0)),
        bounds.longest_pause_seconds,
    )
    contents: set[bytes] = set()
    read = size = asked = 0
    while walk.waiting and read < bounds.pages and size < bounds.bytes:
        if time.monotonic() > ends_at or asked >= 3 * bounds.pages:
            return
        if asked:
            await asyncio.sleep(pause)
        on_progress(asked, min(bounds.pages, asked + len(walk.waiting)))
        asked += 1
        address, depth = walk.waiting.popleft()
        try:
            page = await fetcher.fetch(address, known.get(address, Seen()))
        except Unreadable as error:
            if address == start:
                raise
            yield Failed(address, error)
            continue
        if page is None:
            read += 1
            yield Unchanged(address)
            continue
        size += len(page.body)
        digest = hashlib.blake2b(page.body, digest_size=16).digest()
        if digest in contents or not (address == start or walk.belongs(page.url)):
            yield LeftOut(address)
            continue
        contents.add(digest)
        read += 1
        if depth < bounds.depth:
            walk.found(await asyncio.to_thread(_links, page), depth + 1)
        yield page


async def _robots(fetcher: Fetcher, start: str) -> RobotFileParser:
    robots = RobotFileParser()
    answer = await fetcher.small(urljoin(start, "/robots.txt"))
    # No robots.txt, or none that can be read: nothing was asked of us.
    lines = [] if answer is None else answer.body.decode(errors="replace").splitlines()
    robots.parse(lines)
    return robots


async def _sitemap(fetcher: Fetcher, start: str, robots: RobotFileParser) -> list[str]:
    """Pages that the site itself lists, in order; a sitemap of sitemaps is followed once."""
    waiting = deque([*(robots.site_maps() or []), urljoin(start, "/sitemap.xml")])
    found: list[str] = []
    asked: set[str] = set()
    while waiting and len(asked) < _SITEMAPS and len(found) < 10 * fetcher.bounds.pages:
        address = waiting.popleft()
        if address in asked or _host(address) != _host(start):
            continue
        asked.add(address)
        if answer := await fetcher.small(address, _SITEMAP_BYTES):
            pages, maps = await asyncio.to_thread(_listed, answer.body)
            found += pages
            waiting.extend(maps)
    return found[: 10 * fetcher.bounds.pages]


class _Walk:
    """Addresses still to be read, each once, all of them below where the walk began."""

    def __init__(self, start: str, robots: RobotFileParser) -> None:
        self._host = _host(start)
        path = urlsplit(start).path or "/"
        self._below = path if path.endswith("/") else path.rsplit("/", 1)[0] + "/"
        self._robots = robots
        self._found: set[str] = set()
        self.waiting: deque[tuple[str, int]] = deque()

    def found(self, addresses: Iterable[str], depth: int) -> None:
        for each in addresses:
            address = urldefrag(each).url
            if address in self._found or len(address) > URL_CHARACTERS or len(self._found) > _ADDRESSES:
                continue
            if self._found and not self.belongs(address):
                continue
            if PurePosixPath(urlsplit(address).path).suffix.lower() in _NO_PAGES:
                continue
            if self._robots.can_fetch(AGENT, address):
                self._found.add(address)
                self.waiting.append((address, depth))

    def belongs(self, address: str) -> bool:
        parts = urlsplit(address)
        is_below = (parts.path or "/").startswith(self._below)
        return parts.scheme in ("http", "https") and _host(address) == self._host and is_below


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        return f"{(parts.hostname or '').removeprefix('www.')}:{parts.port or ''}"
    except ValueError:
        return ""


def _links(page: Page) -> list[str]:
    try:
        text = decoded(page.body)
    except Unreadable:
        return []
    found = []
    for target in links(text):
        try:
            found.append(urljoin(page.url, target))
        except ValueError:
            continue
    return found


def _listed(body: bytes) -> tuple[list[str], list[str]]:
    """Pages and further sitemaps of a sitemap; nothing of what is none."""
    try:
        if body.startswith(b"\x1f\x8b"):
            with gzip.open(io.BytesIO(body)) as unpacked:
                body = unpacked.read(_SITEMAP_BYTES)
        root = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, OSError, EOFError, ValueError):
        return [], []
    places = [(each.text or "").strip() for each in root.iter() if each.tag.rpartition("}")[2] == "loc"]
    is_index = root.tag.rpartition("}")[2] == "sitemapindex"
    return ([], places) if is_index else (places, [])
