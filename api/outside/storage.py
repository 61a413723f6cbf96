"""Storage: where recordings and documents lie. A folder, or a bucket (`api.outside.bucket`)."""

import asyncio
import contextlib
import os
import re
import time
import uuid
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path
from typing import BinaryIO, Protocol

_NAME = re.compile(r"[A-Za-z0-9_-]{1,80}\.[a-z0-9]{1,8}")
READ_BYTES = 256 * 1024


class TooLarge(Exception):
    """More bytes than this place takes"""


class StorageUnavailable(Exception):
    """What keeps files does not answer, or not as it should"""


class Storage(Protocol):
    """Named blobs. Names are `letters_digits-dashes.ext`, so that they are safe as file names and keys."""

    async def put(self, name: str, chunks: AsyncIterable[bytes], max_bytes: int) -> int:
        """Store everything or nothing; returns the size. A name in use is replaced.

        Raises `TooLarge` as soon as `max_bytes` is passed.
        """

    async def size(self, name: str) -> int | None:
        """Bytes stored under this name, None for nothing."""

    def read(self, name: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        """Bytes from `start` on, `length` of them at most."""

    async def delete(self, name: str) -> None:
        """Forget it; nothing there is fine."""

    async def names(self, prefix: str, older_than_seconds: float = 0.0) -> list[str]:
        """Names that begin like this, of blobs at least that old."""

    async def forget_unfinished(self, older_than_seconds: float) -> int:
        """Remove what uploads left behind whose process died; returns how many."""


class FolderStorage:
    """Blobs as files of one folder: written beside, made durable, then renamed into place."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, name: str) -> Path:
        return self._folder / checked(name)

    async def put(self, name: str, chunks: AsyncIterable[bytes], max_bytes: int) -> int:
        path = self._path(name)
        part = self._folder / part_name(name)
        size = 0
        file = await asyncio.to_thread(create, part)
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise TooLarge
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(_seal, file, part, path)
        except BaseException:
            await asyncio.to_thread(discard, file, part)
            raise
        return size

    async def size(self, name: str) -> int | None:
        try:
            return (await asyncio.to_thread(self._path(name).stat)).st_size
        except FileNotFoundError:
            return None

    async def read(self, name: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(_open_at, self._path(name), start)
        try:
            left = length
            while left is None or left > 0:
                wanted = READ_BYTES if left is None else min(left, READ_BYTES)
                chunk = await asyncio.to_thread(file.read, wanted)
                if not chunk:
                    return
                if left is not None:
                    left -= len(chunk)
                yield chunk
        finally:
            file.close()

    async def delete(self, name: str) -> None:
        path = self._path(name)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def names(self, prefix: str, older_than_seconds: float = 0.0) -> list[str]:
        return await asyncio.to_thread(_names, self._folder, prefix, time.time() - older_than_seconds)

    async def forget_unfinished(self, older_than_seconds: float) -> int:
        return await asyncio.to_thread(_sweep, self._folder, time.time() - older_than_seconds)


def is_name(name: str) -> bool:
    """True for what may be a blob's name."""
    return _NAME.fullmatch(name) is not None


def checked(name: str) -> str:
    """The name, where it is one."""
    if not is_name(name):
        raise ValueError(f"not a name for a blob: {name!r}")
    return name


def part_name(name: str) -> str:
    """The file that a blob is written into until it is whole.

    Each has one of its own: two uploads of one name (a worker that tries again) must not share it.
    """
    return f".{name}.{uuid.uuid4().hex}.part"


def _names(folder: Path, prefix: str, before: float) -> list[str]:
    found = []
    with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(prefix) and _NAME.fullmatch(entry.name):
                with contextlib.suppress(FileNotFoundError):
                    if entry.stat().st_mtime <= before:
                        found.append(entry.name)
    return found


def _sweep(folder: Path, before: float) -> int:
    count = 0
    for part in folder.glob(".*.part"):
        with contextlib.suppress(FileNotFoundError):  # it was finished, or swept by another process
            if part.stat().st_mtime < before:
                part.unlink()
                count += 1
    return count


def create(part: Path) -> BinaryIO:
    """A new file for its owner alone."""
    part.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    return os.fdopen(descriptor, "wb")


def _open_at(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file


def _seal(file: BinaryIO, part: Path, path: Path) -> None:
    file.flush()
    os.fsync(file.fileno())
    file.close()
    part.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def discard(file: BinaryIO, part: Path) -> None:
    """Close it and remove it."""
    with contextlib.suppress(OSError):
        file.close()
    part.unlink(missing_ok=True)
