"""Pages and whole sites, fetched through the guard into the storage, and again only where they changed."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp

from api.durable import engine
from api.knowledge_base import apart, blobs
from api.knowledge_base.blobs import MAX_FILE_BYTES, Site, SitePage
from api.knowledge_base.ingestion import Task, note, telling
from api.knowledge_base.table import KnowledgeSourceRow
from api.outside import storage
from kb import crawl
from kb.errors import Gone, Unreadable
from kb.fetch import Bounds, Fetcher, Page, Seen
from pipelines.outbound import NoAnswer

FETCH_SECONDS = 60.0
FETCH_HOPS = 5
SITES_AT_ONCE = 4
_FETCH_AS = "call2me/1.0 (knowledge base)"
_turns = apart.Turns(SITES_AT_ONCE)


async def fetch(work: Task) -> dict[str, Any] | None:
    """Fetch a page into its blob, and what to remember of it; None when it says what it said before.

    Nothing is remembered yet: were this step to run again, the page would seem to be known already.
    Raises `apart.Failed`.
    """
    source = work.source
    if source.kind == "site":
        return await _fetch_site(work)
    await note(source.id, source.revision, progress="working", stage="fetching", done=0, total=1)
    headers = {"Accept": "text/html,application/pdf,text/plain;q=0.9,*/*;q=0.5", "User-Agent": _FETCH_AS}
    if source.part_revision:  # otherwise there is nothing that could be kept
        headers |= {"If-None-Match": source.etag} if source.etag else {}
        headers |= {"If-Modified-Since": source.last_modified} if source.last_modified else {}
    try:
        async with engine.reach().guard.asking(
            "GET", source.url or "", headers=headers, timeout_seconds=FETCH_SECONDS, follow=FETCH_HOPS
        ) as response:
            if response.status == 304:
                return None
            if response.status != 200:
                raise apart.Failed(f"The address answered {response.status} instead of a page.")
            page = await _keep(source, response)
    except NoAnswer as error:
        raise apart.Failed(str(error)) from None
    except storage.TooLarge:
        raise apart.Failed(f"The page is larger than {MAX_FILE_BYTES // 1_000_000} MB.") from None
    return None if source.part_revision and page["body_digest"] == source.body_digest else page


async def _keep(source: KnowledgeSourceRow, response: aiohttp.ClientResponse) -> dict[str, Any]:
    digest = hashlib.sha256()

    async def body() -> AsyncIterator[bytes]:
        async for chunk in response.content.iter_any():
            digest.update(chunk)
            yield chunk

    size = await engine.reach().knowledge.put(blobs.raw_name(source.id), body(), MAX_FILE_BYTES)
    headers = response.headers
    return {
        "etag": headers.get("ETag", "")[:500],
        "last_modified": headers.get("Last-Modified", "")[:100],
        "content_type": headers.get("Content-Type", "")[:200],
        "size_bytes": size,
        "body_digest": digest.hexdigest(),
    }


async def _fetch_site(work: Task) -> dict[str, Any] | None:
    """The same for a site: each page a blob, and one that lists them."""
    source = work.source
    before = await blobs.site(source.id, source.part_revision) if source.body_digest else Site()
    bounds = Bounds(pages=source.max_pages, depth=source.depth)
    fetcher = Fetcher(engine.reach().guard.fetch, (NoAnswer,), bounds)
    async with telling(source) as tell, _turns.turn(work.base.owner_id):
        tell("fetching", 0, source.max_pages)
        try:
            found, failed = await _crawled(source, before, fetcher, tell)
        except Unreadable as error:
            raise apart.Failed(f"{str(error).rstrip('.')}.") from None
        digest = hashlib.sha256()
        for page in found.pages:
            digest.update(f"{page.url} {page.digest}\n".encode())
        if digest.hexdigest() == source.body_digest:
            return None
        await blobs.keep_site(source.id, source.revision, found)
    return {"body_digest": digest.hexdigest(), "failed_pages": failed}


async def _crawled(
    source: KnowledgeSourceRow, before: Site, fetcher: Fetcher, tell: apart.OnProgress
) -> tuple[Site, int]:
    """The site's pages as they are now, and how many could not be had.

    A page that is gone is left out; one that fails otherwise, or was not come to, stays as it was.
    """
    known = {page.url: page for page in before.pages}
    seen = {url: Seen(page.etag, page.last_modified) for url, page in known.items()}
    found: dict[str, SitePage] = {}
    come_to: set[str] = set()
    failed = 0
    async for each in crawl.crawl(
        fetcher, source.url or "", seen, lambda done, total: tell("fetching", done, total)
    ):
        come_to.add(each.asked)
        was = known.get(each.asked)
        match each:
            case Page():
                found[each.asked] = await _kept(source, each, was)
            case crawl.Failed(error=Gone()):
                failed += was is None
            case crawl.Failed():
                failed += 1
                if was is not None:
                    found[each.asked] = was
            case crawl.Unchanged() if was is not None:
                found[each.asked] = was
    for url, page in known.items():
        if url not in come_to and len(found) < source.max_pages:
            found[url] = page
    return Site(pages=list(found.values())), failed


async def _kept(source: KnowledgeSourceRow, page: Page, was: SitePage | None) -> SitePage:
    digest = hashlib.sha256(page.body).hexdigest()
    if was is not None and was.digest == digest:
        name = was.blob
    else:
        name = blobs.page_name(source.id, source.revision, digest)
        await blobs.keep_page(name, page.body)
    return SitePage(
        url=page.asked,
        blob=name,
        digest=digest,
        content_type=page.declared_type[:200],
        etag=page.seen.etag[:500],
        last_modified=page.seen.last_modified[:100],
    )
