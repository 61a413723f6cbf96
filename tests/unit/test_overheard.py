"""What is kept of two who were put through: no more than what they said to each other."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipelines.agent_config import AgentConfig
from pipelines.contract.brief import CallBrief
from tests.support.recordings import RATE, decoded
from tests.support.rtp import tone
from tests.unit.test_overhearing import Ears
from worker.exchange import words
from worker.exchange.overheard import Overheard
from worker.recording import PHONE_RATE
from worker.spool import SpoolKey


async def test_the_recording_ends_with_the_talk_though_the_last_words_are_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"enable_recording": True, "record_after_transfer": True, "transcribe_after_transfer": True}
    agent = AgentConfig.model_validate({"agent_id": "a", "name": "A", **kept})

    async def brief(_request: web.Request) -> web.Response:
        return web.json_response(text=CallBrief(call_id="c1", attempt=2, agent=agent).model_dump_json())

    app = web.Application()
    app.router.add_post("/internal/calls/c1/overheard", brief)
    monkeypatch.setattr(words, "ears", lambda *_: (Ears(), None))  # which are never done with the last words
    async with TestServer(app) as server:
        url = str(server.make_url("")).rstrip("/")
        settings = SimpleNamespace(
            spool=tmp_path, worker_id="w1", api_url=url, internal_key="key", providers=None
        )
        host: Any = SimpleNamespace(settings=settings, local=None)
        overheard = Overheard(host, "c1", "job-1")
        keeping = asyncio.create_task(overheard.run())
        async with asyncio.timeout(20):
            while overheard._recording is None or overheard._words is None:
                await asyncio.sleep(0.01)
            began_at = time.time()
            for tell in (overheard.caller, overheard.agent, overheard.person):
                tell(tone(0.5, 500, PHONE_RATE).tobytes(), PHONE_RATE, began_at)
            await asyncio.sleep(0.5)
            overheard.end()
            ended = time.monotonic()
            await keeping
    assert time.monotonic() - ended > 1, "the last words had their time"
    sound = decoded(SpoolKey("c1", 2).recording(tmp_path))
    assert 0.4 < sound.shape[1] / RATE < 1.5
