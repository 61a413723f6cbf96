"""An owner's dialog engine: the example that we ship, and engines that misbehave."""

import asyncio
import json
import runpy
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from livekit.agents import APIConnectionError, APIConnectOptions, APIError, llm
from livekit.agents.llm import function_tool

from pipelines import custom_llm
from pipelines.agent_config import AgentConfig
from pipelines.assemble import assemble
from pipelines.contract.brief import CallBrief
from pipelines.custom_llm import CustomLLM
from pipelines.outbound import Guard
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import Functions
from tests.support.fake_providers import FakeParts
from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
ONCE = APIConnectOptions(max_retry=0, timeout=5.0)
ABOUT = {"call_id": "c1", "agent_id": "a1", "language": "en-US"}
Served = Callable[[web.Application], Awaitable[str]]


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    runners: list[web.AppRunner] = []

    async def serve(app: web.Application) -> str:
        port = free_port()
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        runners.append(runner)
        return f"ws://127.0.0.1:{port}/"

    yield serve
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    allowed = Guard(["127.0.0.1"])
    yield allowed
    await allowed.close()


def example() -> web.Application:
    """The server that we ship."""
    app: web.Application = runpy.run_path(str(ROOT / "examples" / "custom_llm.py"))["app"]()
    return app


@function_tool
async def end_call(reason: str) -> str:
    """End the call."""
    return reason


def asking(text: str) -> llm.ChatContext:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content=text)
    return context


async def test_the_example_answers_calls_functions_and_keeps_one_connection(
    served: Served, guard: Guard
) -> None:
    async with CustomLLM(await served(example()), guard, ABOUT) as engine:
        first = await engine.chat(chat_ctx=asking("Hello there."), tools=[end_call]).collect()
        socket = await engine.connected()
        second = await engine.chat(chat_ctx=asking("Good bye!"), tools=[end_call]).collect()
        assert await engine.connected() is socket
    assert first.text == "You said: Hello there."
    assert [(call.name, call.arguments) for call in second.tool_calls] == [("end_call", '{"reason": "bye"}')]


class Engine:
    """Says what a test tells it to, and keeps what it was asked."""

    def __init__(self, *frames: Any) -> None:
        self.frames = frames
        self.asked: list[dict[str, Any]] = []
        self.connections = 0

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/", self.serve)
        return app

    async def serve(self, request: web.Request) -> web.WebSocketResponse:
        self.connections += 1
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            self.asked.append(message.json())
            if self.asked[-1]["type"] != "request":
                continue
            for frame in self.frames:
                if frame == "cut":
                    request.transport.abort()  # type: ignore[union-attr]
                elif isinstance(frame, str):
                    await socket.send_str(frame)
                else:
                    await socket.send_json({"id": self.asked[-1]["id"], **frame})
        return socket


async def test_it_is_told_of_the_call_the_talk_and_the_functions(served: Served, guard: Guard) -> None:
    engine = Engine({"type": "text", "text": "Yes."}, {"type": "done"})
    context = asking("Book me in.")
    context.insert(llm.FunctionCall(call_id="c1", name="book", arguments='{"day": "Monday"}'))
    context.insert(llm.FunctionCallOutput(call_id="c1", name="book", output="booked", is_error=False))
    async with CustomLLM(await served(engine.app()), guard, ABOUT) as asked:
        await asked.chat(chat_ctx=context, tools=[end_call]).collect()
    start, request = engine.asked
    assert start == {"type": "start", "protocol": 1, **ABOUT}
    assert request["messages"] == [
        {"role": "user", "content": "Book me in."},
        {"role": "call", "call_id": "c1", "name": "book", "arguments": {"day": "Monday"}},
        {"role": "result", "call_id": "c1", "content": "booked", "is_error": False},
    ]
    (described,) = request["tools"]
    assert (described["name"], described["parameters"]["required"]) == ("end_call", ["reason"])


async def test_an_answer_that_nobody_waits_for_is_cancelled_there(served: Served, guard: Guard) -> None:
    engine = Engine({"type": "text", "text": "Well, "})
    async with CustomLLM(await served(engine.app()), guard, ABOUT) as asked:
        stream = asked.chat(chat_ctx=asking("Hello?"))
        await anext(stream)
        await stream.aclose()
        async with asyncio.timeout(5):
            while engine.asked[-1]["type"] != "cancel":
                await asyncio.sleep(0.01)
    assert engine.asked[-1]["id"] == engine.asked[-2]["id"]


@pytest.mark.parametrize(
    "frames",
    [
        ["this is not JSON"],
        [json.dumps([1, 2])],
        [{"type": "shout", "text": "!"}],
        [{"type": "text", "text": 7}],
        [{"type": "call", "name": "end_call", "arguments": "none"}],
        [{"type": "error", "message": "no idea"}],
        ["cut"],
        [json.dumps({"type": "text", "text": "x" * custom_llm.MAX_FRAME_BYTES})],
        [{"type": "text", "text": "word " * 1000}] * 6,
    ],
)
async def test_an_engine_that_misbehaves_is_an_error_and_the_next_question_is_asked_anew(
    served: Served, guard: Guard, frames: list[Any]
) -> None:
    engine = Engine(*frames)
    async with CustomLLM(await served(engine.app()), guard, ABOUT) as asked:
        for _ in range(2):
            with pytest.raises(APIError):
                async with asyncio.timeout(10):
                    await asked.chat(chat_ctx=asking("Hello?"), conn_options=ONCE).collect()
    assert [frame["type"] for frame in engine.asked].count("request") == 2


async def test_an_address_in_a_private_network_is_not_asked(served: Served) -> None:
    engine = Engine({"type": "done"})
    strict = Guard()
    async with CustomLLM(await served(engine.app()), strict, ABOUT) as asked:
        with pytest.raises(APIConnectionError):
            await asked.chat(chat_ctx=asking("Hello?"), conn_options=ONCE).collect()
    await strict.close()
    assert engine.connections == 0


async def test_an_agent_with_such_an_engine_has_no_other_unless_it_names_one(
    served: Served, guard: Guard
) -> None:
    engine = {"provider": "custom-llm", "model": "", "websocket_url": await served(example())}
    agent = AgentConfig.model_validate({"agent_id": "a", "name": "A", "engine": engine})
    settings = ProviderSettings(openai_api_key="key")
    brief = CallBrief(call_id="c", agent=agent)
    now = datetime.now(UTC)
    pipeline = await assemble(brief, settings, Functions(), now, local=FakeParts(), guard=guard)  # type: ignore[arg-type]
    assert pipeline.llm_name == "custom-llm/127.0.0.1"
    assert "llm_unavailable" not in {warned.code for warned in pipeline.warnings}
    assert isinstance(pipeline.llm, CustomLLM)
    await pipeline.llm.aclose()
