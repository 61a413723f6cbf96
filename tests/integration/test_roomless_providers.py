"""Telephone calls in one process without a room, each over other vendors: all are heard and answered."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiohttp import web
from livekit import rtc

from pipelines import assemble, noise
from pipelines.agent_config import AgentConfig
from pipelines.choosing import Chooser
from pipelines.contract.brief import BriefRequest, CallBrief
from pipelines.contract.events import EVENT, CallEvent, CallStarted, UtteranceHeard, WarningRaised
from pipelines.failover import Patience
from pipelines.tools.developer import Functions
from tests.integration.test_phone_call import Wire
from tests.support.provider_server import KEY, ProviderServer, provider_server
from tests.support.rehearsal import SECRET
from tests.support.speech import words
from tests.support.stack import free_port
from tests.support.telephone import bound, telephone
from worker import call, roomless
from worker.lines.phone import PhoneLine
from worker.lines.rtp.media import Media
from worker.lines.rtp.sockets import Sockets
from worker.settings import WorkerSettings

# google-genai's own
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

GREETING = "Hello."
VOICES = {
    "openai": "openai-coral",
    "deepgram": "deepgram-thalia",
    "elevenlabs": "elevenlabs-EXAVITQu4vr4xnSDxMaL",
    "cartesia": "cartesia-f786b574-daa5-4673-aa0c-cbe3e8534c02",
}


@dataclass
class Row:
    """One call: whom it hears, thinks and speaks with, and what the record calls them."""

    hears: dict[str, Any]
    thinks: dict[str, Any]
    voice: str
    names: tuple[str, str, str]
    events: list[CallEvent] = field(default_factory=list)

    def of(self, kind: type) -> list[Any]:
        return [event for event in self.events if isinstance(event, kind)]

    def served(self) -> tuple[str, ...]:
        (started,) = self.of(CallStarted)
        return tuple(name.rsplit("/", 1)[-1] for name in (started.stt, started.llm, started.tts))

    def told(self) -> set[str]:
        return {event.code for event in self.of(WarningRaised)} - {"loop_stalled"}  # six at once, in a test

    def said(self) -> list[tuple[str, str]]:
        return [(event.utterance.role, event.utterance.text) for event in self.of(UtteranceHeard)]


def rows(engine_url: str) -> dict[str, Row]:
    """Every provider of each kind at least once."""
    own = {"provider": "custom-llm", "model": "", "websocket_url": engine_url}
    gpt, claude = (
        {"provider": "openai", "model": "gpt-4o"},
        {"provider": "anthropic", "model": "claude-sonnet-4-6"},
    )
    gemini = {"provider": "gemini", "model": "gemini-2.5-flash"}
    router = {"provider": "openrouter", "model": "openrouter/auto"}
    at_once = {"provider": "openai", "model": "gpt-realtime", "kind": "realtime"}
    speech, dialog = "gpt-4o-mini-tts", "127.0.0.1"
    return {
        "nova": Row({"provider": "deepgram"}, gpt, "deepgram", ("nova-3", "gpt-4o", "aura-2-thalia-en")),
        "flux": Row(
            {"provider": "deepgram", "model": "flux"},
            claude,
            "openai",
            ("flux-general-en", "claude-sonnet-4-6", speech),
        ),
        "whole": Row(
            {"provider": "openai"},
            gemini,
            "elevenlabs",
            ("gpt-4o-mini-transcribe", "gemini-2.5-flash", "eleven_turbo_v2_5"),
        ),
        "ink": Row({"provider": "cartesia"}, router, "cartesia", ("ink-whisper", "auto", "sonic-3")),
        "scribe": Row(
            {"provider": "elevenlabs", "noise_suppression": True},
            own,
            "openai",
            ("scribe_v2_realtime", dialog, speech),
        ),
        "realtime": Row({}, at_once, "openai", ("gpt-realtime", "gpt-realtime", "gpt-realtime")),
    }


def agent(row: Row) -> AgentConfig:
    told = {"agent_id": "a", "name": "A", "begin_message": GREETING, "begin_message_mode": "static"}
    return AgentConfig.model_validate(
        {**told, "hearing": row.hears, "engine": row.thinks, "voice_id": VOICES[row.voice]}
    )


def settings_of(home: Path, api: str, server: ProviderServer) -> WorkerSettings:
    keys = ("OPENAI", "DEEPGRAM", "OPENROUTER", "ANTHROPIC", "GOOGLE")
    return WorkerSettings.load(
        {
            "CALL2ME_HOME": str(home),
            "CALL2ME_API_URL": api,
            "CALL2ME_INTERNAL_KEY": "internal",
            "CALL2ME_LOCAL_MODELS": "off",
            "CALL2ME_ALLOW_HOSTS": "127.0.0.1",
            "LIVEKIT_API_KEY": "key",
            "LIVEKIT_API_SECRET": SECRET,
            **{f"{name}_API_KEY": KEY for name in (*keys, "ELEVEN", "CARTESIA")},
            **{f"{name}_BASE_URL": server.url for name in ("DEEPGRAM", "ANTHROPIC", "GOOGLE", "CARTESIA")},
            **{f"{name}_BASE_URL": f"{server.url}/v1" for name in ("OPENAI", "OPENROUTER", "ELEVEN")},
        }
    )


@contextlib.asynccontextmanager
async def beside(server: ProviderServer, briefs: dict[str, CallBrief]) -> AsyncIterator[str]:
    """The api as far as it hands out briefs, and a dialog engine of an owner's own."""

    async def brief(request: web.Request) -> web.Response:
        BriefRequest.model_validate_json(await request.read())
        return web.json_response(text=briefs[request.match_info["call_id"]].model_dump_json())

    async def engine(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            if (asked := message.json())["type"] == "request":
                await socket.send_json({"id": asked["id"], "type": "text", "text": server.answer})
                await socket.send_json({"id": asked["id"], "type": "done"})
        return socket

    app = web.Application()
    app.router.add_post("/internal/calls/{call_id}/brief", brief)
    app.router.add_get("/engine", engine)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield f"127.0.0.1:{port}"
    await runner.cleanup()


async def called(host: call.Host, call_id: str, row: Row, question: np.ndarray) -> None:
    """Ring, ask once the greeting is over, and hang up after the answer."""
    ours, theirs = bound(), bound()
    media, wire = Media("PCMU", 0, theirs.getsockname(), digits_payload_type=101), Wire()
    spooled = host.settings.spool / f"{call_id}.1.jsonl"

    def record() -> list[tuple[str, str]]:
        lines = spooled.read_bytes().splitlines() if spooled.is_file() else []
        row.events = [EVENT.validate_json(line) for line in lines]
        return row.said()

    async with telephone(theirs, ours.getsockname()) as phone:
        held = roomless.begin(
            call.hold(
                host, call_id, f"job-{call_id}", lambda identity: PhoneLine(wire, media, Sockets(ours))
            ),
            f"job-{call_id}",
        )
        try:
            await until(held, lambda: len(record()) == 1)
            phone.say(question)
            await until(held, lambda: not phone.is_talking)
            asked_until = phone.spoke_until
            await until(held, lambda: len(record()) >= 3)
            assert phone.first_sound(asked_until) is not None, "the answer can be heard"
            wire.bye()
            await asyncio.wait_for(held, 20)
        finally:
            held.cancel()
            await asyncio.gather(held, return_exceptions=True)
            record()


async def until(held: "asyncio.Task[None]", true: Any) -> None:
    async with asyncio.timeout(30):
        while not true():
            assert not held.done(), "the call is over too early"
            await asyncio.sleep(0.05)


async def test_every_provider_hears_thinks_and_speaks_in_calls_that_no_room_brings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # On a busy machine nobody steps in for the slow; who fails is still told of.
    patience = Patience(first_token=15, token_gap=15, first_audio=15, audio_gap=15, no_words=15, no_final=15)
    monkeypatch.setattr(assemble, "Chooser", functools.partial(Chooser, patience=patience))
    loudest: list[int] = []
    clean = noise.Suppressor.clean

    def cleaned(self: noise.Suppressor, frame: rtc.AudioFrame) -> list[rtc.AudioFrame]:
        ready = clean(self, frame)
        loudest.extend(int(np.abs(np.frombuffer(one.data, np.int16)).max(initial=0)) for one in ready)
        return ready

    monkeypatch.setattr(noise.Suppressor, "clean", cleaned)
    question = words("What are your hours?")
    briefs: dict[str, CallBrief] = {}
    async with provider_server(free_port()) as server, beside(server, briefs) as address:
        table = rows(f"ws://{address}/engine")
        briefs.update({name: CallBrief(call_id=name, agent=agent(row)) for name, row in table.items()})
        settings = settings_of(tmp_path, f"http://{address}", server)
        host = call.Host(settings, Functions(), lambda brief, models: None)
        ends = await asyncio.gather(
            *(called(host, name, row, question) for name, row in table.items()), return_exceptions=True
        )
    talk = [("agent", GREETING), ("user", server.transcript), ("agent", server.answer)]
    held = {
        name: (end, row.said(), row.served(), row.told())
        for (name, row), end in zip(table.items(), ends, strict=True)
    }
    assert held == {name: (None, talk, row.names, set()) for name, row in table.items()}
    assert max(loudest) > 1000, "the caller is heard through what takes noise out"
    assert server.refused == []
