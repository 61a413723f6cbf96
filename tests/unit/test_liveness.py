"""The socket on which calls say that they are alive."""

import asyncio
import os
import socket
import stat
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pipelines.contract.websocket import HangUp
from tests.support.worker_host import short_home, until
from worker import liveness as module
from worker.liveness import Liveness
from worker.presence import AgentsPresence, CallHere, CallPresence


@pytest.fixture
def path() -> Iterator[Path]:
    with short_home() as home:
        yield home / "run" / "calls.sock"


@asynccontextmanager
async def watching(path: Path) -> AsyncIterator[tuple[Liveness, list[CallHere]]]:
    lost: list[CallHere] = []
    liveness = Liveness(path, on_change=lambda: None, on_lost=lost.append)
    async with liveness.listening():
        yield liveness, lost


async def test_a_call_is_known_from_its_first_line_to_its_goodbye(path: Path) -> None:
    async with watching(path) as (liveness, lost):
        async with CallPresence(path, "call_1", "job_1") as presence:
            await until(lambda: "call_1" in liveness.calls)
            assert liveness.calls["call_1"].attempt == 0
            presence.has_attempt(2)
            await until(lambda: liveness.calls["call_1"].attempt == 2)
        await until(lambda: not liveness.calls)
        assert lost == []


async def test_a_call_that_breaks_says_no_goodbye(path: Path) -> None:
    async with watching(path) as (_, lost):
        with pytest.raises(ZeroDivisionError):
            async with CallPresence(path, "call_1", "job_1"):
                raise ZeroDivisionError
        await until(lambda: [here.call_id for here in lost] == ["call_1"])


async def test_an_order_reaches_its_call_once(path: Path) -> None:
    async with watching(path) as (liveness, _), CallPresence(path, "call_1") as presence:
        await until(lambda: "call_1" in liveness.calls)
        for _ in range(3):
            assert liveness.hang_up(HangUp(call_id="call_1", reason="ended by its owner"))
        order = await asyncio.wait_for(presence.orders.get(), 2)
        assert order.reason == "ended by its owner"
        await asyncio.sleep(0.05)
        assert presence.orders.empty()
        assert not liveness.hang_up(HangUp(call_id="call_2", reason="ended by its owner"))


async def test_a_call_begins_also_where_nobody_watches(path: Path) -> None:
    async with CallPresence(path, "call_1") as presence:
        presence.has_attempt(1)
        async with watching(path) as (liveness, _):
            await until(lambda: "call_1" in liveness.calls)
            assert liveness.calls["call_1"].attempt == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\xfe\n",
        b"{}\n",
        b"[]\n",
        b'{"kind": "call", "call_id": "../../etc", "pid": 1}\n',
        b'{"kind": "shutdown"}\n',
        b"x" * 100_000 + b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
    ],
)
async def test_what_is_not_understood_is_closed_and_harms_no_call(path: Path, sent: bytes) -> None:
    async with watching(path) as (liveness, lost), CallPresence(path, "call_1"):
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(sent)
        assert await asyncio.wait_for(_rest(reader), 2) == b""
        writer.close()
        await until(lambda: list(liveness.calls) == ["call_1"])
        assert lost == []


async def _rest(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.read()
    except ConnectionError:
        return b""


async def test_a_connection_that_says_nothing_is_closed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_LINE_SECONDS", 0.05)
    async with watching(path) as (_, lost):
        reader, writer = await asyncio.open_unix_connection(str(path))
        assert await asyncio.wait_for(reader.read(), 2) == b""
        writer.close()
        assert lost == []


async def test_the_socket_is_for_nobody_else_and_replaces_one_left_behind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))
    async with watching(path):
        found = os.stat(path)  # noqa: PTH116 - a file of a test
        assert stat.S_ISSOCK(found.st_mode)
        assert found.st_mode & 0o777 == 0o600
        async with CallPresence(path, "call_1"):
            pass


async def test_the_agent_server_is_as_it_last_said_and_unknown_once_gone(path: Path) -> None:
    said = (False, 0)
    async with watching(path) as (liveness, lost):
        assert liveness.agents == []
        async with AgentsPresence(path, lambda: (True, 1)):
            async with AgentsPresence(path, lambda: said):
                await until(lambda: len(liveness.agents) == 2)
                said = (True, 2)
                await until(lambda: all(one.is_registered for one in liveness.agents), 0.5)
                assert sorted(one.idle for one in liveness.agents) == [1, 2]
            await until(lambda: len(liveness.agents) == 1)
        await until(lambda: not liveness.agents)
        assert lost == []


async def test_an_agent_server_that_hangs_is_not_believed_for_long(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with watching(path) as (liveness, _), AgentsPresence(path, lambda: (True, 1)):
        await until(lambda: liveness.agents)
        monkeypatch.setattr(module, "STALE_SECONDS", 0.0)
        assert liveness.agents == []
