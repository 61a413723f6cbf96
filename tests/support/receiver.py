"""Somebody who is told: a real HTTP server on loopback that answers as a test wants."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.ports import free_port


@dataclass
class Received:
    """One request as it came."""

    body: str
    headers: dict[str, str]


@dataclass
class Receiver:
    """`answers` are used up one for each request: a status, a JSON object or a word; then 200."""

    url: str
    port: int
    answers: list[int | str | dict[str, Any]] = field(default_factory=list)
    received: list[Received] = field(default_factory=list)
    waited_for: list[float] = field(default_factory=list)
    """Of each that was to be answered slowly: the seconds until whoever asked had hung up."""

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """POST anything."""
        body = (await request.read()).decode()
        self.received.append(Received(body, {name.lower(): value for name, value in request.headers.items()}))
        answer = self.answers.pop(0) if self.answers else 200
        match answer:
            case int():
                return web.Response(status=answer, text=f"answer {answer}")
            case dict():
                return web.json_response(answer)
            case "redirect":
                raise web.HTTPTemporaryRedirect(f"{self.url}/elsewhere")
            case "slow":
                self.waited_for.append(await _left(request))
            case "cut":
                assert request.transport is not None
                request.transport.abort()
            case "huge":
                reply = web.StreamResponse()
                await reply.prepare(request)
                with contextlib.suppress(ConnectionError):
                    for _ in range(1000):
                        await reply.write(b"x" * 100_000)
                return reply
            case "garbage":
                assert request.transport is not None
                request.transport.write(b"\x00\xff not http \r\n\r\n")  # type: ignore[attr-defined]
                request.transport.close()
        return web.Response()


async def _left(request: web.Request) -> float:
    """The seconds until whoever asked is gone: half a minute, at most."""
    began = time.monotonic()
    while time.monotonic() - began < 30 and request.transport is not None:
        await asyncio.sleep(0.05)
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def receiver() -> AsyncIterator[Receiver]:
    """Serve until the block ends."""
    port = free_port()
    made = Receiver(f"http://127.0.0.1:{port}", port)
    app = web.Application(client_max_size=10**7)
    app.router.add_route("*", "/{path:.*}", made.handle)
    runner: Any = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield made
    finally:
        await runner.cleanup()
