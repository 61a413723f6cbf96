"""The client of the models process, against a process that we script."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from pipelines.local.client import ModelsClient
from pipelines.local.wire import (
    BadRequest,
    DeadlinePassed,
    Frame,
    GarbledFrame,
    ModelBusy,
    ModelsGone,
    read_frame,
)

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def scripted(path: Path, behave: Behaviour) -> AsyncIterator[ModelsClient]:
    """A server that does what the test says, and a client of it."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await behave(reader, writer)
        writer.close()

    server = await asyncio.start_unix_server(serve, str(path))
    client = ModelsClient(path)
    try:
        yield client
    finally:
        await client.aclose()
        server.close()
        await server.wait_closed()


async def next_frame(reader: asyncio.StreamReader) -> Frame:
    frame = await read_frame(reader)
    assert frame is not None
    return frame


def heard(request: Frame, text: str) -> bytes:
    header = {"id": request.header["id"], "status": "done", "text": text, "language": "en", "confidence": 1}
    return Frame(header).encode()


async def test_many_requests_share_a_connection_and_answers_find_their_own(tmp_path: Path) -> None:
    async def backwards(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests = [await next_frame(reader) for _ in range(3)]
        for request in reversed(requests):
            writer.write(heard(request, request.payload.decode()))
        await reader.read()

    async with scripted(tmp_path / "s", backwards) as client:
        answers = await asyncio.gather(*(client.transcribe(word) for word in (b"aa", b"bb", b"cc")))
    assert [answer.text for answer in answers] == ["aa", "bb", "cc"]


async def test_a_lost_process_is_asked_again_once(tmp_path: Path) -> None:
    connections = 0

    async def die_once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        request = await next_frame(reader)
        if connections == 2:
            writer.write(heard(request, "again"))
            await reader.read()

    async with scripted(tmp_path / "s", die_once) as client:
        assert (await client.transcribe(b"")).text == "again"
    assert connections == 2


async def test_a_process_that_dies_again_is_gone(tmp_path: Path) -> None:
    async def die(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await next_frame(reader)

    async with scripted(tmp_path / "s", die) as client:
        with pytest.raises(ModelsGone):
            await client.transcribe(b"")


async def test_speech_that_has_begun_is_not_begun_again(tmp_path: Path) -> None:
    connections = 0

    async def die_while_speaking(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        request = await next_frame(reader)
        header = {"id": request.header["id"], "status": "chunk", "sample_rate": 24000}
        writer.write(Frame(header, b"ab").encode())

    async with scripted(tmp_path / "s", die_while_speaking) as client:
        speech = client.synthesize("hello")
        parts = [await anext(speech)]
        with pytest.raises(ModelsGone):
            await anext(speech)
    assert parts == [(24000, b"ab")]
    assert connections == 1


async def test_nobody_there_is_said_by_the_deadline(tmp_path: Path) -> None:
    client = ModelsClient(tmp_path / "nobody")
    started = time.monotonic()
    with pytest.raises(ModelsGone):
        await client.transcribe(b"", timeout=0.3)
    assert time.monotonic() - started < 1


async def test_a_process_that_is_just_starting_is_waited_for(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(heard(await next_frame(reader), "late"))
        await reader.read()

    client = ModelsClient(tmp_path / "s")
    asking = asyncio.create_task(client.transcribe(b"", timeout=5))
    await asyncio.sleep(0.2)
    async with scripted(tmp_path / "s", answer):
        assert (await asking).text == "late"
        await client.aclose()


async def test_silence_is_a_deadline(tmp_path: Path) -> None:
    async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(tmp_path / "s", say_nothing) as client:
        with pytest.raises(DeadlinePassed):
            await client.transcribe(b"", timeout=0.1)


async def test_cancelling_the_task_cancels_the_request(tmp_path: Path) -> None:
    cancelled: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def wait_for_cancel(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        request = await next_frame(reader)
        cancel = await next_frame(reader)
        assert cancel.header["op"] == "cancel"
        cancelled.set_result(cancel.header["id"] - request.header["id"])
        await reader.read()

    async with scripted(tmp_path / "s", wait_for_cancel) as client:
        asking = asyncio.create_task(client.transcribe(b"", timeout=5))
        await asyncio.sleep(0.05)
        asking.cancel()
        assert await asyncio.wait_for(cancelled, 1) == 0
        with pytest.raises(asyncio.CancelledError):
            await asking


async def test_errors_have_names(tmp_path: Path) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for code in ("busy", "bad_request"):
            request = await next_frame(reader)
            header = {"id": request.header["id"], "status": "error", "code": code, "message": "so it is"}
            writer.write(Frame(header).encode())
        await reader.read()

    async with scripted(tmp_path / "s", refuse) as client:
        with pytest.raises(ModelBusy, match="so it is"):
            await client.transcribe(b"")
        with pytest.raises(BadRequest, match="so it is"):
            await client.transcribe(b"")


async def test_a_server_that_talks_nonsense_is_a_lost_one(tmp_path: Path) -> None:
    async def babble(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n" * 10)
        await writer.drain()

    async with scripted(tmp_path / "s", babble) as client:
        with pytest.raises(ModelsGone):
            await client.transcribe(b"", timeout=2)


async def test_requests_beyond_the_bound_wait_here(tmp_path: Path) -> None:
    waiting: list[Frame] = []
    release = asyncio.Event()

    async def hold_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def answer() -> None:
            await release.wait()
            while True:
                while waiting:
                    writer.write(heard(waiting.pop(0), "ok"))
                await asyncio.sleep(0.01)

        answering = asyncio.create_task(answer())
        while (request := await read_frame(reader)) is not None:
            waiting.append(request)
        answering.cancel()

    async with scripted(tmp_path / "s", hold_back):
        client = ModelsClient(tmp_path / "s", max_in_flight=2)
        asking = [asyncio.create_task(client.transcribe(b"", timeout=5)) for _ in range(5)]
        await asyncio.sleep(0.1)
        assert len(waiting) == 2
        release.set()
        assert [(await task).text for task in asking] == ["ok"] * 5
        await client.aclose()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">II", 2**31, 0),
        struct.pack(">II", 2, 2**31) + b"{}",
        struct.pack(">II", 4, 0) + b"null",
        struct.pack(">II", 2, 0) + b"{}",
        struct.pack(">II", 12, 0) + b'{"id": "one"}'[:12],
        struct.pack(">II", 9, 0) + b'{"id": 1',
        struct.pack(">II", 3, 0) + b"\xff\xfe\xfd",
        struct.pack(">II", 20000, 0) + b"[" * 20000,
        b"abc",
    ],
)
async def test_what_is_no_frame_is_garbled(data: bytes) -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    with pytest.raises(GarbledFrame):
        await read_frame(reader)


async def test_the_end_between_frames_is_the_end() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(Frame({"id": 1}, b"xyz").encode())
    reader.feed_eof()
    assert await read_frame(reader) == Frame({"id": 1}, b"xyz")
    assert await read_frame(reader) is None
