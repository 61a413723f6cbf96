"""A line that is a LiveKit room, and the agent server whose jobs open it."""

import asyncio
import contextlib
import dataclasses
import functools
import json
import logging
import os
import signal
from collections.abc import Callable
from typing import Any

import psutil
import uvloop
from livekit import rtc
from livekit.agents import (
    Agent,
    AgentServer,
    AgentSession,
    AutoSubscribe,
    JobContext,
    JobExecutorType,
    JobProcess,
)
from livekit.agents.llm import ChatMessage
from livekit.agents.voice.room_io import (
    AudioInputOptions,
    AudioOutputOptions,
    RoomIO,
    RoomOptions,
    TextInputEvent,
    TextOutputOptions,
)
from pydantic import ValidationError

from pipelines.contract import AGENT_NAME, LIVE_TOPIC, JobMetadata
from pipelines.tools import developer
from worker import call, knowledge_cache
from worker.conversation import TYPED
from worker.lines.heard import HeardInput, HeardOutput
from worker.lines.line import AudioTap, LineClosed, NobodyCame
from worker.presence import AgentsPresence
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

NOBODY_SECONDS = 20.0
BACK_SECONDS = 12.0
"""A browser that lost its network and reconnects is back within this time, or gone."""
TELL_SECONDS = 2.0
MAX_TYPED = 2_000
STARTUP_SECONDS = 60.0
END_SECONDS = 60.0

_LEFT_FOR_GOOD = frozenset(
    {
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
        rtc.DisconnectReason.ROOM_CLOSED,
        rtc.DisconnectReason.USER_REJECTED,
    }
)


class RoomLine:
    """The room of a LiveKit job. `connected` is the task that joins it; it may still be under way."""

    def __init__(self, context: JobContext, connected: "asyncio.Task[None]", identity: str) -> None:
        self._context = context
        self._room = context.room
        self._connected = connected
        self._identity = identity
        self._io: RoomIO | None = None
        self._came = asyncio.Event()
        self._closed: asyncio.Future[LineClosed] = asyncio.get_running_loop().create_future()
        self._waiting_for_return: asyncio.TimerHandle | None = None
        self._is_hung_up = False
        self._room.on("participant_connected", self._participant_came)
        self._room.on("participant_disconnected", self._participant_left)
        self._room.on("disconnected", self._room_lost)

    async def start(self, session: AgentSession[Any], agent: Agent, tap: AudioTap | None) -> None:
        """Wait for the participant and start the session on the room's sound."""
        options = RoomOptions(
            # The detector and the recognisers take 16 kHz: one resampling less for each of them.
            audio_input=AudioInputOptions(
                sample_rate=16_000, noise_cancellation=None, auto_gain_control=False, pre_connect_audio=True
            ),
            audio_output=AudioOutputOptions(sample_rate=24_000),
            text_output=TextOutputOptions(sync_transcription=True),
            # Who is gone, and when, is decided here: a lost network is not a hang-up.
            close_on_disconnect=False,
        )
        # It asks who we are in the room, so the room must know.
        await self._connected
        self._io = RoomIO(session, self._room, participant=self._identity or None, options=options)
        await self._io.start()
        self._io.register_text_input(_typed)
        if tap is not None and session.input.audio is not None and session.output.audio is not None:
            session.input.audio = HeardInput(session.input.audio, tap)
            session.output.audio = HeardOutput(session.output.audio, tap)
        for participant in self._room.remote_participants.values():
            self._participant_came(participant)
        try:
            await asyncio.wait_for(self._came.wait(), NOBODY_SECONDS)
        except TimeoutError:
            raise NobodyCame from None
        await session.start(agent, record=False)

    async def closed(self) -> LineClosed:
        """Return when the participant has left for good, or has been away for too long."""
        return await asyncio.shield(self._closed)

    async def tell(self, message: dict[str, Any]) -> None:
        """Send a message to the room's pages. Never raises: a page is not the call."""
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self._connected
                await self._room.local_participant.publish_data(
                    json.dumps(message), reliable=True, topic=LIVE_TOPIC
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, the call goes on
            logger.debug("the page was not told", extra={"error": type(error).__name__})

    async def hang_up(self) -> None:
        """Delete the room, which puts everybody out of it."""
        if self._is_hung_up:
            return
        self._is_hung_up = True
        if self._waiting_for_return is not None:
            self._waiting_for_return.cancel()
        if self._io is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._io.aclose(), TELL_SECONDS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._context.delete_room(), 5.0)

    def _is_ours(self, participant: rtc.RemoteParticipant) -> bool:
        if self._identity:
            return participant.identity == self._identity
        return participant.kind != rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

    def _participant_came(self, participant: rtc.RemoteParticipant) -> None:
        if self._is_ours(participant):
            self._came.set()
            if self._waiting_for_return is not None:
                self._waiting_for_return.cancel()
                self._waiting_for_return = None

    def _participant_left(self, participant: rtc.RemoteParticipant) -> None:
        if not self._is_ours(participant):
            return
        if participant.disconnect_reason in _LEFT_FOR_GOOD:
            self._close(LineClosed("user_hangup"))
        elif self._waiting_for_return is None:
            self._waiting_for_return = asyncio.get_running_loop().call_later(
                BACK_SECONDS, self._close, LineClosed("line_lost", "the participant did not come back")
            )

    def _room_lost(self, *_: object) -> None:
        self._close(LineClosed("line_lost", "the room is gone"))

    def _close(self, closed: LineClosed) -> None:
        if not self._closed.done():
            self._closed.set_result(closed)


async def _typed(session: AgentSession[Any], event: TextInputEvent) -> None:
    if text := event.text.strip()[:MAX_TYPED]:
        await session.interrupt()
        session.generate_reply(user_input=ChatMessage(role="user", content=[text], extra={TYPED: True}))


# ── in a job's process ───────────────────────────────────────────────────────────────────────────
def prepare(settings: WorkerSettings, process: JobProcess) -> None:
    """Make a fresh process ready for a call: its loop, its logs, the developers' functions."""
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    functions = developer.load(settings.functions)
    knows = knowledge_cache.knows(settings.home / "knowledge", settings.providers)
    process.userdata["host"] = call.Host(settings, functions, knows)


async def answer(context: JobContext) -> None:
    """Begin a call and return; `finish` waits for it. LiveKit ends a job whose entrypoint lingers."""
    try:
        metadata = JobMetadata.model_validate_json(context.job.metadata or "")
    except ValidationError:
        logger.warning("a job without a call was offered", extra={"job_id": context.job.id})
        context.shutdown("not a call")
        return
    connected = asyncio.create_task(context.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY))
    host: call.Host = context.proc.userdata["host"]
    # A warm process may have waited for hours; what was saved meanwhile counts.
    host = dataclasses.replace(host, functions=developer.refreshed(host.functions, host.settings.functions))
    held = asyncio.create_task(
        call.hold(host, metadata.call_id, context.job.id, functools.partial(RoomLine, context, connected))
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
        drain_timeout=max(1, int(settings.drain_seconds)),
        # It waits for livekit-server for ever; the supervisor says so meanwhile.
        max_retry=1_000_000,
        load_fnc=Load(settings.max_calls),
        load_threshold=0.999,
        setup_fnc=setup or functools.partial(prepare, settings),
        preload_modules=_preloaded(settings),
    )
    made.rtc_session(answer, agent_name=AGENT_NAME, on_session_end=finish)
    return made


def _preloaded(settings: WorkerSettings) -> list[str]:
    """What every call needs, imported once and shared by all processes of calls."""
    modules = ["worker.lines.room", "livekit.local_inference"]
    if settings.providers.models_socket is not None:
        modules += [f"pipelines.local.{name}" for name in ("whisper", "hibari", "espeak")]
    if settings.providers.has_language_model:
        modules.append("livekit.plugins.openai")
    else:
        modules.append("pipelines.local.scripted.llm")
    if settings.providers.deepgram_api_key:
        modules.append("livekit.plugins.deepgram")
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
        await made.run(devmode=False)
        await asyncio.gather(*stopping)


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
