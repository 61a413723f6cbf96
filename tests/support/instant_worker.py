"""The real agent server with instant providers.

What the callers say and what the agent answers comes as JSON in REHEARSAL.
"""

import asyncio
import dataclasses
import functools
import json
import logging
import os
from typing import Any

from livekit.agents import JobProcess

from pipelines.processes import watch_life_pipe
from tests.support.fake_providers import Call, FakeParts, ListSTT, TableLLM
from worker import agents, call
from worker.settings import WorkerSettings


def prepare(settings: WorkerSettings, script: dict[str, Any], process: JobProcess) -> None:
    """Prepare a job's process as the real one does, and swap the providers."""
    agents.prepare(settings, process)
    host: call.Host = process.userdata["host"]
    answers = {
        question: Call(**answer) if isinstance(answer, dict) else answer
        for question, answer in script["answers"].items()
    }
    parts = FakeParts(
        ears=functools.partial(ListSTT, *script["heard"]), mind=functools.partial(TableLLM, answers)
    )
    process.userdata["host"] = dataclasses.replace(host, local=parts)


def main() -> None:
    """Run until SIGTERM; call it from `python -c`, so that job processes find `prepare` by its module."""
    watch_life_pipe()
    logging.basicConfig(level=logging.INFO)
    settings = WorkerSettings.load()
    script = json.loads(os.environ["REHEARSAL"])
    asyncio.run(agents.run(settings, agents.server(settings, functools.partial(prepare, settings, script))))
