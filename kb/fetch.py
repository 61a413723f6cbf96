"""One web page by its address, read again only if it changed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urldefrag, urlsplit

from kb.asking import Answer, Ask
from kb.errors import BadAddress, Empty, Gone, NoAnswer, Refused, TooLarge, Unreachable, Unreadable

AGENT = "Call2MeRuntime"
"""By this name a site's robots.txt may speak to us."""
URL_CHARACTERS = 2_048
_ACCEPT = "text/html, application/pdf;q=0.9, text/plain;q=0.9, text/markdown;q=0.9, */*;q=0.1"
_SMALL_BYTES = 500_000


@dataclass(frozen=True, slots=True)
class Seen:
    """What a site said of a page when it was last read, to be asked whether that still holds."""

    etag: str = ""
    last_modified: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """What stands at an address. `url` is where it was found in the end."""

    asked: str
    url: str
    body: bytes
    declared_type: str
    seen: Seen


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far a crawl goes; reaching one of these ends it without a word."""

    pages: int = 100
    depth: int = 2
    page_bytes: int = 10_000_000
    bytes: int = 100_000_000
    seconds: float = 600.0
    page_seconds: float = 20.0
    pause_seconds: float = 0.2
    """Between two pages; a longer one that robots.txt asks for holds, up to `longest_pause_seconds`."""
    longest_pause_seconds: float = 5.0


@dataclass(frozen=True, slots=True)
class Fetcher:
    """Reads addresses through a guarded `ask`, whose own failures are exceptions of these types."""

    ask: Ask
    failures: tuple[type[Exception], ...]
    bounds: Bounds = field(default_factory=Bounds)

    async def fetch(self, url: str, seen: Seen = Seen()) -> Page | None:
        """The page, or None when it is as it was `seen`. Raises an `errors.Unreadable`."""
        url = checked(url)
        headers = {"Accept": _ACCEPT, "User-Agent": f"{AGENT}/1"}
        if seen.etag:
            headers["If-None-Match"] = seen.etag
        if seen.last_modified:
            headers["If-Modified-Since"] = seen.last_modified
        answer = await self._asked(url, headers, self.bounds.page_bytes)
        if answer.status == 304:
            return None
        if answer.status != 200:
            raise (Gone if answer.status in (404, 410) else Refused)(_refusal(answer.status))
        if answer.is_cut:
            raise TooLarge
        if not answer.body.strip():
            raise Empty
        return Page(
            asked=url,
            url=answer.url,
            body=answer.body,
            declared_type=answer.headers.get("Content-Type", ""),
            seen=Seen(answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")),
        )

    async def _asked(self, url: str, headers: Mapping[str, str], max_bytes: int) -> Answer:
        try:
            return await self.ask(
                "GET",
                url,
                headers=headers,
                timeout_seconds=self.bounds.page_seconds,
                max_bytes=max_bytes,
                follow=5,
            )
        except TimeoutError as error:
            raise NoAnswer from error
        except self.failures as error:
            raise Unreachable(str(error) or None) from error

    async def small(self, url: str, max_bytes: int = _SMALL_BYTES) -> Answer | None:
        """Something beside the pages, such as robots.txt: None where there is none."""
        try:
            answer = await self._asked(url, {"User-Agent": f"{AGENT}/1"}, max_bytes)
        except Unreadable:
            return None
        return answer if answer.status == 200 and not answer.is_cut else None


def checked(url: str) -> str:
    """An address without its fragment. Raises `BadAddress`."""
    url = urldefrag(url.strip()).url
    try:
        parts = urlsplit(url)
        is_whole = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError as error:
        raise BadAddress from error
    if not is_whole or len(url) > URL_CHARACTERS:
        raise BadAddress
    return url


def _refusal(status: int) -> str:
    said = {
        401: "The site asks for a password to read this page",
        403: "The site does not let us read this page (403)",
        404: "There is no page at this address (404)",
        410: "This page no longer exists (410)",
        429: "The site asks us to come less often (429)",
    }
    return said.get(status, f"The site answered with an error ({status})")
