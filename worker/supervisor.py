"""The worker's processes: started, restarted when they die, drained when asked; and what the api is told.

        supervisor ─┬─ models   speech models, once for the machine
                    ├─ agents   registers with livekit-server, a process for each call
                    ├─ liveness socket ◄── every call, and agents
                    ├─ reporter ── spools, recordings ──► api
                    └─ api link ── status ──► api ── hang up ──► liveness ──► call

It imports no livekit and no numpy: it must be small, start at once, and never be what dies.
"""

import asyncio
import contextlib
import fcntl
import functools
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import aiohttp

from pipelines.contract import FunctionSignature, HangUp, Hello, Obeyed, Order, Status
from pipelines.environment import SettingsError
from pipelines.processes import Backoff, Group, ProcessSpec, Supervised
from pipelines.providers import available
from worker import functions, parcels, readiness
from worker.api_link import ApiLink
from worker.knowledge_cache import KnowledgeKeeper, cache_of
from worker.liveness import Liveness
from worker.lost import end_unbriefed
from worker.metrics import Metrics
from worker.presence import CallHere
from worker.reporter import Reporter
from worker.settings import WorkerSettings
from worker.spool import SpoolKey
from worker.trying import Tries

logger = logging.getLogger(__name__)

HANG_UP_SECONDS = 3.0
"""What a call has for its last words once it was told that the worker stops, or to be handed over."""
OTHERS_SECONDS = 1.0
STOP_SECONDS = 1.0
DELIVER_SECONDS = 1.5
FUNCTIONS_SECONDS = 5.0
RESTARTS = Backoff(first_seconds=0.3, longest_seconds=10.0, healthy_seconds=20.0)


class Supervisor:
    """One worker on one data folder. `run` until SIGTERM or SIGINT."""

    def __init__(self, settings: WorkerSettings, http: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._http = http
        self._functions: tuple[FunctionSignature, ...] | None = None
        self._tries = Tries(settings.functions, settings.run)
        self._available = available(settings.providers)
        self._is_draining = False
        self._said: str | None = None
        self._stop_asked = asyncio.Event()
        self._is_warm = asyncio.Event()
        self._unbriefed: asyncio.Queue[CallHere] = asyncio.Queue(maxsize=1000)
        self._obeyed: asyncio.Queue[Obeyed] = asyncio.Queue(maxsize=1000)
        self._liveness = Liveness(
            settings.calls_socket,
            on_change=self._changed,
            on_lost=self._lost,
            on_obeyed=self._answer,
        )
        self._reporter = Reporter(
            settings.spool,
            settings.worker_id,
            settings.api_url,
            http,
            is_connected=self._is_connected,
            on_refused=self._refused,
            on_change=self._changed,
        )
        self._link = ApiLink(
            settings.api_url,
            http,
            hello=self._hello,
            status=self._status,
            on_hang_up=self._hang_up,
            on_try=self._tries.ask,
            on_order=self._order,
        )
        needed = frozenset[str]() if settings.providers.deepgram_api_key else frozenset({"transcribe"})
        self._models = (
            readiness.ModelsProbe(settings.models_socket, needed, self._changed)
            if settings.has_models_process
            else None
        )
        self._knowledge = KnowledgeKeeper(cache_of(settings), settings.api_url, http)
        self._group: Group | None = None
        self._metrics: Metrics | None = None

    async def run(self) -> None:
        """Work until asked to stop, then drain."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)
        await asyncio.to_thread(parcels.tidy, self._settings.spool)
        if self._settings.metrics_port:
            self._metrics = Metrics(
                self._settings.metrics_port, self._status, lambda: len(self._reporter.call_ids)
            )
        async with self._liveness.listening(), self._children() as group:
            work = asyncio.create_task(self._work(), name="work")
            stop = asyncio.create_task(self._stop_asked.wait(), name="stop asked")
            try:
                await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
                if not work.done():
                    await self._drain(group)
            finally:
                work.cancel()
                stop.cancel()
                ended, _ = await asyncio.gather(work, stop, return_exceptions=True)
        if isinstance(ended, Exception):
            raise ended

    def _ask_to_stop(self) -> None:
        if self._stop_asked.is_set() and self._group is not None:
            self._group.kill()  # asked twice: somebody is in a hurry
        self._stop_asked.set()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reporter.run(), name="reporter")
            tasks.create_task(self._link.run(), name="api link")
            tasks.create_task(self._follow_functions(), name="functions")
            tasks.create_task(self._end_unbriefed(), name="unbriefed calls")
            tasks.create_task(self._tries.run(self._link.answer), name="functions to try")
            tasks.create_task(self._knowledge.run(), name="knowledge")
            tasks.create_task(self._tell_obeyed(), name="answers to orders")
            if self._models is not None:
                tasks.create_task(self._models.run(), name="models probe")

    @contextlib.asynccontextmanager
    async def _children(self) -> AsyncIterator[Group]:
        async with Group(backoff=RESTARTS, on_exit=self._exited) as group:
            self._group = group
            if self._models is not None:
                group.start(self._spec("models", stop_seconds=STOP_SECONDS))
            # The last started is stopped first: a call that ends may still want to hear itself out.
            drain = self._settings.drain_seconds + HANG_UP_SECONDS + STOP_SECONDS
            group.start(self._spec("agents", stop_seconds=drain))
            yield group

    def _spec(self, part: str, *, stop_seconds: float) -> ProcessSpec:
        return ProcessSpec(
            name=part,
            command=(sys.executable, "-m", "worker", part),
            log_path=self._settings.logs / f"{part}.log",
            stop_seconds=stop_seconds,
        )

    async def _drain(self, group: Group) -> None:
        """Take no more calls, let those that run end, tell those that do not to, then stop."""
        self._is_draining = True
        self._changed()
        logger.info("stopping", extra={"calls": len(self._liveness.calls)})
        stopping = asyncio.create_task(group.stop(), name="stop processes")
        await asyncio.wait([stopping], timeout=self._settings.drain_seconds)
        if self._liveness.calls:
            await self._part_with_calls()
        await stopping
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELIVER_SECONDS):
                await self._reporter.until_idle()
        await self._link.say_goodbye()

    async def _part_with_calls(self) -> None:
        """Hand them to another worker, if there is one; else tell them to end."""
        hands_over = False
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
            # We said that we are not ready: whoever is, is another.
            timeout = aiohttp.ClientTimeout(total=OTHERS_SECONDS)
            async with self._http.get(f"{self._settings.api_url}/ready", timeout=timeout) as reply:
                hands_over = reply.status == 200
        logger.info(
            "calls go on elsewhere" if hands_over else "calls end", extra={"calls": len(self._liveness.calls)}
        )
        for call_id in self._liveness.calls:
            order = HangUp(call_id=call_id, reason="error: the worker is stopping", hands_over=hands_over)
            self._liveness.hang_up(order)

    # ── what is told ─────────────────────────────────────────────────────────────────────────────
    def _hello(self) -> Hello:
        return Hello(
            worker_id=self._settings.worker_id,
            version=_version(),
            functions=self._functions,
            available=self._available,
        )

    def _status(self) -> Status:
        why_not = readiness.why_not(
            is_draining=self._is_draining,
            is_full=len(self._liveness.calls) >= self._settings.max_calls,
            agents=self._liveness.agents,
            models_problem=self._models_problem,
        )
        if why_not != self._said:
            logger.info(
                "ready" if not why_not else "not ready", extra={"why_not": why_not} if why_not else {}
            )
            self._said = why_not
        children = self._group.processes.values() if self._group is not None else ()
        return Status(
            is_ready=not why_not,
            why_not=why_not,
            # Also calls that ended, until the api has all of it: it would call them lost.
            call_ids=tuple(sorted(self._liveness.calls.keys() | self._reporter.call_ids)),
            processes={
                "supervisor": os.getpid(),
                **{child.name: child.pid for child in children if child.pid is not None},
                **{f"main-{number}": one.pid for number, one in enumerate(self._liveness.agents, 1)},
            },
        )

    @property
    def _models_problem(self) -> str:
        if self._models is not None:
            return self._models.problem
        if not self._settings.providers.deepgram_api_key:
            return "nothing here recognises speech: set DEEPGRAM_API_KEY or CALL2ME_LOCAL_MODELS=on"
        return ""

    def _changed(self) -> None:
        if any(agents.idle for agents in self._liveness.agents):
            self._is_warm.set()
        self._link.changed()
        self._reporter.look_now()

    # ── what happens ─────────────────────────────────────────────────────────────────────────────
    def _exited(self, child: Supervised, code: int) -> None:
        if not self._is_draining:
            logger.error("a part of the worker ended", extra={"part": child.name, "exit_code": code})
            if self._metrics is not None:
                self._metrics.ended(child.name)
        if self._models is not None and child.name == "models":
            self._models.lost()
        self._changed()

    def _is_connected(self, key: SpoolKey) -> bool:
        return self._liveness.is_here(key.call_id, key.attempt)

    def _lost(self, here: CallHere) -> None:
        self._reporter.look_now()
        if here.attempt == 0:
            with contextlib.suppress(asyncio.QueueFull):  # the api notices by itself, only later
                self._unbriefed.put_nowait(here)

    async def _end_unbriefed(self) -> None:
        while True:
            here = await self._unbriefed.get()
            await end_unbriefed(
                here, self._settings, self._http, is_back=lambda call_id: call_id in self._liveness.calls
            )
            self._reporter.look_now()

    def _hang_up(self, order: HangUp) -> None:
        if not self._liveness.hang_up(order) and order.call_id not in self._reporter.call_ids:
            logger.warning("an order for a call that is not here", extra={"call_id": order.call_id})

    def _order(self, order: Order) -> None:
        if not self._liveness.order(order):
            self._answer(Obeyed(order_id=order.order_id, outcome="not_here"))

    def _answer(self, answer: Obeyed) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # whoever asked hears that there was no answer
            self._obeyed.put_nowait(answer)

    async def _tell_obeyed(self) -> None:
        while True:
            await self._link.answer(await self._obeyed.get())

    def _refused(self, key: SpoolKey) -> None:
        order = HangUp(call_id=key.call_id, reason="error: another process has the call", hands_over=True)
        self._liveness.hang_up(order, key.attempt)

    async def _follow_functions(self) -> None:
        folder, cache = self._settings.functions, self._settings.run / "functions.json"
        known = ""
        while True:
            state = await asyncio.to_thread(functions.state_of, folder)
            if state != known:
                found = await asyncio.to_thread(functions.kept, cache, state)
                if found is None:
                    # Two processes that import livekit at once would make the first call wait longer.
                    await self._is_warm.wait()
                    found = await functions.read(folder, cache, state)
                known = state
                if found != self._functions:
                    self._functions = found
                    self._link.introduce_again()
            await asyncio.sleep(FUNCTIONS_SECONDS)


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold this data folder; raises `SettingsError` when another worker does. Ends with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            raise SettingsError(
                f"Another worker (process {holder or 'unknown'}) runs on this data folder: stop it, "
                "or set CALL2ME_HOME to another folder."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)


@functools.cache
def _version() -> str:
    try:
        return version("call2me-runtime")
    except PackageNotFoundError:
        return "0"


async def supervise(settings: WorkerSettings) -> None:
    """Run the supervisor with its own HTTP session."""
    connector = aiohttp.TCPConnector(limit=16)
    headers = {"X-Internal-Key": settings.internal_key}
    async with aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False) as http:
        await Supervisor(settings, http).run()


def serve(settings: WorkerSettings) -> None:
    """Run until SIGTERM, SIGINT or the end of the process that started this one."""
    with only_one(settings.run / "worker.lock"):
        asyncio.run(supervise(settings))
