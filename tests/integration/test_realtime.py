"""Speech to speech, with the same functions, transcript and record as any other call."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit.agents.llm import ChatMessage, FunctionCallOutput

from pipelines.agent_config import AgentConfig
from pipelines.assemble import Pipeline, assemble
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import CallEvent, FunctionCalled, UtteranceHeard
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import load
from tests.support.desk import DeskLine
from tests.support.fake_providers import FakeParts
from tests.support.provider_server import KEY, ProviderServer, provider_server
from tests.support.speech import spoken
from tests.support.stack import free_port
from worker.conversation import Conversation

FUNCTION = '''
from livekit.agents import function_tool

@function_tool
async def book(day: str) -> str:
    """Book a day."""
    return f"booked {day}"
'''


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with provider_server(free_port()) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def brief(**changes: Any) -> CallBrief:
    engine = {
        "provider": "openai",
        "model": "gpt-realtime",
        "kind": "realtime",
        "instructions": "You are a receptionist.",
        "functions": [{"type": "python", "name": "book"}],
    }
    agent = {
        "agent_id": "a",
        "name": "Reception",
        "voice_id": "openai-realtime-cedar",
        "begin_message": "Hello.",
        "begin_message_mode": "static",
        "engine": engine,
    }
    return CallBrief(call_id="c", agent=AgentConfig.model_validate(agent | changes))


async def built(
    server: ProviderServer, http: aiohttp.ClientSession | None, functions: Path, **given: Any
) -> Pipeline:
    (functions / "book.py").write_text(FUNCTION)
    settings = ProviderSettings(openai_api_key=KEY, openai_base_url=f"{server.url}/v1")
    return await assemble(
        brief(), replace(settings, **given), load(functions), datetime.now(UTC), local=FakeParts(), http=http
    )


async def test_a_caller_talks_to_the_model_and_it_is_all_on_record(
    server: ProviderServer, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    server.call = ("book", {"day": "Monday"})
    pipeline = await built(server, http, tmp_path)
    assert pipeline.stt is None
    assert pipeline.llm_name.endswith("gpt-realtime")
    assert pipeline.warnings == ()
    events: list[CallEvent] = []
    told = Conversation(brief(), "worker", events.append, lambda shown: None)
    line, session = DeskLine(), pipeline.session()
    told.attach(session, pipeline)
    await line.start(session, pipeline.agent, None)
    try:
        await until(lambda: said(events) == [("agent", "Hello.")])
        line.input.say(spoken("Book me in for Monday, please.")[::3])
        await until(lambda: len(said(events)) == 3)
    finally:
        session.options.session_close_transcript_timeout = 0
        await session.aclose()
        await pipeline.aclose()
        await line.hang_up()
    assert said(events) == [("agent", "Hello."), ("user", server.transcript), ("agent", server.answer)]
    (called,) = [event for event in events if isinstance(event, FunctionCalled)]
    assert (called.name, called.arguments, called.result) == ("book", {"day": "Monday"}, "booked Monday")
    asked = server.realtime_sessions[-1]
    results = [chat["result"]["output"] for chat in server.chats if "result" in chat]
    assert results == ["booked Monday"]
    assert server.refused == []
    voices = [sent["audio"]["output"]["voice"] for sent in server.realtime_sessions if "audio" in sent]
    assert voices[0] == "cedar"
    assert any(sent.get("instructions") == "You are a receptionist." for sent in server.realtime_sessions)
    assert any(
        tool["name"] == "book" for sent in server.realtime_sessions for tool in sent.get("tools") or ()
    )
    assert asked["type"] == "realtime"
    items = [item for item in session.history.items if isinstance(item, ChatMessage | FunctionCallOutput)]
    assert len(items) == 4


async def test_without_a_key_the_call_is_held_the_ordinary_way_with_a_warning(
    server: ProviderServer, tmp_path: Path
) -> None:
    pipeline = await built(server, None, tmp_path, openai_api_key="", openai_base_url="")
    assert pipeline.stt is not None
    assert "realtime_unavailable" in {warned.code for warned in pipeline.warnings}
    await pipeline.aclose()


def said(events: list[CallEvent]) -> list[tuple[str, str]]:
    return [
        (event.utterance.role, event.utterance.text) for event in events if isinstance(event, UtteranceHeard)
    ]


async def until(true: Any) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.02)
