"""A server that speaks the wire protocols of the vendors, and refuses what they would refuse."""

import contextlib
from collections.abc import AsyncIterator

from aiohttp import web

from tests.support.wire.deepgram import DeepgramWire
from tests.support.wire.openai import OpenAIWire
from tests.support.wire.others import OthersWire
from tests.support.wire.realtime import RealtimeWire
from tests.support.wire.server import KEY, ProviderServer

__all__ = ["KEY", "ProviderServer", "provider_server"]


@contextlib.asynccontextmanager
async def provider_server(port: int) -> AsyncIterator[ProviderServer]:
    """Serve on loopback until the block ends."""
    server = ProviderServer(f"http://127.0.0.1:{port}")
    app = web.Application()
    for wire in (OpenAIWire(server), DeepgramWire(server), OthersWire(server), RealtimeWire(server)):
        wire.add_to(app)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield server
    finally:
        await runner.cleanup()
