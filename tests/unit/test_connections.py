"""Calls of one process read certificates once, and share what is open with those of the same key."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from aiohttp import web
from livekit.agents import APIConnectionError, APIConnectOptions, llm
from livekit.agents.utils import http_context

from pipelines import connections, options
from pipelines import llm as llms
from pipelines import tts as ttss
from pipelines.agent_config import AgentConfig
from pipelines.assemble import assemble
from pipelines.contract.brief import CallBrief
from pipelines.outbound import Guard
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import Functions
from tests.support.certificates import certificate
from tests.support.rehearsal import SECRET
from tests.support.stack import free_port
from tests.support.wire.openai import OpenAIWire
from tests.support.wire.server import KEY, ProviderServer
from worker import agents, roomless
from worker.settings import WorkerSettings

# google-genai's own
pytestmark = pytest.mark.filterwarnings("ignore:Inheritance class AiohttpClientSession:DeprecationWarning")

ONCE = APIConnectOptions(max_retry=0, timeout=5.0)
KEYS = ("OPENAI", "DEEPGRAM", "OPENROUTER", "ANTHROPIC", "GOOGLE", "ELEVEN", "CARTESIA")


def wanted() -> list[AgentConfig]:
    """One that hears, thinks and speaks with all there is, and one that does it with one model."""
    engine = {"provider": "openai", "model": "gpt-4o"}
    hears = {"provider": "openai", "fallbacks": [{"provider": name} for name in ("cartesia", "elevenlabs")]}
    ordinary = {"agent_id": "a", "name": "A", "engine": engine, "hearing": hears}
    at_once = {**ordinary, "engine": {**engine, "model": "gpt-realtime", "kind": "realtime"}}
    return [AgentConfig.model_validate(one) for one in (ordinary, at_once)]


async def assembled(agent: AgentConfig, settings: ProviderSettings) -> set[str]:
    """Assemble a pipeline and close it: the providers that are in it."""
    guard = Guard()
    pipeline = await assemble(
        CallBrief(call_id="c", agent=agent), settings, Functions(), datetime.now(UTC), guard=guard
    )
    async with guard.session():
        chains = [getattr(part, "chain", None) for part in (pipeline.stt, pipeline.llm, pipeline.tts)]
        providers = {link.provider for chain in chains if chain is not None for link in chain.links}
    await pipeline.aclose()
    await guard.close()
    return providers


async def test_what_is_made_for_a_call_reads_no_certificates(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in (
        "LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE",
        "LIVEKIT_URL",
        "LIVEKIT_API_KEY",
        "LIVEKIT_API_SECRET",
    ):
        monkeypatch.setenv(name, "")  # to be as it was, once this is over
    settings = WorkerSettings.load(
        {
            "CALL2ME_HOME": str(tmp_path),
            "CALL2ME_API_URL": "http://127.0.0.1:1",
            "CALL2ME_INTERNAL_KEY": "internal",
            "CALL2ME_LOCAL_MODELS": "off",
            "LIVEKIT_API_KEY": "key",
            "LIVEKIT_API_SECRET": SECRET,
            **{f"{name}_API_KEY": "k" for name in KEYS},
        }
    )
    connections._certificates.cache_clear()
    http_context._ssl_context_for.cache_clear()
    agents.preload(settings)
    read: list[str] = []
    providers: set[str] = set()

    async def call() -> None:
        for agent in wanted():
            providers.update(await assembled(agent, settings.providers))
        async with connections.client("", "k", httpx2.Timeout(3.0)) as http:
            with pytest.raises(httpx2.ConnectError):
                await http.get(f"http://127.0.0.1:{free_port()}")

    with monkeypatch.context() as patched:
        for name in ("load_verify_locations", "load_default_certs", "set_default_verify_paths"):
            patched.setattr(ssl.SSLContext, name, lambda *told, of=name, **more: read.append(of))
        await roomless.begin(call(), "first")
        await roomless.begin(call(), "second")
        assert read == []
        ssl.create_default_context()
        assert read, "what reads them would have been seen"
    every = {"openai", "openrouter", "anthropic", "gemini", "deepgram", "cartesia", "elevenlabs"}
    assert every <= providers, "the real clients of all of them were made"


def test_who_is_trusted_is_what_a_client_of_its_own_would_have_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ours, _ = certificate(tmp_path, "ours")
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
    usual = connections.certificates()
    assert usual is connections.certificates()
    assert told_of(usual) == told_of(httpx2.create_ssl_context())
    monkeypatch.setenv("SSL_CERT_FILE", str(ours))
    named = connections.certificates()
    assert told_of(named) == told_of(httpx2.create_ssl_context())
    assert named.cert_store_stats()["x509"] == 1 < usual.cert_store_stats()["x509"]


def told_of(context: ssl.SSLContext) -> tuple[Any, ...]:
    names = [one["subject"] for one in context.get_ca_certs()]
    manner = (context.verify_mode, context.check_hostname, context.minimum_version, context.options)
    return (type(context), names, context.cert_store_stats(), *manner)


class Provider(ProviderServer):
    """OpenAI's protocol over TLS, counting whom it shook hands with."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.sockets: list[Any] = []

    @property
    def handshakes(self) -> int:
        return len(set(map(id, self.sockets)))


@pytest.fixture
async def provider(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Provider]:
    certificate_file, key_file = certificate(tmp_path, "provider")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate_file))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    port = free_port()
    server = Provider(f"https://127.0.0.1:{port}/v1")

    @web.middleware
    async def count(request: web.Request, handler: Any) -> web.StreamResponse:
        server.sockets.append(request.transport)
        return await handler(request)  # type: ignore[no-any-return]

    app = web.Application(middlewares=[count])
    OpenAIWire(server).add_to(app)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_file, key_file)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    yield server
    await runner.cleanup()


def mind(provider: Provider, key: str = KEY) -> llm.LLM[Any]:
    settings = ProviderSettings(openai_api_key=key, openai_base_url=provider.url)
    given = options.read("llm", "openai", "gpt-4o", {})
    return llms.build("openai", llms.Thinking(settings, "gpt-4o", 0.7, 300, given))


async def answered(thinks: llm.LLM[Any]) -> str:
    context = llm.ChatContext.empty()
    context.add_message(role="user", content="When are you open?")
    return (await thinks.chat(chat_ctx=context, conn_options=ONCE).collect()).text


async def test_calls_with_one_key_share_what_is_open_and_nobody_closes_it_for_the_others(
    provider: Provider,
) -> None:
    first, second = mind(provider), mind(provider)
    assert await answered(first) == await answered(second)
    assert provider.handshakes == 1, "the second call's first word waits for none"
    await first.aclose()
    assert await answered(second)
    settings = ProviderSettings(openai_api_key=KEY, openai_base_url=provider.url)
    given = options.read("tts", "openai", "coral", {})
    voice = ttss.build("openai", ttss.Speaking(settings, "coral", "en-US", 1.0, given))
    async with voice, voice.synthesize("Hello.") as chunks:
        assert [chunk async for chunk in chunks]
    assert provider.handshakes == 1
    await second.aclose()
    last = mind(provider)
    assert await answered(last)
    assert provider.handshakes == 2, "it was closed with the last one who used it"
    await last.aclose()
    assert provider.refused == []


async def test_a_process_of_many_calls_keeps_what_is_open_from_one_to_the_next(provider: Provider) -> None:
    async with connections.kept():
        for _ in range(3):
            thinks = mind(provider)
            assert await answered(thinks)
            await thinks.aclose()
        assert provider.handshakes == 1
        still = mind(provider)
        assert await answered(still)
    assert await answered(still), "who is not done yet may go on"
    await still.aclose()
    assert provider.handshakes == 1
    async with asyncio.timeout(5):
        while not provider.sockets[0].is_closing():
            await asyncio.sleep(0.01)


async def test_another_key_never_has_the_same_connection(provider: Provider) -> None:
    ours, theirs = mind(provider), mind(provider, "another-key")
    assert await answered(ours)
    with pytest.raises(Exception, match="401"):
        await answered(theirs)
    assert provider.handshakes == 2
    await ours.aclose()
    await theirs.aclose()


async def test_answers_asked_for_at_once_and_given_up_leave_the_others_alone(provider: Provider) -> None:
    provider.faults["chat"] = "stall"
    calls = [mind(provider) for _ in range(8)]
    stuck = [asyncio.create_task(answered(one)) for one in calls]
    async with asyncio.timeout(10):
        while len(provider.chats) < len(calls):
            await asyncio.sleep(0.01)
    for one in stuck:
        one.cancel()
    await asyncio.gather(*stuck, return_exceptions=True)
    provider.faults.clear()
    for one in calls[1:]:
        await one.aclose()
    assert await answered(calls[0])
    await calls[0].aclose()


async def test_a_server_with_a_strangers_certificate_is_not_asked(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    stranger = mind(provider)
    with pytest.raises(APIConnectionError):
        await answered(stranger)
    assert provider.chats == []
    await stranger.aclose()


async def test_the_proxy_of_the_environment_is_asked_as_before(
    provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readline())
        writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(proxy, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("NO_PROXY", raising=False)
        monkeypatch.delenv("no_proxy", raising=False)
        http = connections.client(provider.url, KEY, httpx2.Timeout(3.0))
        with pytest.raises(httpx2.ProxyError):
            await http.get(f"{provider.url}/models")
        await http.aclose()
    host = provider.url.removeprefix("https://").removesuffix("/v1")
    assert asked == [f"CONNECT {host} HTTP/1.1\r\n".encode()]
