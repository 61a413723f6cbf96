"""The agent server: registers with livekit-server and gives each call a process."""

import asyncio
import contextlib
import dataclasses
import functools
import importlib
import logging
import os
import signal
import subprocess
from collections.abc import Callable

import psutil
import uvloop
from livekit.agents import AgentServer, AutoSubscribe, JobContext, JobExecutorType, JobProcess
from livekit.agents.utils import http_context
from pydantic import ValidationError

from pipelines import connections
from pipelines.contract.brief import AGENT_NAME, JobMetadata
from pipelines.local.languages import espeak_program, espeak_voice
from pipelines.providers import OFFERS, why_not
from pipelines.tools import developer
from worker import call, knowledge, logs, tracing
from worker.functions import kept_code
from worker.host import Host
from worker.lines.listening import ListeningRooms
from worker.lines.room import RoomLine
from worker.lines.sip_transfer import SipTransfer
from worker.presence import AgentsPresence
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

STARTUP_SECONDS = 60.0
END_SECONDS = 60.0
ORPHANED_SECONDS = 0.5
LONGEST_CALL_SECONDS = 4 * 3600
"""How long draining may take; what bounds it is the supervisor's own patience."""


# ── in a job's process ───────────────────────────────────────────────────────────────────────────
def prepare(settings: WorkerSettings, process: JobProcess) -> None:
    """Make a fresh process ready for a call: its loop, its logs, the developers' functions."""
    logs.hush()
    tracing.follow(settings)
    _read_certificates()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    functions = developer.load(settings.functions, kept_code(settings.run))
    knows = knowledge.knows(settings)
    process.userdata["host"] = Host(settings, functions, knows)


async def answer(context: JobContext) -> None:
    """Begin a call and return; `finish` waits for it. LiveKit ends a job whose entrypoint lingers."""
    try:
        metadata = JobMetadata.model_validate_json(context.job.metadata or "")
    except ValidationError:
        logger.warning("a job without a call was offered", extra={"job_id": context.job.id})
        context.shutdown("not a call")
        return
    connected = asyncio.create_task(context.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY))
    host: Host = context.proc.userdata["host"]
    # A warm process may have waited for hours; what was saved meanwhile counts.
    folder, kept = host.settings.functions, kept_code(host.settings.run)
    host = dataclasses.replace(host, functions=developer.refreshed(host.functions, folder, kept))
    held = asyncio.create_task(
        call.hold(
            host,
            metadata.call_id,
            context.job.id,
            functools.partial(
                RoomLine,
                context,
                connected,
                SipTransfer(host.settings, metadata.call_id),
                ListeningRooms(host.settings),
            ),
            attempt=metadata.attempt,
        )
    )
    context.proc.userdata["held"] = held
    held.add_done_callback(lambda _: context.shutdown("the call is over"))
    await asyncio.wait({connected})


async def finish(context: JobContext) -> None:
    """Wait until the call has written its end; it ends with its session, which is closed by now."""
    held: asyncio.Task[None] | None = context.proc.userdata.get("held")
    if held is None:
        return
    _, pending = await asyncio.wait({held}, timeout=END_SECONDS)
    if pending:
        held.cancel()
    elif (error := held.exception()) is not None:
        logger.error("a call broke", exc_info=error)
    await tracing.flush()


# ── the agent server ─────────────────────────────────────────────────────────────────────────────
class Load:
    """How full this worker is, from 0 to 1: by calls, and by processor where it has any to show."""

    def __init__(self, max_calls: int) -> None:
        self._max_calls = max_calls
        self._busy = 0.0

    def __call__(self, server: AgentServer) -> float:
        """Asked twice a second."""
        calls = len(server.active_jobs)
        self._busy += 0.1 * (psutil.cpu_percent(None) / 100 - self._busy)
        # A machine that others keep busy may still take its first calls.
        is_overloaded = self._busy > 0.97 and calls >= (os.cpu_count() or 1)
        return 1.0 if is_overloaded else min(1.0, calls / self._max_calls)


def server(settings: WorkerSettings, setup: Callable[[JobProcess], None] | None = None) -> AgentServer:
    """The agent server of this machine: a process for each call, some of them warm.

    `setup` stands in for `prepare`; it must be picklable.
    """
    os.environ["LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"] = "0"
    made = AgentServer(
        job_executor_type=JobExecutorType.PROCESS,
        ws_url=settings.livekit_url,
        api_key=settings.livekit_api_key,
        api_secret=settings.livekit_api_secret,
        host="127.0.0.1",
        port=0,
        num_idle_processes=settings.idle_processes,
        initialize_process_timeout=STARTUP_SECONDS,
        shutdown_process_timeout=END_SECONDS,
        session_end_timeout=END_SECONDS,
        drain_timeout=LONGEST_CALL_SECONDS,
        # It waits for livekit-server for ever; the supervisor says so meanwhile.
        max_retry=1_000_000,
        load_fnc=Load(settings.max_calls),
        load_threshold=0.999,
        setup_fnc=setup or functools.partial(prepare, settings),
        preload_modules=_preloaded(settings),
    )
    made.rtc_session(answer, agent_name=AGENT_NAME, on_session_end=finish)
    return made


def share(settings: WorkerSettings, number: int, count: int) -> WorkerSettings:
    """What one of several agent servers of this worker has to offer."""

    def part(total: int) -> int:
        return max(1, (total + count - number) // count)

    return dataclasses.replace(
        settings, max_calls=part(settings.max_calls), idle_processes=part(settings.idle_processes)
    )


def preload(settings: WorkerSettings) -> None:
    """Import what every call needs; it starts no threads and opens no connections.

    Processes of calls are forked from here, before LiveKit itself would tell its environment.
    """
    os.environ["LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"] = "0"
    os.environ["LIVEKIT_URL"] = settings.livekit_url
    os.environ["LIVEKIT_API_KEY"] = settings.livekit_api_key
    os.environ["LIVEKIT_API_SECRET"] = settings.livekit_api_secret
    http_context._set_default_cert_env()
    _read_certificates()
    for module in [*_preloaded(settings), "livekit.agents.ipc._preload"]:
        importlib.import_module(module)
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        espeak_voice("en")  # runs espeak-ng for its list of voices, and remembers it


def _read_certificates() -> None:
    """Every one there is, for the two ways in which providers are asked: not in the middle of a call."""
    http_context._create_ssl_context()
    connections.certificates()


def _preloaded(settings: WorkerSettings) -> list[str]:
    """What every call needs, imported once and shared by all processes of calls."""
    # anyio's: each client over HTTP loads it with its first request.
    modules = ["worker.agents", "livekit.local_inference", "anyio._backends._asyncio"]
    if settings.providers.models_socket is not None:
        modules += [f"pipelines.local.{name}" for name in ("whisper", "hibari")]
    if espeak_program() is not None:
        modules.append("pipelines.local.espeak")
    given = settings.providers
    here = [offer for offer in OFFERS if not why_not(offer, given) and offer.provider != "openai-realtime"]
    modules += [f"pipelines.{offer.kind}.{offer.provider}" for offer in here]
    # Without a model it answers every call, and with one it is the last in the chain.
    modules.append("pipelines.local.scripted.llm")
    if settings.providers.vad == "silero":
        modules.append("livekit.plugins.silero")
    return modules


def serve(settings: WorkerSettings) -> None:
    """Take calls until SIGTERM (finish them, as long as draining may take) or SIGINT (end them)."""
    # Not uvloop: LiveKit pings processes that just ended, which uvloop answers with loud errors.
    asyncio.run(run(settings, server(settings)))


async def run(settings: WorkerSettings, made: AgentServer) -> None:
    """Run the agent server until a signal, saying to the supervisor how it is."""
    loop = asyncio.get_running_loop()
    stopping: list[asyncio.Task[None]] = []

    def stop(*, draining: bool) -> None:
        stopping.append(loop.create_task(_stop(made, draining=draining)))

    loop.add_signal_handler(signal.SIGTERM, functools.partial(stop, draining=True))
    loop.add_signal_handler(signal.SIGINT, functools.partial(stop, draining=False))
    async with AgentsPresence(settings.calls_socket, lambda: (_is_registered(made), _idle(made))):
        orphaned = loop.create_task(_orphaned(os.getppid(), lambda: stop(draining=True)))
        await made.run(devmode=False)
        orphaned.cancel()
        await asyncio.gather(*stopping)


async def _orphaned(parent: int, stop: Callable[[], None]) -> None:
    """Whoever started this is gone and has a successor: take no more calls."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(ORPHANED_SECONDS)
    logger.warning("the image is gone, draining")
    stop()


async def _stop(made: AgentServer, *, draining: bool) -> None:
    if draining:
        with contextlib.suppress(TimeoutError):
            await made.drain()
    await made.aclose()


def _is_registered(made: AgentServer) -> bool:
    # LiveKit publishes an event for the first registration, but nothing for a lost connection.
    return made.id != "unregistered" and not made._connecting and not made.draining


def _idle(made: AgentServer) -> int:
    pool = getattr(made, "_proc_pool", None)
    return pool._warmed_proc_queue.qsize() if pool is not None else 0
