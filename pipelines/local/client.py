"""The models process, as a call asks it."""

import asyncio
import itertools
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kb.embeddings import MiniLmEmbedder
from pipelines.local.wire import (
    ERRORS,
    DeadlinePassed,
    Frame,
    GarbledFrame,
    Heard,
    ModelFailed,
    ModelsGone,
    Urgency,
    read_frame,
)

_RECONNECT_SECONDS = 0.05
_GRACE_SECONDS = 0.25
_MAX_WAITING_REPLIES = 4096


@dataclass
class _Connection:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    waiting: dict[int, asyncio.Queue[Frame | None]] = field(default_factory=dict)
    writing: asyncio.Lock = field(default_factory=asyncio.Lock)
    pump: asyncio.Task[None] | None = None
    is_gone: bool = False

    async def run(self) -> None:
        try:
            while (frame := await read_frame(self.reader)) is not None:
                if (queue := self.waiting.get(frame.header["id"])) is not None:
                    if queue.full():
                        break
                    queue.put_nowait(frame)
        except (GarbledFrame, OSError):
            pass
        finally:
            self.is_gone = True
            for queue in self.waiting.values():
                if queue.full():
                    queue.get_nowait()
                queue.put_nowait(None)
            self.writer.close()

    async def send(self, frame: Frame) -> None:
        data = frame.encode()
        async with self.writing:
            if self.is_gone:
                raise ModelsGone
            try:
                self.writer.write(data)
                await self.writer.drain()
            except OSError as error:
                self.is_gone = True
                raise ModelsGone from error

    def abandon(self, request_id: int) -> None:
        self.waiting.pop(request_id, None)
        if not self.is_gone and not self.writer.is_closing():
            self.writer.write(Frame({"id": request_id, "op": "cancel"}).encode())


class ModelsClient:
    """Asks the models process; one for each event loop.

    Connects when first asked and again after a loss. A request that was lost with the process before
    its first answer is asked once more, within its own deadline. Cancelling the task that waits
    cancels the request there. At most `max_in_flight` requests are under way; more wait here.
    """

    def __init__(self, path: Path, *, max_in_flight: int = 32) -> None:
        self._path = path
        self._slots = asyncio.Semaphore(max_in_flight)
        self._ids = itertools.count(1)
        self._connecting = asyncio.Lock()
        self._connection: _Connection | None = None
        self._is_closed = False

    async def transcribe(
        self,
        pcm: bytes | NDArray[np.int16],
        *,
        sample_rate: int = 16000,
        language: str | None = None,
        urgency: Urgency = "now",
        timeout: float = 8.0,
    ) -> Heard:
        """The words in int16 mono PCM, at most two minutes of it.

        Without `language` it is detected; of several (`en,de`), it is one of them.
        """
        header = {"op": "transcribe", "sample_rate": sample_rate, "language": language, "urgency": urgency}
        payload = pcm if isinstance(pcm, bytes) else np.ascontiguousarray(pcm, np.int16).tobytes()
        reply = await self._ask(header, payload, timeout)
        return Heard(
            text=str(reply.header["text"]),
            language=str(reply.header["language"]),
            confidence=float(reply.header["confidence"]),
            reasons=tuple(reply.header.get("reasons", ())),
            model_seconds=float(reply.header.get("model_seconds", 0.0)),
        )

    async def synthesize(
        self, text: str, *, speed: float = 1.0, timeout: float = 8.0
    ) -> AsyncGenerator[tuple[int, bytes], None]:
        """Sound for English text: (sample rate, int16 mono PCM), a clause or a sentence at a time.

        `timeout` is for the whole text. Close the generator to stop it early.
        """
        header = {"op": "synthesize", "text": text, "speed": speed}
        async with aclosing(self._stream(header, b"", timeout)) as replies:
            async for reply in replies:
                if reply.header["status"] == "chunk":
                    yield int(reply.header["sample_rate"]), reply.payload

    async def embed(
        self,
        texts: Sequence[str],
        *,
        space: str = MiniLmEmbedder.space,
        urgency: Urgency = "now",
        timeout: float = 2.0,
    ) -> NDArray[np.float32]:
        """One normalised float32 row for each text, in the space of the model that it names."""
        header = {"op": "embed", "texts": list(texts), "space": space, "urgency": urgency}
        reply = await self._ask(header, b"", timeout)
        rows, columns = reply.header["shape"]
        return np.frombuffer(reply.payload, np.float32).reshape(rows, columns)

    async def health(self, *, timeout: float = 1.0) -> dict[str, Any]:
        """Which models are ready, loading or missing and why, their queues, and the memory they take."""
        return (await self._ask({"op": "health"}, b"", timeout)).header

    async def aclose(self) -> None:
        """Drop the connection for good; what is under way fails with `ModelsGone`, and so does the rest."""
        self._is_closed = True
        if (connection := self._connection) is not None and connection.pump is not None:
            self._connection = None
            connection.pump.cancel()
            await asyncio.gather(connection.pump, return_exceptions=True)

    # ── one request ──
    async def _ask(self, header: dict[str, Any], payload: bytes, timeout: float) -> Frame:
        async with aclosing(self._stream(header, payload, timeout)) as replies:
            async for reply in replies:
                return reply
        raise ModelFailed

    async def _stream(
        self, header: dict[str, Any], payload: bytes, timeout: float
    ) -> AsyncGenerator[Frame, None]:
        deadline = time.monotonic() + timeout
        async with _before(deadline):
            await self._slots.acquire()
        try:
            for is_last_try in (False, True):
                has_answered = False
                try:
                    async with aclosing(self._attempt(header, payload, deadline)) as replies:
                        async for reply in replies:
                            has_answered = True
                            yield reply
                except ModelsGone:
                    if is_last_try or has_answered:
                        raise
                else:
                    return
        finally:
            self._slots.release()

    async def _attempt(
        self, header: dict[str, Any], payload: bytes, deadline: float
    ) -> AsyncGenerator[Frame, None]:
        async with _before(deadline):
            connection = await self._connected(deadline)
        request_id = next(self._ids)
        queue: asyncio.Queue[Frame | None] = asyncio.Queue(_MAX_WAITING_REPLIES)
        connection.waiting[request_id] = queue
        is_over = False
        try:
            deadline_ms = max(1, round((deadline - time.monotonic()) * 1000))
            request = Frame({"id": request_id, "deadline_ms": deadline_ms, **header}, payload)
            async with _before(deadline):
                await connection.send(request)
            while True:
                if connection.is_gone and queue.empty():
                    is_over = True
                    raise ModelsGone
                async with _before(deadline):
                    frame = await queue.get()
                if frame is None:
                    is_over = True
                    raise ModelsGone
                status = frame.header.get("status")
                if status == "error":
                    is_over = True
                    error = ERRORS.get(str(frame.header.get("code")), ModelFailed)
                    raise error(str(frame.header.get("message", "")))
                is_over = status == "done"
                yield frame
                if is_over:
                    return
        finally:
            connection.waiting.pop(request_id, None)
            if not is_over:
                connection.abandon(request_id)

    async def _connected(self, deadline: float) -> _Connection:
        """The connection, made anew if need be; waits for a process that is being restarted."""
        async with self._connecting:
            if self._connection is not None and not self._connection.is_gone:
                return self._connection
            while not self._is_closed:
                try:
                    reader, writer = await asyncio.open_unix_connection(str(self._path))
                except OSError as error:
                    if time.monotonic() + _RECONNECT_SECONDS >= deadline:
                        raise ModelsGone from error
                    await asyncio.sleep(_RECONNECT_SECONDS)
                else:
                    connection = _Connection(reader, writer)
                    connection.pump = asyncio.create_task(connection.run(), name="models connection")
                    self._connection = connection
                    return connection
            raise ModelsGone


@asynccontextmanager
async def _before(deadline: float) -> AsyncGenerator[None, None]:
    """Raise `DeadlinePassed` a little after the deadline: the process's own answer should come first.

    Never around a `yield`: it would cancel whoever reads the generator.
    """
    try:
        async with asyncio.timeout(deadline - time.monotonic() + _GRACE_SECONDS):
            yield
    except TimeoutError as error:
        raise DeadlinePassed from error
