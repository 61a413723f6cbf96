"""A call as the worker holds it, on a line without a network: the clock is real, the providers instant."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from aiohttp import web

from pipelines.agent_config import AgentConfig
from pipelines.contract.actions import Action
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import (
    EVENT,
    CallEvent,
    UtteranceHeard,
)
from pipelines.contract.websocket import Obeyed, Order
from pipelines.tools.developer import Functions
from tests.support.desk import DeskLine
from tests.support.fake_providers import Call, FakeParts, ListSTT, TableLLM, ToneTTS
from tests.support.speech import spoken
from tests.support.stack import free_port
from worker import call
from worker.liveness import Liveness
from worker.settings import WorkerSettings

NO_FUNCTIONS = Functions()
GREETING = "Hello, how may I help?"


@dataclass
class Held:
    """A call under way. `line` is there once the brief has come."""

    home: Path
    stt: ListSTT
    llm: TableLLM
    tts: ToneTTS
    briefs: dict[str, Any] = field(default_factory=dict)
    line: DeskLine = field(init=False)
    identity: str | None = None
    attempt: int = 1
    task: "asyncio.Task[None]" = field(init=False)

    def open_line(self, identity: str) -> DeskLine:
        self.identity, self.line = identity, DeskLine()
        return self.line

    def events(self) -> list[CallEvent]:
        path = self.home / "spool" / f"c1.{self.attempt}.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [EVENT.validate_json(line) for line in lines]

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events() if isinstance(event, kind)]

    async def until(self, true: Callable[[], object], timeout: float = 15) -> None:
        async with asyncio.timeout(timeout):
            while not true():
                if self.task.done():
                    self.task.result()
                    break
                await asyncio.sleep(0.02)

    async def greeted(self) -> None:
        await self.until(lambda: self.of(UtteranceHeard))

    def say(self, pcm: np.ndarray) -> None:
        self.line.input.say(pcm)


def words(text: str) -> np.ndarray:
    """16 kHz."""
    return spoken(text)[::3]


@contextlib.asynccontextmanager
async def steering(home: Path) -> AsyncIterator[Callable[[Action], Any]]:
    """The supervisor's end of the calls' socket; gives the call an order and waits for its answer."""
    answers: asyncio.Queue[Obeyed] = asyncio.Queue()
    (home / "run").mkdir(exist_ok=True)
    path = home / "run" / "calls.sock"
    liveness = Liveness(path, on_change=lambda: None, on_lost=lambda here: None, on_obeyed=answers.put_nowait)

    async def give(action: Action) -> Obeyed:
        assert liveness.order(Order(order_id="order", call_id="c1", action=action))
        return await asyncio.wait_for(answers.get(), 10)

    async with liveness.listening():
        yield give


@contextlib.asynccontextmanager
async def holding(
    home: Path,
    *,
    heard: tuple[str, ...] = (),
    answers: dict[str, str | Call] | None = None,
    functions: Functions = NO_FUNCTIONS,
    status: int = 200,
    before: dict[str, Any] | None = None,
    handovers: dict[str, CallBrief] | None = None,
    environment: dict[str, str] | None = None,
    **changes: Any,
) -> AsyncIterator[Held]:
    held = Held(home, ListSTT(*heard), TableLLM(answers), ToneTTS())
    agent = {"agent_id": "a", "name": "A", "begin_message": GREETING, "begin_message_mode": "static"}
    brief = CallBrief(
        call_id="c1", participant_identity="caller", agent=AgentConfig.model_validate(agent | changes)
    ).model_copy(update=before or {})
    held.attempt = brief.attempt
    port = free_port()

    async def answer(request: web.Request) -> web.Response:
        return web.json_response(text=brief.model_dump_json(), status=status)

    async def hand_over(request: web.Request) -> web.Response:
        return web.json_response(text=(handovers or {})[request.match_info["id"]].model_dump_json())

    app = web.Application()
    app.router.add_post("/internal/calls/c1/brief", answer)
    app.router.add_post("/internal/calls/c1/agents/{id}/brief", hand_over)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    settings = WorkerSettings.load(
        {
            "CALL2ME_HOME": str(home),
            "CALL2ME_API_URL": f"http://127.0.0.1:{port}",
            "CALL2ME_INTERNAL_KEY": "internal",
            "LIVEKIT_API_KEY": "key",
            "LIVEKIT_API_SECRET": "secret",
            "CALL2ME_LOCAL_MODELS": "off",
            **(environment or {}),
        }
    )
    parts = FakeParts(ears=lambda: held.stt, mind=lambda: held.llm, voice=lambda: held.tts)
    host = call.Host(settings, functions, lambda brief, models: None, parts)  # type: ignore[arg-type]
    held.task = asyncio.create_task(call.hold(host, "c1", "job", held.open_line))
    try:
        yield held
        await asyncio.wait_for(held.task, 20)
    finally:
        held.task.cancel()
        await asyncio.gather(held.task, return_exceptions=True)
        await runner.cleanup()
