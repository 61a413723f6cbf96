"""The newest index of each knowledge base, kept on this machine: fetched by version, told to every call.

supervisor: asks every two seconds for newer versions of what calls use ──► fetched ──► `<base>.current`
call: maps what its brief names, and looks at `<base>.current` between two questions
"""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from pydantic import TypeAdapter, ValidationError

from pipelines.contract.brief import KnowledgeVersion, KnowledgeWanted
from pipelines.index_files import IndexFiles, IndexGone
from worker.settings import WorkerSettings

if TYPE_CHECKING:
    from kb.index import Index  # the supervisor has no numpy

logger = logging.getLogger(__name__)

MAX_DISK_BYTES = 2 * 1024**3
ASK_SECONDS = 2.0
TIDY_SECONDS = 60.0
IN_USE_SECONDS = 120.0
"""A base that no call has touched for this long is not asked about."""
FETCH_SECONDS = 120.0
_ASKED_AT_ONCE = 1000
_VERSIONS: TypeAdapter[tuple[KnowledgeVersion, ...]] = TypeAdapter(tuple[KnowledgeVersion, ...])


class KnowledgeCache:
    """Index files of this machine, shared by its processes; and what is the newest version of each."""

    def __init__(self, folder: Path, api_url: str, internal_key: str) -> None:
        self._folder = folder
        self._api_url = api_url
        self._headers = {"X-Internal-Key": internal_key}
        self._files = IndexFiles(folder, MAX_DISK_BYTES)

    async def open(self, wanted: KnowledgeVersion) -> "Index":
        """The index of this version, mapped. Raises `IndexGone`."""
        return await self._files.open(
            wanted.base_id, wanted.version, wanted.digest, lambda: self._chunks(wanted)
        )

    async def fetch(self, wanted: KnowledgeVersion) -> None:
        """Have it on the disk. Raises `IndexGone`."""
        await self._files.fetch(wanted.base_id, wanted.version, wanted.digest, lambda: self._chunks(wanted))

    async def _chunks(self, wanted: KnowledgeVersion) -> AsyncIterator[bytes]:
        timeout = aiohttp.ClientTimeout(total=FETCH_SECONDS, sock_connect=5.0)
        url = f"{self._api_url}/internal/knowledge/{wanted.base_id}/{wanted.version}"
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout, headers=self._headers) as http,
                http.get(url) as response,
            ):
                if response.status != 200:
                    raise IndexGone
                async for chunk in response.content.iter_chunked(256 * 1024):
                    yield chunk
        except (aiohttp.ClientError, TimeoutError) as error:
            raise IndexGone from error

    # ── the newest version of each base in use, told through files ───────────────────────────────
    def use(self, wanted: KnowledgeVersion) -> None:
        """A call uses this base: newer versions of it are wanted here."""
        path = self._current(wanted.base_id)
        with contextlib.suppress(OSError):
            if (known := self.current(wanted.base_id)) is None or known.version < wanted.version:
                self.tell(wanted)
            else:
                os.utime(path)

    def tell(self, newest: KnowledgeVersion) -> None:
        """This is the newest version, for every call on this machine."""
        path = self._current(newest.base_id)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}.part")
        part.write_text(newest.model_dump_json(), "utf-8")
        part.replace(path)

    def current(self, base_id: str) -> KnowledgeVersion | None:
        """The newest version that this machine has heard of."""
        try:
            return KnowledgeVersion.model_validate_json(self._current(base_id).read_text("utf-8"))
        except (OSError, ValidationError):
            return None

    def in_use(self) -> list[KnowledgeVersion]:
        """Bases that calls used lately."""
        found = []
        for path in self._folder.glob("*.current"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime < IN_USE_SECONDS:
                    known = self.current(path.stem)
                    if known is not None and not known.is_gone:
                        found.append(known)
        return found

    def forget(self, base_id: str) -> None:
        """Its owner deleted it: no file of it stays here."""
        self._files.forget(base_id)

    def held(self) -> set[str]:
        """Bases of which anything lies here, in use or not."""
        return self._files.bases() | {path.stem for path in self._folder.glob("*.current")}

    def tidy(self, bases: Collection[str], newest: Mapping[str, int]) -> None:
        """Of these bases, leave nothing older than the newest version, and nothing of one that is gone."""
        self._files.tidy(bases, newest)
        for base_id in set(bases) - newest.keys():
            path = self._current(base_id)
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > IN_USE_SECONDS:  # a call would not hear of it
                    path.unlink()

    def _current(self, base_id: str) -> Path:
        return self._files.path(base_id, 0).with_name(f"{base_id}.current")


class KnowledgeKeeper:
    """Keeps what calls use up to date, for the whole machine."""

    def __init__(self, cache: KnowledgeCache, api_url: str, http: aiohttp.ClientSession) -> None:
        """`http` carries the internal key."""
        self._cache, self._http = cache, http
        self._url = f"{api_url}/internal/knowledge/versions"

    async def run(self) -> None:
        """Ask the api every two seconds, as long as calls use anything."""
        tidied_at = -TIDY_SECONDS
        while True:
            await asyncio.sleep(ASK_SECONDS)
            try:
                await self.look()
                if time.monotonic() - tidied_at >= TIDY_SECONDS:
                    tidied_at = time.monotonic()
                    await self.tidy()
            except (aiohttp.ClientError, TimeoutError, ValidationError, OSError) as error:
                logger.info("newer knowledge was not asked for", extra={"error": type(error).__name__})

    async def look(self) -> None:
        """Ask once, and fetch what is newer."""
        used = (await asyncio.to_thread(self._cache.in_use))[:_ASKED_AT_ONCE]
        if not used:
            return
        told = await self._told([known.base_id for known in used])
        for known in used:
            newest = told.get(known.base_id)
            if newest is None:
                self._cache.forget(known.base_id)
                self._cache.tell(KnowledgeVersion(base_id=known.base_id, version=known.version, is_gone=True))
            elif newest.version > known.version:
                try:
                    await self._cache.fetch(newest)
                except IndexGone:
                    continue  # not to be had now; asked again in two seconds
                self._cache.tell(newest)

    async def tidy(self) -> None:
        """Remove what lies here of bases that are gone, and of versions that are not the newest any more.

        Also of those that no call uses: what an owner deletes does not wait on a disk for the next call.
        """
        held = sorted(await asyncio.to_thread(self._cache.held))
        for start in range(0, len(held), _ASKED_AT_ONCE):
            some = held[start : start + _ASKED_AT_ONCE]
            told = await self._told(some)
            newest = {base_id: known.version for base_id, known in told.items()}
            await asyncio.to_thread(self._cache.tidy, some, newest)

    async def _told(self, base_ids: list[str]) -> dict[str, KnowledgeVersion]:
        wanted = KnowledgeWanted(base_ids=base_ids)
        timeout = aiohttp.ClientTimeout(total=5.0)
        async with self._http.post(self._url, json=wanted.model_dump(), timeout=timeout) as response:
            response.raise_for_status()
            return {each.base_id: each for each in _VERSIONS.validate_json(await response.read())}


def cache_of(settings: WorkerSettings) -> KnowledgeCache:
    """This machine's cache."""
    folder = settings.home / "knowledge-cache" / "calls"
    return KnowledgeCache(folder, settings.api_url, settings.internal_key)
