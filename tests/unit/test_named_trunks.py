"""Trunks that are known by a name: looked up beside the calls, and never this machine by their own word."""

import asyncio
import contextlib
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipelines.contract.phones import SipTrunk, SipTrunks
from tests.support.ports import free_port
from worker.exchange import sdp, trunks
from worker.exchange.calls import local_host
from worker.exchange.outbound import media_of
from worker.exchange.sip import Admission


class Engine:
    """Told whom to let in."""

    def admit(self, admission: Admission) -> None:
        self.admitted = admission


@pytest.mark.parametrize(
    ("listens", "unheard"), [({"udp"}, {"c", "d"}), ({"udp", "tcp", "tls"}, set()), ({"tcp"}, {"a", "d"})]
)
async def test_a_trunk_whose_calls_nobody_listens_for_is_told_of(
    listens: set[str], unheard: set[str]
) -> None:
    transports: dict[str, Any] = {"a": "udp", "b": "tcp", "c": "tcp", "d": "tls"}
    told = [
        SipTrunk(trunk_id=one, server="192.0.2.7", transport=transport, registers=one == "b")
        for one, transport in transports.items()
    ]

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(text=SipTrunks(trunks=tuple(told)).model_dump_json())

    app = web.Application()
    app.router.add_get("/internal/phones/trunks", answer)
    engine: Any = Engine()
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        url = str(server.make_url("")).rstrip("/")
        known = trunks.Trunks(engine, url, http, None, frozenset(listens))
        running = asyncio.create_task(known.run())
        await asyncio.wait_for(known.known.wait(), 10)
        found = known.registrations()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    del found["b"]  # calls come back over the way by which it registers
    assert found == {one: f"nothing here listens for calls over {transports[one]}" for one in unheard}


async def test_a_name_is_looked_up_beside_the_calls_and_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [SipTrunk(trunk_id="a", server="carrier.example:5060"), SipTrunk(trunk_id="b", server="192.0.2.7")]
    found: dict[str, str] = {"carrier.example": "198.51.100.7", "192.0.2.7": "192.0.2.7"}

    async def look_up(host: str, *_: Any, **__: Any) -> list[Any]:
        if host not in found:
            raise socket.gaierror
        return [(socket.AF_INET, socket.SOCK_DGRAM, 0, "", (found[host], 0))]

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(text=SipTrunks(trunks=tuple(told)).model_dump_json())

    app = web.Application()
    app.router.add_get("/internal/phones/trunks", answer)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    engine: Any = Engine()
    async with aiohttp.ClientSession() as http:
        known = trunks.Trunks(engine, f"http://127.0.0.1:{port}", http)
        assert known.address_of("carrier.example") == "", "not yet"
        monkeypatch.setattr(trunks, "RESOLVE_AGAIN_SECONDS", 0.0)
        monkeypatch.setattr(trunks, "LOOK_SECONDS", 0.01)
        running = asyncio.create_task(known.run())
        async with asyncio.timeout(10):
            monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", look_up)
            while known.address_of("carrier.example") != "198.51.100.7":
                await asyncio.sleep(0.01)
            assert known.address_of("192.0.2.7") == "192.0.2.7"
            assert known.address_of("[2001:db8::1]") == "2001:db8::1"
            del found["carrier.example"]
            await asyncio.sleep(0.1)
            assert known.address_of("carrier.example") == "198.51.100.7", "where it was"
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
    await runner.cleanup()


def test_where_we_are_is_asked_of_the_routes_and_of_no_name_server() -> None:
    assert local_host("127.0.0.1", "fallback") == "127.0.0.1"
    assert local_host("", "fallback") != "127.0.0.1", "the way to the world is not the way to ourselves"


@pytest.mark.parametrize(
    ("server", "our_host", "theirs", "is_allowed"),
    [
        ("carrier.example:5060", "192.0.2.1", "198.51.100.7", True),
        ("carrier.example:5060", "192.0.2.1", "127.0.0.1", False),
        ("carrier.example", "192.0.2.1", "169.254.169.254", False),
        ("carrier.example", "us.example", "127.0.0.1", False),
        ("carrier.example", "us.example", "198.51.100.7", True),
        ("gateway.local", "127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1:5060", "127.0.0.1", "127.0.0.1", True),
        ("198.51.100.7", "192.0.2.1", "127.0.0.1", False),
        ("198.51.100.7", "192.0.2.1", "192.0.2.1", False),
    ],
)
def test_a_carrier_points_no_call_at_this_machine(
    server: str, our_host: str, theirs: str, is_allowed: bool
) -> None:
    ours = sdp.Ours((our_host, 20_000), 1)
    answer = sdp.Ours((theirs, 20_000), 2).offer()
    trunk = SipTrunk(trunk_id="t", server=server)
    if is_allowed:
        if theirs == our_host:
            answer = sdp.Ours((theirs, 30_000), 2).offer()
        assert media_of(ours, answer, trunk).remote[0] == theirs
    else:
        with pytest.raises(sdp.ForbiddenAddress):
            media_of(ours, answer, trunk)
