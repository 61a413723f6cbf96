"""How long a caller waits when a provider falls silent: `python -m bench.failover`.

A whole session on a line without a network, with real deadlines. The vendors are stand-ins on this
machine that answer at once until they are told to fail; what steps in is what a plain installation has:
the scripted engine, a voice of this machine, and ears that need a tenth of a second. Prints JSON.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
import numpy as np

from pipelines.agent_config import AgentConfig
from pipelines.assemble import Pipeline, assemble
from pipelines.contract.brief import CallBrief
from pipelines.local.espeak import EspeakTTS
from pipelines.local.scripted.llm import ScriptedLLM
from pipelines.providers import ProviderSettings
from pipelines.tools.developer import Functions
from tests.support.desk import DeskLine
from tests.support.fake_providers import FakeParts, ListSTT
from tests.support.ports import free_port
from tests.support.provider_server import KEY, ProviderServer, provider_server
from tests.support.speech import spoken
from tests.support.wire.faults import Fault

ROUNDS = 3
QUESTION = "What are your opening hours, please?"
KINDS = {"chat": "llm", "speech": "tts", "listen": "stt"}
FAULTS: tuple[Fault, ...] = ("500", "silent", "stall")


@contextlib.asynccontextmanager
async def session(server: ProviderServer) -> AsyncIterator[tuple[DeskLine, Pipeline]]:
    settings = ProviderSettings(
        openai_api_key=KEY,
        openai_base_url=f"{server.url}/v1",
        deepgram_api_key=KEY,
        deepgram_base_url=server.url,
    )
    agent = {
        "agent_id": "a",
        "name": "A",
        "language": "en-US",
        "voice_id": "openai-alloy",
        "begin_message": "Hello.",
        "begin_message_mode": "static",
        "engine": {"provider": "openai", "model": "gpt-4o", "instructions": "We are open from nine to five."},
    }
    parts = FakeParts(
        ears=lambda: ListSTT(*[QUESTION] * 9),
        mind=lambda: ScriptedLLM(language="en"),
        voice=lambda: EspeakTTS(language="en-US"),
    )
    brief = CallBrief(call_id="c", agent=AgentConfig.model_validate(agent))
    async with aiohttp.ClientSession() as http:
        pipeline = await assemble(brief, settings, Functions(), datetime.now(UTC), local=parts, http=http)  # type: ignore[arg-type]
        line, running = DeskLine(), pipeline.session()
        await line.start(running, pipeline.agent, None)
        try:
            yield line, pipeline
        finally:
            running.options.session_close_transcript_timeout = 0
            await running.aclose()
            await pipeline.aclose()
            await line.hang_up()


async def wait(server: ProviderServer, where: str, fault: Fault) -> tuple[float, float]:
    """Seconds from the caller's last word to the first sound of the answer; for a stall, the longest gap.

    And those from the moment at which the vendor was asked, which is when a silent one began to stall.
    """
    async with session(server) as (line, _):
        await sound(line, after=0.0)
        await asyncio.sleep(1.5)
        if fault:
            server.faults[where] = fault
        before, asked = line.output.heard_seconds, len(requests(server, where))
        line.input.say(spoken(QUESTION)[::3])
        await line.input.silent.wait()
        ended = time.perf_counter()
        asking = asyncio.ensure_future(asked_at(server, where, asked))
        first = await sound(line, after=before)
        asking.cancel()
        stalled = asking.result() if asking.done() and not asking.cancelled() else ended
        longest = first - ended
        if fault == "stall":
            longest = max(longest, await gap(line))
        server.faults.clear()
        return longest, first - max(stalled, ended)


def requests(server: ProviderServer, where: str) -> list[dict[str, Any]]:
    return {"chat": server.chats, "speech": server.speeches, "listen": server.listens}[where]


async def asked_at(server: ProviderServer, where: str, before: int) -> float:
    while len(requests(server, where)) <= before:  # noqa: ASYNC110 - looked at from outside
        await asyncio.sleep(0.005)
    return time.perf_counter()


async def sound(line: DeskLine, after: float) -> float:
    async with asyncio.timeout(20):
        while line.output.heard_seconds <= after:  # noqa: ASYNC110 - looked at from outside, as a caller would
            await asyncio.sleep(0.005)
    return time.perf_counter()


async def gap(line: DeskLine) -> float:
    """The longest silence within the answer."""
    last, longest, heard = time.perf_counter(), 0.0, line.output.heard_seconds
    until = last + 5.0
    while (now := time.perf_counter()) < until:
        if line.output.heard_seconds > heard:
            longest, last, heard = max(longest, now - last), now, line.output.heard_seconds
        await asyncio.sleep(0.005)
    return longest


async def measure(
    kinds: Mapping[str, str] = KINDS, faults: Sequence[Fault] = ("", *FAULTS)
) -> dict[str, Any]:
    """For each kind of provider and each way to fail, the median and the longest wait of some rounds."""
    found: dict[str, Any] = {}
    async with provider_server(free_port()) as server:
        server.answer = "We are open from nine to five, Monday to Friday, and we would love to see you there."
        for where, kind in kinds.items():
            for fault in faults:
                waits = [await wait(server, where, fault) for _ in range(ROUNDS)]
                name = f"{kind} {fault or 'well'}"
                heard, stalled = zip(*waits, strict=True)
                found[name] = {
                    "median": round(float(np.median(heard)), 2),
                    "longest": round(max(heard), 2),
                    "after the vendor was asked": round(float(np.median(stalled)), 2),
                }
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measure()), indent=1))
