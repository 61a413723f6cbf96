"""The exchange as a process: its engine, its HTTP session, its loop."""

import asyncio

import aiohttp
import uvloop

from pipelines.environment import host_and_port
from pipelines.outbound import NOT_PUBLIC
from worker import memory
from worker.exchange import sip
from worker.exchange.exchange import Exchange
from worker.settings import WorkerSettings

_USUAL = sip.Timing()


def _reach(settings: WorkerSettings) -> sip.Reach:
    """A trunk's name leads nowhere that its address could not be."""
    return sip.Reach(NOT_PUBLIC, tuple(map(host_and_port, settings.allowed_hosts)))


async def exchange(settings: WorkerSettings, timing: sip.Timing = _USUAL) -> None:
    """Run the exchange on its own engine and HTTP session."""
    listeners = [
        sip.Listener(
            one.transport,
            one.host.strip("[]"),
            one.port,
            settings.sip_public_host or None,
            settings.sip_certificate,
            settings.sip_private_key,
        )
        for one in settings.sip_listen
    ]
    headers = {"X-Internal-Key": settings.internal_key}
    connector = aiohttp.TCPConnector(limit=64)
    async with (
        aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False) as http,
        sip.Engine(
            listeners,
            admission=sip.Admission(refuse_with=settings.sip_strangers),
            reach=_reach(settings),
            timing=timing,
            ca_file=settings.sip_ca_file,
        ) as engine,
    ):
        await Exchange(settings, engine, http).run()


def serve(settings: WorkerSettings) -> None:
    """Until SIGTERM or SIGINT."""
    memory.settle()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(exchange(settings))
