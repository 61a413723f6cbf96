"""Storage in a bucket that speaks S3: several api processes on several machines share it.

A file is taken down here first and sent when it is whole: an upload that is too large, stalls or ends
early has then left nothing in the bucket, and no parts that somebody pays for.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from api.buckets import Bucket
from api.outside import storage
from pipelines.environment import SettingsError

CONNECT, SILENCE, LONGEST = timedelta(seconds=5), timedelta(seconds=30), timedelta(hours=1)
"""To be reached; without a byte; for one request, as a slow listener may make a download last."""
RETRIES, RETRIED = 4, timedelta(seconds=20)
SOONEST, LATEST = timedelta(milliseconds=100), timedelta(seconds=1)
PART_BYTES = 8 * 1024 * 1024
PARTS_AT_ONCE = 2
"""So an upload needs 16 MB of memory, however large it is."""
_LISTED = 1000


class BucketStorage:
    """Blobs as objects below one prefix."""

    def __init__(self, bucket: Bucket, kind: str, folder: Path) -> None:
        """`kind` is the last part of the prefix; `folder` is where files are until they are whole."""
        try:
            from obstore.exceptions import BaseError  # noqa: PLC0415 - only where there is a bucket
            from obstore.store import S3Store  # noqa: PLC0415
        except ImportError as error:
            raise SettingsError("CALL2ME_STORAGE needs the extra `s3`: pip install obstore.") from error
        self._errors = BaseError
        named: dict[str, Any] = {
            "access_key_id": bucket.key_id,
            "secret_access_key": bucket.secret,
            "session_token": bucket.token,
            "endpoint": bucket.endpoint,
        }
        self._store = S3Store(
            bucket.name,
            prefix=f"{bucket.prefix}/{kind}".strip("/"),
            region=bucket.region,
            client_options={
                "allow_http": bucket.endpoint.startswith("http://"),
                "connect_timeout": CONNECT,
                "read_timeout": SILENCE,
                "timeout": LONGEST,
            },
            retry_config={
                "max_retries": RETRIES,
                "retry_timeout": RETRIED,
                "backoff": {"init_backoff": SOONEST, "max_backoff": LATEST, "base": 2},
            },
            **{name: value for name, value in named.items() if value},
        )
        self._folder = folder

    async def why_not(self) -> str:
        """Empty where it can be read; else what is wrong, for `/ready`."""
        try:
            async with asyncio.timeout(5):
                async for _ in self._store.list(chunk_size=1):
                    break
        except TimeoutError:
            return "the bucket does not answer"
        except self._errors as error:
            return f"the bucket cannot be read ({type(error).__name__})"
        return ""

    async def put(self, name: str, chunks: AsyncIterable[bytes], max_bytes: int) -> int:
        part = self._folder / storage.part_name(storage.checked(name))
        size = 0
        file = await asyncio.to_thread(storage.create, part)
        try:
            async for chunk in chunks:
                size += len(chunk)
                if size > max_bytes:
                    raise storage.TooLarge
                await asyncio.to_thread(file.write, chunk)
            await asyncio.to_thread(file.close)
            with self._telling():
                await self._store.put_async(name, part, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)
        finally:
            await asyncio.to_thread(storage.discard, file, part)
        return size

    async def size(self, name: str) -> int | None:
        try:
            with self._telling():
                return (await self._store.head_async(storage.checked(name)))["size"]
        except FileNotFoundError:
            return None

    async def read(self, name: str, start: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        options: dict[str, Any] = {}
        if start or length is not None:
            # S3 refuses a range that begins at the end or beyond it, where a file has just nothing there.
            if (size := await self.size(name)) is None:
                raise FileNotFoundError(name)
            end = size if length is None else min(size, start + length)
            if start >= end:
                return
            options["range"] = (start, end)
        with self._telling():
            found = await self._store.get_async(storage.checked(name), options=options)  # type: ignore[arg-type]
            async for chunk in found.stream(min_chunk_size=storage.READ_BYTES):
                yield bytes(chunk)

    async def delete(self, name: str) -> None:
        try:
            with self._telling():
                await self._store.delete_async(storage.checked(name))
        except FileNotFoundError:
            pass

    async def names(self, prefix: str, older_than_seconds: float = 0.0) -> list[str]:
        before = datetime.now(UTC) - timedelta(seconds=older_than_seconds)
        found: list[str] = []
        with self._telling():
            # Objects are listed in the order of their names, so those wanted follow each other.
            async for listed in self._store.list(offset=prefix or None, chunk_size=_LISTED):
                for one in listed:
                    name = one["path"].rsplit("/", 1)[-1]
                    if not name.startswith(prefix):
                        return found
                    if one["last_modified"] <= before and storage.is_name(name):
                        found.append(name)
        return found

    async def forget_unfinished(self, older_than_seconds: float) -> int:
        return await storage.FolderStorage(self._folder).forget_unfinished(older_than_seconds)

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise storage.StorageUnavailable(type(error).__name__) from error
