"""An api that workers talk to: it remembers what it accepted, and can be down, slow or die half-way."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Literal

from aiohttp import WSMsgType, web

from pipelines.contract.events import EventBatch
from pipelines.contract.websocket import (
    FROM_WORKER,
    Dial,
    FunctionTried,
    Goodbye,
    HangUp,
    Hello,
    Obeyed,
    Order,
    Status,
    TryFunction,
    Withdraw,
)

KEY = "an internal key"

Mood = Literal["well", "broken", "commits and drops"]


@dataclass
class FakeApi:
    """Accepts each (call, sequence) once. Its store outlives its server, as a database does."""

    port: int = 0
    mood: Mood = "well"
    """`broken` answers 500; `commits and drops` keeps what came and closes the connection unanswered."""
    drops_recordings_only: bool = False
    has_another_worker: bool = False
    """One that is ready, whatever happens to the one under test."""
    delay_seconds: float = 0.0
    poison: str = ""
    """A batch that holds these characters is a 422."""
    refuses: set[str] = field(default_factory=set)
    replaced: dict[str, int] = field(default_factory=dict)
    """As in `BatchReceipt`, of every batch."""
    attempts: dict[str, int] = field(default_factory=dict)
    """Which attempt a brief for a call is; a call that is not here is a 404."""
    events: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    recordings: dict[str, bytes] = field(default_factory=dict)
    durations: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    repeated: int = 0
    """Events that came again after they had been accepted."""
    hellos: list[Hello] = field(default_factory=list)
    statuses: list[Status] = field(default_factory=list)
    goodbyes: int = 0
    tried: list[FunctionTried] = field(default_factory=list)
    obeyed: list[Obeyed] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def of(self, call_id: str) -> list[dict[str, Any]]:
        """What is kept of a call, in its order."""
        return [event for (call, _), event in sorted(self.events.items()) if call == call_id]

    @contextlib.asynccontextmanager
    async def up(self) -> AsyncIterator["FakeApi"]:
        """Listen, on the same port each time."""
        application = web.Application(client_max_size=1024 * 1024, middlewares=[self._guard])
        application.router.add_post("/internal/events", self._take_events)
        application.router.add_put("/internal/calls/{call_id}/recording", self._take_recording)
        application.router.add_post("/internal/calls/{call_id}/brief", self._brief)
        application.router.add_get("/internal/worker", self._worker)
        application.router.add_get("/ready", self._ready)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", self.port, reuse_address=True)
        await site.start()
        self.port = runner.addresses[0][1]
        try:
            yield self
        finally:
            for socket in self.sockets:
                await socket.close()
            await runner.cleanup()

    async def order(self, order: HangUp | TryFunction | Order | Dial | Withdraw) -> None:
        """Send an order to the worker that connected last."""
        await self.sockets[-1].send_str(order.model_dump_json())

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.requests += 1
        if request.headers.get("X-Internal-Key") != KEY:
            raise web.HTTPUnauthorized
        if self.mood == "broken":
            raise web.HTTPInternalServerError
        if self.delay_seconds:
            await asyncio.sleep(self.delay_seconds)
        answer: web.StreamResponse = await handler(request)
        return answer

    def _drop(self, request: web.Request) -> None:
        if self.mood == "commits and drops" and request.transport is not None:
            request.transport.abort()

    async def _take_events(self, request: web.Request) -> web.Response:
        body = await request.text()
        if self.poison and self.poison in body:
            raise web.HTTPUnprocessableEntity
        batch = EventBatch.model_validate_json(body)
        accepted = 0
        for event in batch.events:
            if event.call_id in self.refuses:
                continue
            if (event.call_id, event.sequence) in self.events:
                self.repeated += 1
            else:
                self.events[event.call_id, event.sequence] = event.model_dump(mode="json")
                accepted += 1
        if not self.drops_recordings_only:
            self._drop(request)
        refused = {event.call_id: event.attempt for event in batch.events if event.call_id in self.refuses}
        told = {"accepted": accepted, "refused": refused, "replaced": self.replaced}
        return web.json_response(told)

    async def _take_recording(self, request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        self.recordings[call_id] = await request.read()
        self.durations[call_id] = request.headers["X-Duration-Ms"]
        self._drop(request)
        return web.Response(status=204)

    async def _ready(self, request: web.Request) -> web.Response:
        return web.json_response({}, status=200 if self.has_another_worker else 503)

    async def _brief(self, request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        if call_id not in self.attempts:
            raise web.HTTPNotFound
        return web.json_response(
            {
                "call_id": call_id,
                "attempt": self.attempts[call_id],
                "agent": {"agent_id": "agent_1", "name": "Ada"},
            }
        )

    async def _worker(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets.append(socket)
        async for frame in socket:
            if frame.type is not WSMsgType.TEXT:
                break
            match FROM_WORKER.validate_json(frame.data):
                case Hello() as hello:
                    self.hellos.append(hello)
                case Status() as status:
                    self.statuses.append(status)
                case FunctionTried() as tried:
                    self.tried.append(tried)
                case Obeyed() as answer:
                    self.obeyed.append(answer)
                case Goodbye():
                    self.goodbyes += 1
        return socket
