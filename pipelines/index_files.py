"""Indexes of knowledge on this machine's disk: fetched by version, checked, mapped, and no more than fit."""

import asyncio
import contextlib
import hashlib
import os
import re
import uuid
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # Only where an index is really opened: the worker's supervisor has these files and no numpy.
    from kb.index import Index

_MAPPED = 32
_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}")

Chunks = Callable[[], AsyncIterator[bytes]]


class IndexGone(Exception):
    """This version of the index is not to be had, or not as it was made"""


class IndexFiles:
    """A folder of index files, the one unused for longest removed first. A mapped file may be removed."""

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._mapped: OrderedDict[tuple[str, int], Index] = OrderedDict()
        self._fetching: dict[tuple[str, int], asyncio.Lock] = {}

    def path(self, base_id: str, version: int) -> Path:
        """Where this version is, once it is here."""
        if not _NAME.fullmatch(base_id):
            raise IndexGone
        return self._folder / f"{base_id}-{version}.index"

    async def open(self, base_id: str, version: int, digest: str, chunks: Chunks) -> "Index":
        """The index, mapped; `chunks` is asked for its bytes where it is not here yet. Raises `IndexGone`."""
        key = base_id, version
        async with self._fetching.setdefault(key, asyncio.Lock()):
            try:
                if (index := self._mapped.get(key)) is None:
                    index = await self._load(key, digest, chunks)
            finally:
                self._fetching.pop(key, None)
        self._mapped[key] = index
        self._mapped.move_to_end(key)
        for other in [other for other in self._mapped if other[0] == base_id and other[1] < version]:
            del self._mapped[other]
        while len(self._mapped) > _MAPPED:
            self._mapped.popitem(last=False)
        return index

    async def fetch(self, base_id: str, version: int, digest: str, chunks: Chunks) -> Path:
        """Have a version on the disk, without mapping it."""
        path = self.path(base_id, version)
        if not await asyncio.to_thread(path.exists):
            await self._fetch(path, digest, chunks)
        return path

    def forget(self, base_id: str) -> None:
        """Remove every version of a base."""
        for key in [key for key in self._mapped if key[0] == base_id]:
            del self._mapped[key]
        for path in self._folder.glob(f"{base_id}-*.index"):
            path.unlink(missing_ok=True)

    def bases(self) -> set[str]:
        """Bases of which there is a file here."""
        return {path.stem.rpartition("-")[0] for path in self._folder.glob("*.index")}

    def tidy(self, bases: Collection[str], newest: Mapping[str, int]) -> None:
        """Of these bases, leave nothing older than the newest version; of one that has none, nothing at all.

        Files as well: an older version holds the text of sources that were deleted since.
        """
        for base_id in bases:
            if (version := newest.get(base_id)) is None:
                self.forget(base_id)
                continue
            for key in [key for key in self._mapped if key[0] == base_id and key[1] < version]:
                del self._mapped[key]
            for path in self._folder.glob(f"{base_id}-*.index"):
                held = path.stem.rpartition("-")[2]
                if not held.isdigit() or int(held) < version:
                    path.unlink(missing_ok=True)

    async def _load(self, key: tuple[str, int], digest: str, chunks: Chunks) -> "Index":
        from kb import index as indexes  # noqa: PLC0415

        path = self.path(*key)
        for is_last in (False, True):
            if not await asyncio.to_thread(path.exists):
                await self._fetch(path, digest, chunks)
            try:
                index = await asyncio.to_thread(indexes.load, path)
            except (OSError, indexes.BrokenIndex):
                # Removed by another process in this moment, or torn by a full disk: once more.
                await asyncio.to_thread(path.unlink, missing_ok=True)
                if is_last:
                    raise IndexGone from None
            else:
                with contextlib.suppress(OSError):
                    os.utime(path)
                return index
        raise IndexGone

    async def _fetch(self, path: Path, digest: str, chunks: Chunks) -> None:
        part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
        found = hashlib.sha256()
        try:
            await asyncio.to_thread(path.parent.mkdir, parents=True, exist_ok=True)
            with part.open("wb") as file:
                async for chunk in chunks():
                    found.update(chunk)
                    await asyncio.to_thread(file.write, chunk)
            if found.hexdigest() != digest:
                raise IndexGone
            part.replace(path)
        except OSError as error:
            raise IndexGone from error
        finally:
            part.unlink(missing_ok=True)
        await asyncio.to_thread(self._make_room, path)

    def _make_room(self, newest: Path) -> None:
        held: list[tuple[float, int, Path]] = []
        for path in self._folder.glob("*.index"):
            with contextlib.suppress(FileNotFoundError):
                about = path.stat()
                held.append((about.st_mtime, about.st_size, path))
        total = sum(size for _, size, _ in held)
        for _, size, path in sorted(held):
            if total <= self._max_bytes:
                return
            if path != newest:
                path.unlink(missing_ok=True)
                total -= size
