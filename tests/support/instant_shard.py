"""A real shard with instant providers. What callers say and the agent answers comes as JSON in REHEARSAL."""

import asyncio
import functools
import json
import logging
import os
from collections.abc import Callable
from typing import Any

from livekit.agents import tts

from pipelines.processes import watch_life_pipe
from pipelines.tools.developer import Functions
from tests.support.fake_providers import Call, FakeParts, ListSTT, TableLLM, ToneTTS
from worker.exchange import shard
from worker.host import Host
from worker.settings import WorkerSettings


def main(voice: Callable[[], tts.TTS[Any]] = ToneTTS) -> None:
    """Run until SIGTERM."""
    watch_life_pipe()
    logging.basicConfig(level=logging.INFO)
    settings, script = WorkerSettings.load(), json.loads(os.environ["REHEARSAL"])
    answers = {
        question: Call(**answer) if isinstance(answer, dict) else answer
        for question, answer in script["answers"].items()
    }
    parts = FakeParts(
        ears=functools.partial(ListSTT, *script["heard"]),
        mind=functools.partial(TableLLM, answers),
        voice=voice,
    )
    host = Host(settings, Functions(), lambda brief, models: None, parts)  # type: ignore[arg-type]
    asyncio.run(shard.serve_calls(host))
