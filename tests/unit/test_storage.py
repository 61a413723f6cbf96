"""Blobs in a folder: everything or nothing."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from api.outside.storage import FolderStorage, TooLarge


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    """Bytes as a request brings them."""
    for part in parts:
        yield part


async def broken() -> AsyncIterator[bytes]:
    """A request whose client goes away."""
    yield b"half"
    raise ConnectionResetError


@pytest.fixture
def storage(tmp_path: Path) -> FolderStorage:
    """A storage in an empty folder."""
    return FolderStorage(tmp_path / "blobs")


async def read(storage: FolderStorage, name: str, start: int = 0, length: int | None = None) -> bytes:
    """All of what is asked for."""
    return b"".join([chunk async for chunk in storage.read(name, start, length)])


async def test_what_was_put_is_read(storage: FolderStorage) -> None:
    assert await storage.put("a.ogg", chunks(b"one ", b"two"), 100) == 7
    assert await storage.size("a.ogg") == 7
    assert await read(storage, "a.ogg") == b"one two"
    assert await read(storage, "a.ogg", 4) == b"two"
    assert await read(storage, "a.ogg", 1, 2) == b"ne"
    await storage.delete("a.ogg")
    await storage.delete("a.ogg")
    assert await storage.size("a.ogg") is None


@pytest.mark.parametrize("source", [broken(), chunks(b"x" * 60, b"x" * 60)])
async def test_a_put_that_fails_leaves_what_was_there(
    storage: FolderStorage, tmp_path: Path, source: AsyncIterator[bytes]
) -> None:
    await storage.put("a.ogg", chunks(b"before"), 100)
    with pytest.raises((ConnectionResetError, TooLarge)):
        await storage.put("a.ogg", source, 100)
    assert await read(storage, "a.ogg") == b"before"
    assert [path.name for path in (tmp_path / "blobs").iterdir()] == ["a.ogg"]


@pytest.mark.parametrize("name", ["../a.ogg", "a", "/etc/passwd", "a.ogg/b.ogg", "", "a\n.ogg"])
async def test_a_name_stays_in_the_folder(storage: FolderStorage, name: str) -> None:
    with pytest.raises(ValueError, match="not a name"):
        await storage.put(name, chunks(b"x"), 10)


def test_what_a_dead_process_left_of_an_upload_is_forgotten_in_time(tmp_path: Path) -> None:
    storage = FolderStorage(tmp_path)
    old, young = tmp_path / ".call_1.ogg.aa.part", tmp_path / ".call_2.ogg.bb.part"
    for part in (old, young, tmp_path / "call_3.ogg"):
        part.write_bytes(b"OggS")
    for name in (old.name, "call_3.ogg"):
        os.utime(tmp_path / name, (0, 0))
    assert asyncio.run(storage.forget_unfinished(3600)) == 1
    assert {path.name for path in tmp_path.iterdir()} == {young.name, "call_3.ogg"}
