"""A vendor that fails in every way there is: another provider goes on, and no word is said twice."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import numpy as np
import pytest
from livekit import rtc
from livekit.agents import llm, stt
from livekit.agents.stt import SpeechEventType

from pipelines import llm as llms
from pipelines import options, vad
from pipelines import stt as stts
from pipelines import tts as ttss
from pipelines.failover import Chain, FailoverLLM, FailoverSTT, FailoverTTS, Link, Patience, Switched
from pipelines.providers import ProviderSettings
from tests.support.fake_providers import ListSTT, TableLLM, ToneTTS
from tests.support.provider_server import KEY, ProviderServer, provider_server
from tests.support.speech import spoken
from tests.support.stack import free_port
from tests.support.wire.faults import FAULTS, Fault

HURRY = Patience(
    first_token=0.3, token_gap=0.3, first_audio=0.3, audio_gap=0.2, no_words=0.3, no_final=0.4, give_up=3.0
)
WORDS = "We are open from nine to five, and we like it very much.".split()


@pytest.fixture
async def server() -> AsyncIterator[ProviderServer]:
    async with provider_server(free_port()) as running:
        yield running


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


def settings(server: ProviderServer) -> ProviderSettings:
    return ProviderSettings(
        openai_api_key=KEY,
        openai_base_url=f"{server.url}/v1",
        deepgram_api_key=KEY,
        deepgram_base_url=server.url,
    )


def chained(kind: Any, *parts: Any) -> tuple[Chain[Any], list[Switched]]:
    chain: Chain[Any] = Chain(kind, [Link(f"link {place}", part) for place, part in enumerate(parts)])
    switches: list[Switched] = []
    chain.on_switch = switches.append
    return chain, switches


# ── minds ──
class GoesOn(TableLLM):
    """Answers in full, and goes on with the rest where it is asked to."""

    def answer(self, chat_ctx: llm.ChatContext) -> str:
        said = [item for item in chat_ctx.items if isinstance(item, llm.ChatMessage)]
        if said[-1].role == "system":
            words = len((said[-2].text_content or "").split())
            return " ".join(WORDS[words:])
        return " ".join(WORDS)


@pytest.mark.parametrize("fault", FAULTS)
async def test_another_model_goes_on_in_the_same_sentence(server: ProviderServer, fault: Fault) -> None:
    server.faults["chat"] = fault
    server.answer = " ".join(WORDS)
    wanted = llms.Thinking(settings(server), "gpt-4o", 0.7, 300, options.ChatOptions())
    chain, switches = chained("llm", llms.build("openai", wanted), GoesOn())
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="When are you open?")
    mind = FailoverLLM(chain, HURRY)
    async with asyncio.timeout(10):
        answer = await mind.chat(chat_ctx=context).collect()
    assert answer.text.split() == WORDS, "each word once, in order"
    assert [(switched.before, switched.now) for switched in switches] == [("link 0", "link 1")]
    assert not chain.links[0].circuit.is_closed or fault == "silent", "it is not asked again for a while"
    await mind.aclose()


async def test_a_function_that_was_called_is_not_called_again_by_another_model(
    server: ProviderServer,
) -> None:
    @llm.function_tool
    async def book(day: str) -> str:
        """Book."""
        return day

    server.calls = [("book", {"day": day}) for day in ("Monday", "Tuesday", "Friday")]
    server.faults["chat"] = "stall"
    wanted = llms.Thinking(settings(server), "gpt-4o", 0.7, 300, options.ChatOptions())
    second = TableLLM()
    chain, _ = chained("llm", llms.build("openai", wanted), second)
    mind = FailoverLLM(chain, HURRY)
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="Book.")
    answer = await mind.chat(chat_ctx=context, tools=[book]).collect()
    assert [call.arguments for call in answer.tool_calls] == ['{"day": "Monday"}']
    assert second.asked == []
    await mind.aclose()


# ── voices ──
@pytest.mark.parametrize("provider", ["openai", "deepgram"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_another_voice_speaks_from_the_first_word_that_was_not_heard(
    server: ProviderServer, http: aiohttp.ClientSession, provider: str, fault: Fault
) -> None:
    given = options.read("tts", provider, "", {})
    wanted = ttss.Speaking(settings(server), "", "en-US", 1.0, given, http)
    backup = ToneTTS()
    chain, switches = chained("tts", ttss.build(provider, wanted), backup)
    voice = FailoverTTS(chain, HURRY)
    # The stand-in says 20 characters a second, which a first whole sentence tells.
    assert await said(voice, "Good morning, and welcome to the clinic.") > 1.0
    server.faults["speech" if provider == "openai" else "speak"] = fault
    if fault.isdigit() and provider == "deepgram":
        voice.chain.links[0].part._pool.invalidate()  # a status is only for those who connect
    seconds = await said(voice, " ".join(WORDS))
    assert seconds > 2.0
    repeated = backup.said[0].split()
    assert repeated == WORDS[len(WORDS) - len(repeated) :], "the end of the sentence, from a whole word on"
    assert [(switched.before, switched.now) for switched in switches] == [("link 0", "link 1")]
    half = {"cut", "stall"}
    if fault in half:
        assert len(WORDS) // 2 - 2 <= len(repeated) <= len(WORDS) // 2 + 1, repeated
    await voice.aclose()


async def said(voice: FailoverTTS, text: str) -> float:
    seconds = 0.0
    async with asyncio.timeout(15), voice.stream() as stream:
        for word in text.split():
            stream.push_text(f"{word} ")
        stream.end_input()
        async for audio in stream:
            seconds += audio.frame.duration
    return seconds


# ── ears ──
@pytest.mark.parametrize("fault", FAULTS)
async def test_another_recogniser_hears_again_what_was_lost(
    server: ProviderServer, http: aiohttp.ClientSession, fault: Fault
) -> None:
    server.faults["listen"] = fault
    given = options.read("stt", "deepgram", "nova-3", {})
    first = stts.build("deepgram", stts.Listening(settings(server), "", "en-US", (), given, http))
    ears = ListSTT("what are your hours")
    second = stt.StreamAdapter(stt=ears, vad=vad.build("native", 0.25))
    chain, switches = chained("stt", first, second)
    hears = FailoverSTT(chain, HURRY, lambda: vad.build("native", 0.25))
    finals = await understood(hears)
    assert finals == ["what are your hours"], "once, and not twice"
    assert ears.heard_seconds[0] > 1.0, "the whole utterance, not what was left of it"
    assert [(switched.before, switched.now) for switched in switches] == [("link 0", "link 1")]
    await hears.aclose()


async def understood(hears: FailoverSTT) -> list[str]:
    pcm = np.concatenate([spoken("What are your opening hours?")[::3], np.zeros(16_000, np.int16)])
    finals: list[str] = []
    async with hears.stream() as stream:

        async def listen() -> None:
            for at in range(0, len(pcm) - 799, 800):
                stream.push_frame(rtc.AudioFrame(pcm[at : at + 800].tobytes(), 16_000, 1, 800))
                await asyncio.sleep(0.005)

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(10):
            async for event in stream:
                if event.type == SpeechEventType.FINAL_TRANSCRIPT:
                    finals.append(event.alternatives[0].text)
                    break
        await listening
        # Nothing more of the same may follow.
        try:
            async with asyncio.timeout(0.7):
                async for event in stream:
                    if event.type == SpeechEventType.FINAL_TRANSCRIPT:
                        finals.append(event.alternatives[0].text)
        except TimeoutError:
            pass
    return finals


async def test_the_first_recogniser_is_back_once_it_understands_again(
    server: ProviderServer, http: aiohttp.ClientSession
) -> None:
    server.faults["listen"] = "500"
    given = options.read("stt", "deepgram", "nova-3", {})
    first = stts.build("deepgram", stts.Listening(settings(server), "", "en-US", (), given, http))
    second = stt.StreamAdapter(stt=ListSTT("one", "two", "three"), vad=vad.build("native", 0.25))
    chain, switches = chained("stt", first, second)
    hears = FailoverSTT(chain, HURRY, lambda: vad.build("native", 0.25))
    assert await understood(hears) == ["one"]
    del server.faults["listen"]
    chain.links[0].circuit._cools_until = time.monotonic()
    assert await understood(hears) == ["two"], "it is tried beside the call, and nobody waits for it"
    async with asyncio.timeout(5):
        while not chain.links[0].circuit.is_closed:
            await asyncio.sleep(0.02)
    assert await understood(hears) == [server.transcript]
    assert switches[-1].sentence == "link 0 is back, in place of link 1."
    await hears.aclose()
