"""The recordings of several attempts at a call, as one.

A call that kept its process has one recording, stored as it came. Of a call that went on in another, each
attempt's is kept as a part, and all of them joined anew whenever one more comes: in whatever order they
come, and however often, the last joining has them all.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterable, AsyncIterator
from pathlib import Path

from api.calls.recordings import MAX_BYTES, blob_name
from api.outside.storage import Storage
from pipelines import ogg

_CHUNK = 256 * 1024


async def keep_part(
    storage: Storage, call_id: str, attempt: int, newest: int, chunks: AsyncIterable[bytes]
) -> tuple[int, int]:
    """Store one attempt's recording and join it with the others; the size and milliseconds of the whole."""
    if not await _parts(storage, call_id, newest) and await storage.size(blob_name(call_id)) is not None:
        # The first attempt's, which came when there was no other.
        await storage.put(_part(call_id, 1), storage.read(blob_name(call_id)), MAX_BYTES)
    await storage.put(_part(call_id, attempt), chunks, MAX_BYTES)
    while True:
        parts = await _parts(storage, call_id, newest)
        size, milliseconds = await _join(storage, call_id, parts)
        if parts == await _parts(storage, call_id, newest):
            return size, milliseconds


def _part(call_id: str, attempt: int) -> str:
    return f"{call_id}-{attempt}.ogg"


async def _parts(storage: Storage, call_id: str, newest: int) -> list[str]:
    names = [_part(call_id, attempt) for attempt in range(1, newest + 1)]
    return [name for name in names if await storage.size(name) is not None]


async def _join(storage: Storage, call_id: str, parts: list[str]) -> tuple[int, int]:
    with tempfile.TemporaryDirectory(prefix="call2me-") as folder:
        copies = []
        for part in parts:
            copies.append(copy := Path(folder) / part)
            with copy.open("wb") as file:
                async for chunk in storage.read(part):
                    await asyncio.to_thread(file.write, chunk)
        joined = Path(folder) / "joined"
        milliseconds = await asyncio.to_thread(ogg.join, copies, joined)
        if milliseconds == 0:
            return await storage.put(blob_name(call_id), storage.read(parts[-1]), MAX_BYTES), 0
        return await storage.put(blob_name(call_id), _chunks(joined), len(parts) * MAX_BYTES), milliseconds


async def _chunks(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while chunk := await asyncio.to_thread(file.read, _CHUNK):
            yield chunk
