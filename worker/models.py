"""The models process: local speech models once for the machine, asked over a Unix socket.

            connection ──┐              ┌─ transcribe lane ─ Whisper     threads, bounded queue
            connection ──┼─ event loop ─┼─ synthesize lane ─ hibari
            connection ──┘              ├─ embed lane ────── MiniLM
                                        └─ embed_e5 lane ─── e5, loaded when first asked

What is asked and answered stands in docs/architecture.md. A client that goes away cancels all it
asked for; when this process dies its clients connect to the next one and ask once more.
"""

import asyncio
import logging
import os
import signal
import socket
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from kb.embeddings import E5Embedder, MiniLmEmbedder
from pipelines.environment import SettingsError
from pipelines.local.engines import HibariEngine, WhisperEngine
from pipelines.local.wire import MAX_SOCKET_PATH_BYTES, BadRequest, Frame, GarbledFrame, Urgency, read_frame
from pipelines.processes import watch_life_pipe
from worker import model_loading as loading
from worker import model_requests as requests
from worker.lanes import Lane, Task
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

_MAX_UNREAD_BYTES = 32 << 20
_MAX_CONNECTIONS = 512
_M_ARENA_MAX: Final = -8
_TIDY_SECONDS = 20.0
_WEIGH_SECONDS = 5.0
_RELOOK_SECONDS = 0.1


@dataclass(frozen=True)
class ModelsOptions:
    """What the process needs to know. `whisper_model` as in CALL2ME_WHISPER_MODEL."""

    socket: Path
    models: Path
    whisper_model: str = ""
    threads: int = min(4, os.cpu_count() or 1)
    """For one transcription; the others need one each."""


class ModelsServer:
    """The lanes, and who is connected. `run` serves until it is cancelled."""

    def __init__(self, options: ModelsOptions) -> None:
        self._options = options
        transcribers = max(1, (os.cpu_count() or 1) // options.threads)
        self._whisper: Lane[WhisperEngine] = Lane(
            "transcribe",
            partial(
                loading.load_whisper, options.models, options.whisper_model, options.threads, transcribers
            ),
            threads=transcribers,
        )
        self._hibari: Lane[HibariEngine] = Lane("synthesize", partial(loading.load_hibari, options.models))
        self._minilm: Lane[MiniLmEmbedder] = Lane(
            "embed", partial(loading.load_minilm, options.models), bound=64
        )
        # Whoever has only English knowledge never needs it, so nobody pays for it before it is asked.
        self._e5: Lane[E5Embedder] = Lane(
            "embed_e5", partial(loading.load_e5, options.models), bound=64, is_lazy=True
        )
        self._embedders: dict[str, Lane[Any]] = {
            MiniLmEmbedder.space: self._minilm,
            E5Embedder.space: self._e5,
        }
        self._lanes: tuple[Lane[Any], ...] = (self._whisper, self._hibari, self._minilm, self._e5)
        self._connections: set[asyncio.Task[None]] = set()
        self._memory_bytes = 0
        self._weighed_at = -_WEIGH_SECONDS
        self._weighing: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Load all models at once, each in its lane, and answer meanwhile."""
        path = self._options.socket
        listening = _listen(path)
        for lane in self._lanes:
            lane.start()
        server = await asyncio.start_unix_server(self._connected, sock=listening)
        tidying = asyncio.create_task(self._tidy(), name="tidy")
        try:
            await server.serve_forever()
        finally:
            tidying.cancel()
            for lane in self._lanes:
                lane.close()
            for connection in list(self._connections):
                connection.cancel()
            with suppress(FileNotFoundError):
                path.unlink()

    def health(self) -> dict[str, Any]:
        """The reply to `health`. `ready` once every lane knows what it has; memory is some seconds old."""
        models = {lane.name: lane.health() for lane in self._lanes}
        return {
            "status": "done",
            "ready": all(model["state"] != "loading" for model in models.values()),
            "models": models,
            "memory_bytes": self._memory_bytes,
            "pid": os.getpid(),
        }

    def weigh(self) -> None:
        """Renew what `health` says of memory, in a thread: the kernel takes its time to count pages."""
        now = time.monotonic()
        if now >= self._weighed_at + _WEIGH_SECONDS:
            self._weighed_at = now
            self._weighing = asyncio.create_task(self._weigh(), name="weigh")

    async def _weigh(self) -> None:
        self._memory_bytes = await asyncio.to_thread(loading.memory_bytes)

    async def _tidy(self) -> None:
        """Give back what loading took, and now and then what the busiest moment took."""
        while any(lane.state == "loading" for lane in self._lanes):  # noqa: ASYNC110 - they load in threads
            await asyncio.sleep(_RELOOK_SECONDS)
        await asyncio.to_thread(loading.settle)
        done_before = 0
        while True:
            await asyncio.sleep(_TIDY_SECONDS)
            if (done := sum(lane.done for lane in self._lanes)) != done_before:
                done_before = done
                await asyncio.to_thread(loading.libc_call, "malloc_trim", 0)

    # ── connections ──
    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        current = asyncio.current_task()
        if current is None or len(self._connections) >= _MAX_CONNECTIONS:
            writer.close()
            return
        self._connections.add(current)
        connection = _Connection(self, writer)
        try:
            while (frame := await read_frame(reader)) is not None:
                connection.receive(frame)
        except GarbledFrame:
            logger.warning("a client sent what is no frame, its connection is closed")
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            connection.close()
            self._connections.discard(current)

    def submit(self, frame: Frame, task_of: "_Connection") -> tuple[Lane[Any], Task[Any]]:
        """Queue what a frame asks for. Raises `BadRequest`."""
        header = frame.header
        match header.get("op"):
            case "transcribe":
                lane: Lane[Any] = self._whisper
                work = requests.transcription(header, frame.payload)
            case "synthesize":
                lane, work = self._hibari, requests.synthesis(header)
            case "embed":
                work = requests.embedding(header)
                lane = self._embedder(header.get("space", MiniLmEmbedder.space))
            case _:
                raise BadRequest("There is no such operation")
        seconds = requests.number(header, "deadline_ms", 10_000, 1, 120_000) / 1000
        urgency: Urgency = header.get("urgency") or "now"
        if urgency not in ("now", "later", "if_idle"):
            raise BadRequest("There is no such urgency")
        task: Task[Any] = Task(work, task_of.answer_to(header["id"]), time.monotonic() + seconds, urgency)
        return lane, task

    def _embedder(self, space: Any) -> Lane[Any]:
        lane = self._embedders.get(space) if isinstance(space, str) else None
        if lane is None:
            raise BadRequest("There is no such space")
        return lane


class _Connection:
    def __init__(self, server: ModelsServer, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._writer = writer
        self._loop = asyncio.get_running_loop()
        self._under_way: dict[int, tuple[Lane[Any], Task[Any]]] = {}

    def receive(self, frame: Frame) -> None:
        request_id = frame.header["id"]
        match frame.header.get("op"):
            case "cancel":
                if (found := self._under_way.pop(request_id, None)) is not None:
                    found[0].cancel(found[1])
            case "health":
                self._send(request_id, self._server.health(), b"")
                self._server.weigh()
            case _ if request_id in self._under_way:
                raise GarbledFrame
            case _:
                try:
                    lane, task = self._server.submit(frame, self)
                except BadRequest as error:
                    refusal = {"status": "error", "code": "bad_request", "message": str(error)}
                    self._send(request_id, refusal, b"")
                else:
                    self._under_way[request_id] = (lane, task)
                    lane.submit(task)

    def answer_to(self, request_id: int) -> Any:
        """A function that lanes call from their threads."""

        def answer(header: Mapping[str, Any], payload: bytes) -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody is left to hear it
                self._loop.call_soon_threadsafe(self._send, request_id, header, payload)

        return answer

    def _send(self, request_id: int, header: Mapping[str, Any], payload: bytes) -> None:
        if header["status"] != "chunk":
            self._under_way.pop(request_id, None)
        if self._writer.is_closing():
            return
        self._writer.write(Frame({"id": request_id, **header}, payload).encode())
        if self._writer.transport.get_write_buffer_size() > _MAX_UNREAD_BYTES:
            logger.warning("a client does not read its answers, its connection is closed")
            self._writer.transport.abort()

    def close(self) -> None:
        for lane, task in self._under_way.values():
            lane.cancel(task)
        self._under_way.clear()
        self._writer.close()


# ── the process ──────────────────────────────────────────────────────────────────────────────────
def _listen(path: Path) -> socket.socket:
    """Our socket, readable by nobody else. One left behind by a dead process is removed."""
    if len(os.fsencode(path)) > MAX_SOCKET_PATH_BYTES:
        raise SettingsError(f"{path} is too long for the address of a socket: choose a shorter CALL2ME_HOME")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except FileNotFoundError:
            pass
        except OSError:
            path.unlink(missing_ok=True)
        else:
            raise SettingsError(f"Another models process already listens on {path}")
    listening = socket.socket(socket.AF_UNIX)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
    finally:
        os.umask(before)
    listening.listen(128)
    return listening


async def _serve(options: ModelsOptions) -> None:
    running = asyncio.ensure_future(ModelsServer(options).run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, running.cancel)
    with suppress(asyncio.CancelledError):
        await running


def serve(settings: WorkerSettings) -> None:
    """Run until SIGTERM, SIGINT or the end of the process that started this one; does not return."""
    watch_life_pipe()
    serve_models(ModelsOptions(settings.models_socket, settings.models, settings.whisper_model))


def serve_models(options: ModelsOptions) -> None:
    """The same, for options made by hand."""
    loading.prepare()
    # Each thread's own malloc arena would keep what that thread once needed; two cost nothing here.
    loading.libc_call("mallopt", _M_ARENA_MAX, 2)
    asyncio.run(_serve(options))
    # Threads inside a model cannot be stopped, only left.
    logging.shutdown()
    os._exit(0)
