"""The real plugins against a server that speaks their protocols and refuses what it does not know."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import numpy as np
import pytest
from livekit.agents import llm

from pipelines.agent_config import AgentConfig, EngineConfig
from pipelines.assemble import assemble
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import CallEvent, WarningRaised
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import load
from tests.support.desk import DeskLine
from tests.support.provider_server import KEY, ProviderServer, provider_server
from tests.support.stack import free_port
from worker.conversation import Conversation

FUNCTION = '''
from livekit.agents import function_tool

@function_tool
async def book(day: str, hour: int = 9) -> str:
    """Book a day."""
    return f"booked {day} at {hour}"
'''


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with provider_server(free_port()) as running:
        yield running


@contextlib.asynccontextmanager
async def talking(server: ProviderServer, functions: Path) -> AsyncIterator[DeskLine]:
    (functions / "book.py").write_text(FUNCTION)
    settings = ProviderSettings(
        openai_api_key=KEY,
        openai_base_url=f"{server.url}/v1",
        deepgram_api_key=KEY,
        deepgram_base_url=server.url,
        llm_model="gpt-4o",
    )
    agent = AgentConfig(
        agent_id="a",
        name="A",
        voice_id="openai-alloy",
        voice_speed=1.2,
        begin_message="Hello.",
        begin_message_mode="static",
        engine=EngineConfig(
            provider="openai", model="gpt-4o", functions=({"type": "python", "name": "book"},)
        ),
    )
    brief = CallBrief(call_id="c", agent=agent)
    async with aiohttp.ClientSession() as http:
        pipeline = await assemble(brief, settings, load(functions), datetime.now(UTC), http=http)
        assert pipeline.warnings == ()
        line, session = DeskLine(), pipeline.session()
        line.brief, line.pipeline = brief, pipeline  # type: ignore[attr-defined]
        await line.start(session, pipeline.agent, None)
        try:
            yield line
        finally:
            session.options.session_close_transcript_timeout = 0
            await session.aclose()
            await pipeline.aclose()
            await line.hang_up()


async def said(line: DeskLine, *, by: str, times: int = 1) -> str:
    """What that side said last, once it has said that many things."""
    async with asyncio.timeout(15):
        while True:
            items = [
                item
                for item in line.session.history.items
                if isinstance(item, llm.ChatMessage) and item.role == by
            ]
            if len(items) >= times:
                return items[-1].text_content or ""
            await asyncio.sleep(0.02)


def speech() -> np.ndarray:
    from tests.support.speech import spoken

    return spoken("What are your opening hours?")[::3]


async def test_a_question_is_heard_thought_about_and_answered_over_the_wire(
    server: ProviderServer, tmp_path: Path
) -> None:
    async with talking(server, tmp_path) as line:
        assert await said(line, by="assistant") == "Hello."
        line.input.say(speech())
        assert await said(line, by="user") == "what are your hours"
        assert (await said(line, by="assistant", times=2)).strip() == server.answer
        usage = line.session.usage.model_usage
    assert server.refused == []
    assert server.listens[0]["language"] == "en-US"
    assert server.listens[0]["sample_rate"] == "16000"
    assert server.speeches[0] | {"input": ""} == {
        "input": "",
        "model": "gpt-4o-mini-tts",
        "voice": "alloy",
        "response_format": "pcm",
        "speed": 1.2,
        "stream_format": "sse",
    }
    chat = server.chats[-1]
    assert (chat["model"], chat["max_completion_tokens"], chat["temperature"]) == ("gpt-4o", 500, 0.7)
    assert chat["tools"][0]["function"]["name"] == "book"
    assert "strict" not in chat["tools"][0]["function"], "a compatible server may not know it"
    assert any(getattr(model, "output_tokens", 0) for model in usage)


async def test_a_function_is_called_and_its_result_goes_back(server: ProviderServer, tmp_path: Path) -> None:
    server.call = ("book", {"day": "Monday"})
    async with talking(server, tmp_path) as line:
        await said(line, by="assistant")
        line.session.generate_reply(user_input="Book me in for Monday.")
        assert (await said(line, by="assistant", times=2)).strip() == server.answer
    result = server.chats[-1]["messages"][-1]
    assert (result["role"], result["content"]) == ("tool", "booked Monday at 9")
    assert server.refused == []


async def test_a_refusing_server_is_answered_for_by_this_machine_and_the_record_says_so(
    server: ProviderServer, tmp_path: Path
) -> None:
    async with talking(server, tmp_path) as line:
        await said(line, by="assistant")
        events: list[CallEvent] = []
        told = Conversation(line.brief, "worker", events.append, lambda shown: None)
        told.attach(line.session, line.pipeline)
        server.status = 429
        line.session.generate_reply(user_input="Hello?")
        assert (await said(line, by="assistant", times=2)).strip()
    warned = {event.code: event.message for event in events if isinstance(event, WarningRaised)}
    assert set(warned) == {"llm_switched", "tts_switched"}, "nobody else heard of it: no error, no apology"
    assert all("(status 429)" in message for message in warned.values())
