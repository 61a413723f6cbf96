"""The processes that are measured, as the product starts them; their ears, mind and voice take no time."""

import asyncio
import dataclasses
import logging

import uvloop
from livekit.agents import JobProcess

from bench.parts import onset
from bench.parts.script import utterances
from pipelines.processes import watch_life_pipe
from pipelines.tools.developer import Functions
from worker import agents, logs, memory
from worker.exchange import shard
from worker.host import Host
from worker.settings import WorkerSettings


def hold_phone_calls() -> None:
    """A shard, until SIGTERM."""
    watch_life_pipe()
    logs.hush()
    settings = WorkerSettings.load()
    agents.preload(settings)
    utterances()
    host = Host(settings, Functions(), lambda brief, models: None, onset.parts())  # type: ignore[arg-type]
    memory.settle()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(shard.serve_calls(host))


def prepare_room_call(process: JobProcess) -> None:
    """One call's process."""
    agents.prepare(WorkerSettings.load(), process)
    utterances()
    process.userdata["host"] = dataclasses.replace(process.userdata["host"], local=onset.parts())


def hold_room_calls() -> None:
    """An agent server, until SIGTERM."""
    watch_life_pipe()
    logging.basicConfig(level=logging.INFO)  # that it is registered is read from its log
    settings = WorkerSettings.load()
    asyncio.run(agents.run(settings, agents.server(settings, prepare_room_call)))
