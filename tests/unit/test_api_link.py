"""The worker's WebSocket to the api."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import pytest

from pipelines.contract.websocket import HangUp, Hello, Status
from tests.support.fake_api import KEY, FakeApi
from tests.support.worker_host import until
from worker.api_link import ApiLink


@dataclass
class Linked:
    link: ApiLink
    orders: list[HangUp]
    status: Status = field(default_factory=lambda: Status(is_ready=False))


@asynccontextmanager
async def linked(api: FakeApi, key: str = KEY) -> AsyncIterator[Linked]:
    orders: list[HangUp] = []
    async with aiohttp.ClientSession(headers={"X-Internal-Key": key}) as http:
        link = ApiLink(
            api.url,
            http,
            hello=lambda: Hello(worker_id="worker-1", version="1"),
            status=lambda: found.status,
            on_hang_up=orders.append,
        )
        found = Linked(link, orders)
        running = asyncio.create_task(link.run())
        try:
            yield found
            assert not running.done() or api.goodbyes
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_a_change_is_told_at_once() -> None:
    async with FakeApi().up() as api, linked(api) as worker:
        await until(lambda: len(api.statuses) == 1)
        worker.status = Status(is_ready=True)
        worker.link.changed()
        await until(lambda: api.statuses[-1].is_ready, 0.5)


async def test_nothing_new_is_told_each_second() -> None:
    async with FakeApi().up() as api, linked(api):
        await asyncio.sleep(2.3)
        assert len(api.statuses) == 3


async def test_frames_that_are_no_orders_are_passed_over() -> None:
    async with FakeApi().up() as api, linked(api) as worker:
        await until(lambda: api.statuses)
        for frame in ("", "{", "[]", '{"kind": "dance"}', '{"kind": "hang_up"}'):
            await api.sockets[-1].send_str(frame)
        await api.sockets[-1].send_bytes(b"\x00\x01")
        await api.order(HangUp(call_id="call_1", reason="ended by its owner"))
        await until(lambda: worker.orders)
        assert [order.call_id for order in worker.orders] == ["call_1"]
        assert len(api.sockets) == 1


async def test_a_link_that_breaks_is_made_again_within_a_second() -> None:
    async with FakeApi().up() as api, linked(api) as worker:
        for number in range(1, 4):
            await until(lambda number=number: len(api.hellos) == number and worker.link.is_connected, 1)  # type: ignore[misc]
            transport = api.sockets[-1]._req.transport  # type: ignore[union-attr]
            assert transport is not None
            transport.abort()


async def test_a_link_that_breaks_each_time_is_tried_less_and_less_often() -> None:
    async with FakeApi().up() as api, linked(api) as worker:
        ends = asyncio.get_running_loop().time() + 2.0
        while asyncio.get_running_loop().time() < ends:
            if worker.link.is_connected and (transport := api.sockets[-1]._req.transport) is not None:  # type: ignore[union-attr]
                transport.abort()
            await asyncio.sleep(0.005)
        assert 2 <= len(api.hellos) <= 8, len(api.hellos)


async def test_a_wrong_key_is_said_once_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    async with FakeApi().up() as api, linked(api, key="wrong"):
        await until(lambda: api.requests >= 3)
    said = [record for record in caplog.records if record.name == "worker.api_link"]
    assert [record.why for record in said] == ["status 401"]  # type: ignore[attr-defined]


async def test_after_a_goodbye_the_link_stays_closed() -> None:
    async with FakeApi().up() as api, linked(api) as worker:
        await until(lambda: api.statuses)
        await worker.link.say_goodbye()
        await asyncio.sleep(0.5)
        assert api.goodbyes == 1
        assert len(api.hellos) == 1


async def test_what_changed_is_said_in_a_new_hello_on_the_same_link() -> None:
    async with FakeApi().up() as api, linked(api) as worker:
        await until(lambda: api.statuses)
        worker.link.introduce_again()
        await until(lambda: len(api.hellos) == 2, 1)
        assert worker.link.is_connected
