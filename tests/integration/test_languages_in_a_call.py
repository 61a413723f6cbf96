"""A caller who changes language in mid-call, with real ears and real voices of this machine."""

import asyncio
import io
import subprocess
import wave
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import aiohttp
import numpy as np
import pytest

from pipelines.agent_config import AgentConfig
from pipelines.assemble import assemble
from pipelines.contract.brief import CallBrief
from pipelines.local.client import ModelsClient
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import Functions
from tests.support.desk import DeskLine
from tests.support.models import ModelsProcess, models_process
from tests.support.ports import free_port
from tests.support.provider_server import KEY, provider_server
from tests.support.sounds import resample

pytestmark = pytest.mark.slow

TURNS = (
    # what is said, in whose voice, what the engine answers, in which language the agent is then heard
    ("I would like to book an appointment for tomorrow.", "en-us", "Yes, of course, at what time?", "en"),
    ("Können wir bitte auf Deutsch weitersprechen?", "de", "Ja, natürlich, wir sprechen gern Deutsch.", "de"),
    (
        "Ich möchte morgen um zehn Uhr einen Termin machen.",
        "de",
        # Long enough for a recogniser to be sure of the language.
        "Natürlich, ich schreibe Ihren Termin für morgen früh um zehn Uhr in unseren Kalender.",
        "de",
    ),
    ("¿Podemos hablar en español, por favor?", "es", "Claro, podemos hablar en español.", "es"),
    ("What are your opening hours on Saturday?", "en-us", "We are open from nine to five.", "en"),
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModelsProcess]:
    with models_process(tmp_path_factory.mktemp("call2me")) as process:
        yield process


@pytest.fixture
async def client(running: ModelsProcess) -> AsyncIterator[ModelsClient]:
    client = await running.ready()
    yield client
    await client.aclose()


async def test_the_agent_follows_into_german_and_spanish_and_back(
    running: ModelsProcess, client: ModelsClient
) -> None:
    agent = {
        "agent_id": "a",
        "name": "A",
        "language": "en-US",
        "begin_message": "Hello.",
        "begin_message_mode": "static",
        "engine": {"provider": "openai", "model": "gpt-4o"},
        "hearing": {"languages": ["de-DE", "es-ES"]},
    }
    brief = CallBrief(call_id="c", agent=AgentConfig.model_validate(agent))
    told: list[str] = []
    async with provider_server(free_port()) as server, aiohttp.ClientSession() as http:
        settings = ProviderSettings(openai_api_key=KEY, openai_base_url=f"{server.url}/v1")
        settings = replace(settings, models_socket=running.socket)
        pipeline = await assemble(brief, settings, Functions(), datetime.now(UTC), http=http)
        assert [warned.code for warned in pipeline.warnings] == []
        pipeline.on_switch(lambda code, message: told.append(f"{code} {message.rsplit(' ', 1)[-1]}"))
        line, session = DeskLine(), pipeline.session()
        await line.start(session, pipeline.agent, None)
        try:
            await heard(line, 0.3)
            for words, voice, answer, language in TURNS:
                server.answer = answer
                line.output.recorded.clear()
                line.input.say(spoken(words, voice))
                await line.input.silent.wait()
                await heard(line, 0.8)  # no answer is shorter, and one that hesitates is not over yet
                understood = await client.transcribe(as_pcm(line), language="en,de,es")
                assert understood.language == language, (words, understood)
                asked = [str(message["content"]) for message in server.chats[-1]["messages"]]
                follows = any("now speaks another language" in text for text in asked)
                assert follows == (language != "en"), asked
        finally:
            session.options.session_close_transcript_timeout = 0
            await session.aclose()
            await pipeline.aclose()
            await line.hang_up()
    assert told == ["language_switched de-DE.", "language_switched es-ES.", "language_switched en-US."]


async def heard(line: DeskLine, least: float) -> None:
    """Until the agent has said something and is silent."""
    async with asyncio.timeout(30):
        before = line.output.heard_seconds
        while line.output.heard_seconds <= before + least:
            await asyncio.sleep(0.05)
        while line.session.agent_state == "speaking":
            await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)


def spoken(words: str, voice: str) -> np.ndarray[Any, Any]:
    """espeak-ng's voice, int16 mono at 16 kHz."""
    made = subprocess.run(
        ["espeak-ng", "-v", voice, "-s", "150", "--stdout", words],
        capture_output=True,
        check=True,
        timeout=10,
    )
    with wave.open(io.BytesIO(made.stdout)) as file:
        rate = file.getframerate()
    # Its header is written before it knows how much there will be.
    samples = np.frombuffer(made.stdout[44 : len(made.stdout) // 2 * 2], np.int16).astype(np.float32)
    at = np.arange(0, len(samples), rate / 16_000)
    return np.interp(at, np.arange(len(samples)), samples).astype(np.int16)


def as_pcm(line: DeskLine) -> bytes:
    """What was played, int16 mono at 16 kHz."""
    played = np.concatenate(line.output.recorded).astype(np.float32) / 32_768
    return (resample(played, 24_000, 16_000) * 32_000).astype(np.int16).tobytes()
