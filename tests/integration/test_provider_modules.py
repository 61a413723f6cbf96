"""Each provider's module against a server that refuses what its vendor would refuse."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest
from livekit import rtc
from livekit.agents import APIConnectOptions, llm, stt, tts
from livekit.agents.llm import function_tool
from livekit.agents.stt import SpeechEventType

from pipelines import llm as llms
from pipelines import options, vad
from pipelines import stt as stts
from pipelines import tts as ttss
from pipelines.providers import ProviderSettings
from tests.support.provider_server import KEY, ProviderServer, provider_server
from tests.support.stack import free_port

# google-genai's own
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")
ONCE = APIConnectOptions(max_retry=0, timeout=3.0)


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with provider_server(free_port()) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def settings(server: ProviderServer, key: str = KEY) -> ProviderSettings:
    return ProviderSettings(
        openai_api_key=key,
        openai_base_url=f"{server.url}/v1",
        deepgram_api_key=key,
        deepgram_base_url=server.url,
        openrouter_api_key=key,
        anthropic_api_key=key,
        google_api_key=key,
        elevenlabs_api_key=key,
        cartesia_api_key=key,
        base_urls={
            "openrouter": f"{server.url}/v1",
            "anthropic": server.url,
            "google": server.url,
            "elevenlabs": f"{server.url}/v1",
            "cartesia": server.url,
        },
    )


# ── minds ──
MODELS = [
    ("openai", "gpt-4o", {}),
    ("openai", "gpt-5-mini", {"reasoning_effort": "minimal", "service_tier": "priority"}),
    ("openrouter", "openrouter/auto", {}),
    ("anthropic", "claude-sonnet-4-6", {}),
    ("gemini", "gemini-2.5-flash", {}),
]


def model(server: ProviderServer, provider: str, name: str, given: dict[str, Any]) -> llm.LLM[Any]:
    checked = options.read("llm", provider, name, given)
    return llms.build(provider, llms.Thinking(settings(server), name, 1.5, 300, checked))


@pytest.mark.parametrize(("provider", "name", "given"), MODELS)
async def test_a_model_streams_its_answer(
    server: ProviderServer, provider: str, name: str, given: dict[str, Any]
) -> None:
    context = llm.ChatContext.empty()
    context.add_message(role="system", content="Be kind.")
    context.add_message(role="user", content="When are you open?")
    async with model(server, provider, name, given) as mind, mind.chat(chat_ctx=context) as stream:
        chunks = [chunk async for chunk in stream]
    words = [chunk.delta.content for chunk in chunks if chunk.delta and chunk.delta.content]
    assert ("".join(words).strip(), len(words) > 3) == (server.answer, True)
    assert any(chunk.usage and chunk.usage.completion_tokens == 7 for chunk in chunks)
    assert server.refused == []
    assert given.items() <= server.chats[0].items()


async def test_the_first_connection_to_gemini_is_opened_where_it_is_asked_later(
    server: ProviderServer,
) -> None:
    async with model(server, "gemini", "gemini-2.5-flash", {}) as mind:
        mind.prewarm()
        async with asyncio.timeout(5):
            while not server.listed:
                await asyncio.sleep(0.01)
    assert server.refused == []


async def test_functions_called_at_once_come_as_separate_calls(server: ProviderServer) -> None:
    @function_tool
    async def book(day: str) -> str:
        """Book."""
        return day

    server.calls = [("book", {"day": "Monday"}), ("book", {"day": "Tuesday"})]
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Monday and Tuesday.")
    async with model(server, "openai", "gpt-4o", {}) as mind:
        answer = await mind.chat(chat_ctx=context, tools=[book]).collect()
    assert [call.arguments for call in answer.tool_calls] == ['{"day": "Monday"}', '{"day": "Tuesday"}']
    one_at_a_time = {"parallel_tool_calls": False}
    async with model(server, "openai", "gpt-4o", one_at_a_time) as mind:
        await mind.chat(chat_ctx=context, tools=[book]).collect()
    assert server.chats[-1]["parallel_tool_calls"] is False
    assert server.refused == []


# ── voices ──
VOICES = [
    ("openai", "coral", {"instructions": "Calm."}),
    ("deepgram", "thalia", {}),
    ("elevenlabs", "EXAVITQu4vr4xnSDxMaL", {"stability": 0.4}),
    ("cartesia", "f786b574-daa5-4673-aa0c-cbe3e8534c02", {"emotion": "positivity:high"}),
]


@pytest.mark.parametrize(("provider", "name", "given"), VOICES)
async def test_a_voice_says_the_words_in_its_own_manner(
    server: ProviderServer,
    http: aiohttp.ClientSession,
    provider: str,
    name: str,
    given: dict[str, Any],
) -> None:
    checked = options.read("tts", provider, name, given)
    wanted = ttss.Speaking(settings(server), name, "en-US", 1.1, checked, http)
    voice = ttss.build(provider, wanted)
    async with voice:
        seconds = await said(voice, "We are open from nine.")
    assert seconds > 0.8
    assert [speech["input"].strip() for speech in server.speeches] == ["We are open from nine."]
    assert server.refused == []
    asked = {**(server.speaks or server.speeches)[-1]}
    assert "1.1" in str(asked), "the speed arrives"
    assert name in str(asked)


async def said(voice: tts.TTS[Any], text: str) -> float:
    seconds = 0.0
    if not voice.capabilities.streaming:
        async with voice.synthesize(text) as chunks:
            async for audio in chunks:
                seconds += audio.frame.duration
        return seconds
    async with voice.stream() as stream:
        stream.push_text(text)
        stream.end_input()
        async for audio in stream:
            seconds += audio.frame.duration
    return seconds


# ── ears ──
def sound() -> list[rtc.AudioFrame]:
    """A second of noise, then quiet: the stand-ins hear their words in it."""
    random = np.random.default_rng(1)
    loud = (random.standard_normal(16_000) * 6000).astype(np.int16)
    pcm = np.concatenate([loud, np.zeros(8000, np.int16)])
    return [rtc.AudioFrame(pcm[at : at + 800].tobytes(), 16_000, 1, 800) for at in range(0, len(pcm), 800)]


def recogniser(
    server: ProviderServer, http: aiohttp.ClientSession, provider: str, name: str, given: dict[str, Any]
) -> stt.STT[Any]:
    checked = options.read("stt", provider, name, given)
    terms = ("Zahnarztpraxis Öztürk", "Ada")
    return stts.build(provider, stts.Listening(settings(server), name, "en-US", terms, checked, http))


EARS = [
    ("deepgram", "", {"smart_format": True}),
    ("deepgram", "nova-2", {}),
    ("deepgram", "flux", {"eot_threshold": 0.8, "eager_eot_threshold": 0.5}),
    ("elevenlabs", "", {}),
    ("cartesia", "", {}),
]


@pytest.mark.parametrize(("provider", "name", "given"), EARS)
async def test_a_streaming_recogniser_hears_the_words(
    server: ProviderServer,
    http: aiohttp.ClientSession,
    provider: str,
    name: str,
    given: dict[str, Any],
) -> None:
    async with recogniser(server, http, provider, name, given) as ears:
        events = await heard(ears)
    finals = [event for event in events if event.type == SpeechEventType.FINAL_TRANSCRIPT]
    assert [event.alternatives[0].text for event in finals] == [server.transcript]
    has_captions = any(event.type == SpeechEventType.INTERIM_TRANSCRIPT for event in events)
    assert has_captions == (provider != "cartesia")
    assert server.refused == []
    terms = server.listens[0].get("keyterm")
    knows_terms = name != "nova-2" and provider != "cartesia"
    assert terms == (["Zahnarztpraxis Öztürk", "Ada"] if knows_terms else None)
    assert stts.ends_turns(ears) == (name == "flux")


async def heard(ears: stt.STT[Any]) -> list[stt.SpeechEvent]:
    events = []
    async with ears.stream() as stream:
        for frame in sound():
            stream.push_frame(frame)
        async with asyncio.timeout(10):
            async for event in stream:
                events.append(event)
                if event.type == SpeechEventType.FINAL_TRANSCRIPT:
                    break
    return events


async def test_a_whole_utterance_is_transcribed(server: ProviderServer, http: aiohttp.ClientSession) -> None:
    async with recogniser(server, http, "openai", "", {"prompt": "A dental clinic."}) as ears:
        result = await ears.recognize(sound())
    assert result.alternatives[0].text == server.transcript
    assert server.transcriptions == [
        {
            "model": "gpt-4o-mini-transcribe",
            "language": "en",
            "prompt": "A dental clinic. Zahnarztpraxis Öztürk, Ada",
            "response_format": "json",
        }
    ]
    assert server.refused == []


# ── all of them ──
@pytest.mark.parametrize(
    ("kind", "provider", "name", "given"),
    [
        ("stt", "deepgram", "nova-3", {"eot_threshold": 0.8}),
        ("stt", "deepgram", "flux", {"eot_threshold": 2}),
        ("llm", "openai", "gpt-4o", {"top_k": 3}),
        ("llm", "anthropic", "claude", {"parallel_tool_calls": True}),
        ("tts", "elevenlabs", "x", {"stability": 7}),
    ],
)
def test_options_that_the_provider_would_refuse_are_refused_by_name(
    kind: options.Kind, provider: str, name: str, given: dict[str, Any]
) -> None:
    with pytest.raises(options.BadOptions, match=f"{provider}: {next(iter(given))}"):
        options.read(kind, provider, name, given)


def test_a_key_is_in_no_representation_of_the_settings(server: ProviderServer) -> None:
    assert KEY not in repr(settings(server))


def test_the_native_detector_and_the_plugin_are_one_setting_apart() -> None:
    kinds: dict[str, Callable[[], Any]] = {
        kind: lambda k=kind: vad.build(k, 0.25) for kind in ("native", "silero")
    }
    assert {kind: type(build()).__module__.split(".")[1] for kind, build in kinds.items()} == {
        "native": "agents",
        "silero": "plugins",
    }


async def test_a_wrong_key_is_an_error_of_every_provider(
    server: ProviderServer, http: aiohttp.ClientSession
) -> None:
    wrong = settings(server, "wrong")
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Hello?")
    for provider, name, _given in MODELS:
        given = options.read("llm", provider, name, {})
        async with llms.build(provider, llms.Thinking(wrong, name, 0.7, 300, given)) as mind:
            with pytest.raises(Exception, match=r"40\d|key"):
                await mind.chat(chat_ctx=context, conn_options=ONCE).collect()
    assert len(server.refused) >= len(MODELS)
