"""What the api is asked and told by an exchange: of each call in order, and none keeps the others waiting."""

import asyncio
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipelines.contract.phones import MOST_PLACES, PhoneRang, PhoneTold, PlacesTold, SipTrunk
from worker.exchange import api
from worker.exchange.calls import PhoneCall
from worker.exchange.dialogs import Dialogs
from worker.exchange.inbound import Inbound
from worker.exchange.queue import Queue, Waiter
from worker.exchange.sip.messages import Headers, Invitation


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


@pytest.mark.parametrize("trouble", [0, 404, 500])
async def test_a_queue_that_moves_is_told_in_few_requests_and_nothing_is_left_out(
    monkeypatch: pytest.MonkeyPatch, trouble: int
) -> None:
    """`trouble`: how an api answers that is older, or that cannot take in the place of one of them."""
    monkeypatch.setattr(api, "AGAIN_SECONDS", 0.001)
    told: list[tuple[str, str, int]] = []
    requests = 0

    async def take(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        news = PhoneTold.model_validate_json(await request.read())
        told.append((request.match_info["call_id"], news.state, news.place))
        return web.Response(status=204)

    async def take_places(request: web.Request) -> web.Response:
        nonlocal requests
        requests += 1
        if trouble:
            return web.Response(status=trouble)
        news = PlacesTold.model_validate_json(await request.read())
        assert all(one.at for one in news.places)
        told.extend((one.call_id, "queued", one.place) for one in news.places)
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/internal/phones/calls/{call_id}", take)
    app.router.add_post("/internal/phones/places", take_places)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        settings: Any = SimpleNamespace(api_url=str(server.make_url("")).rstrip("/"), worker_id="w1")
        exchange = api.Api(settings, http)

        def moved(call: PhoneCall) -> None:
            exchange.tell_soon(call.call_id, "queued", 0, "", place=call.place)

        queue = Queue(lambda: False, moved)
        waiters = []
        for number in range(100):
            call: Any = SimpleNamespace(call_id=f"c{number}", place=0, number="")
            waiters.append(queue.enter(Waiter(SimpleNamespace(is_over=False), call)))  # type: ignore[arg-type]
        running = asyncio.create_task(exchange.run())
        await asyncio.wait_for(exchange.until_told(), 20)
        assert told == [(f"c{number}", "queued", number + 1) for number in range(100)]
        told.clear()
        requests = 0
        assert await queue.turn(waiters[0])
        exchange.tell_soon("c0", "queued", 0, "")
        exchange.tell_soon("c7", "ended", 200, "OK")
        exchange.tell_soon("c9", "queued", 0, "", place=4)
        await asyncio.wait_for(exchange.until_told(), 20)
        moves = [(f"c{number}", "queued", number) for number in range(1, 100)]
        assert told == [*moves, ("c0", "queued", 0), ("c7", "ended", 0), ("c9", "queued", 4)]
        if not trouble:
            assert requests == 100 // MOST_PLACES + 2
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize(
    ("statuses", "code"),
    [
        ([403, 404], 603),
        ([409, 404, 404], 486),
        ([404, 403, 409], 603),
        ([503, 404], 503),
        ([404, 402], 480),
        ([404, 404], 404),
        ([404, 404, 404, 404, 403], 404),
    ],
)
async def test_who_calls_hears_what_says_most_of_all_the_trunks_that_it_may_have_come_over(
    statuses: list[int], code: int
) -> None:
    refused, asked = await refusal(statuses)
    assert (refused, [one.trunk_id for one in asked]) == (code, [str(n) for n in range(len(statuses))][:4])
    assert not any(one.is_unheld for one in asked)


@pytest.mark.parametrize(("status", "code"), [(425, 503), (409, 503), (404, 404), (403, 603), (402, 480)])
async def test_while_no_shard_is_there_only_whom_a_call_is_forwarded_to_is_asked_for(
    status: int, code: int
) -> None:
    """503: the carrier tries another of our addresses, or again in five seconds."""
    refused, asked = await refusal([status], why_closed="the shards are starting")
    assert refused == code
    assert [(one.is_busy, one.is_unheld, one.queued) for one in asked] == [(True, True, None)]
    refused, asked = await refusal([status], why_closed="the worker is stopping", why_shut="it is stopping")
    assert (refused, asked) == (503, []), "and nobody is asked where nobody could be called"


async def refusal(
    statuses: list[int], why_closed: str = "", why_shut: str = ""
) -> tuple[int, list[PhoneRang]]:
    """How a call is refused that may have come over as many trunks, and what the api was asked of it."""
    asked: list[PhoneRang] = []

    async def route(request: web.Request) -> web.Response:
        asked.append(PhoneRang.model_validate_json(await request.read()))
        return web.Response(status=statuses[int(asked[-1].trunk_id)])

    app = web.Application()
    app.router.add_post("/internal/phones/calls", route)
    trunks = [SipTrunk(trunk_id=str(number), server="192.0.2.1") for number in range(len(statuses))]
    headers = Headers([("From", "<sip:+14155550199@there>")])
    refused: list[tuple[int, Any]] = []
    dialog: Any = SimpleNamespace(
        invitation=Invitation("sip:+14155550100@us", headers, b"", ("192.0.2.1", 5060), "udp"),
        call_id="abc",
        is_over=False,
        snapshot=lambda: "{}",
        reject=lambda code, headers: refused.append((code, headers)),
    )
    known: Any = SimpleNamespace(calling_from=lambda host: trunks)
    house: Any = SimpleNamespace(
        is_full=False, why_closed=lambda: why_closed or why_shut, why_shut=lambda: why_shut
    )
    nothing: Any = None
    with tempfile.TemporaryDirectory() as folder:
        dialogs = Dialogs(Path(folder) / "dialogs")
        async with TestServer(app) as server, aiohttp.ClientSession() as http:
            settings: Any = SimpleNamespace(api_url=str(server.make_url("")).rstrip("/"), worker_id="w1")
            inbound = Inbound(house, api.Api(settings, http), known, dialogs, 24, nothing)
            await inbound.take(dialog, nothing)
        assert dialogs.came() == [], "who has an answer is no longer in the journal"
    ((code, sent),) = refused
    assert [name for name, _ in sent] == (["Retry-After"] if code in (486, 503) else [])
    return code, asked
