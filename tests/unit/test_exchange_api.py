"""What the api is told by an exchange: in the order of each call, and none keeps the others waiting."""

import asyncio
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipelines.contract.phones import PhoneTold
from worker.exchange import api


async def test_a_call_that_the_api_cannot_take_in_keeps_the_others_waiting_for_a_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(api, "AGAIN_SECONDS", 0.001)
    told: list[tuple[str, str]] = []
    is_mended = False

    async def take(request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        if call_id == "bad" and not is_mended:
            return web.Response(status=500)
        told.append((call_id, PhoneTold.model_validate_json(await request.read()).state))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/internal/phones/calls/{call_id}", take)
    ended: list[str] = []
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        settings: Any = SimpleNamespace(api_url=str(server.make_url("")).rstrip("/"), worker_id="w1")
        exchange = api.Api(settings, http, ended.append)
        for call_id in ("bad", "good"):
            exchange.tell_soon(call_id, "answered", 200, "OK")
            exchange.tell_soon(call_id, "ended", 200, "OK")
        running = asyncio.create_task(exchange.run())
        async with asyncio.timeout(10):
            while ended != ["good"]:
                await asyncio.sleep(0.001)
            is_mended = True
            await exchange.until_told()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert told == [(call_id, state) for call_id in ("good", "bad") for state in ("answered", "ended")]
    assert ended == ["good", "bad"]
