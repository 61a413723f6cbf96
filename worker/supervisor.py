"""The worker's processes: started, restarted when they die, drained when asked; and what the api is told.

        supervisor ─┬─ models   speech models, once for the machine
                    ├─ agents   registers with livekit-server, a process for each call
                    ├─ exchange SIP, where there are phones; shards hold its calls, a spare one waits
                    ├─ liveness socket ◄── every call, agents and exchange
                    ├─ reporter ── spools, recordings ──► api
                    └─ api link ── status ──► api ── hang up ──► liveness ──► call

It imports no livekit and no numpy: it must be small and start at once. When it dies, models and agents go on
until the next supervisor has found them (`worker.places`).
"""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import AsyncIterator

import aiohttp

from pipelines.contract.websocket import Dial, HangUp, Obeyed, Order, TakeUp, Withdraw
from pipelines.environment import SettingsError
from pipelines.processes import Backoff, Group, ProcessSpec, Supervised
from worker import parcels, places, readiness
from worker.api_link import ApiLink
from worker.exchange import phones
from worker.introduction import Introduction
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
EXCHANGE_STOP_SECONDS = 5.0
"""To hang up what is left, and to tell carriers that it is gone."""
DELIVER_SECONDS = 1.5
DRAIN_LOOK_SECONDS = 0.2
RESTARTS = Backoff(first_seconds=0.3, longest_seconds=10.0, healthy_seconds=20.0)


class Supervisor:
    """One worker on one data folder. `run` until SIGTERM or SIGINT."""

    def __init__(self, settings: WorkerSettings, http: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._http = http
        self._tries = Tries(settings.functions, settings.run)
        self._stop_asked = asyncio.Event()
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
        needed = frozenset[str]() if settings.providers.deepgram_api_key else frozenset({"transcribe"})
        self._models = (
            readiness.ModelsProbe(settings.models_socket, needed, self._changed)
            if settings.has_models_process
            else None
        )
        self._introduction = Introduction(settings, self._liveness, self._reporter, self._models)
        self._link = ApiLink(
            settings.api_url,
            http,
            hello=self._introduction.hello,
            status=self._introduction.status,
            on_hang_up=self._hang_up,
            on_try=self._tries.ask,
            on_order=self._order,
            on_linked=self._reporter.api_is_back,
            on_phone=self._phone,
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
            self._metrics = self._figures()
        if phones.is_on(self._settings):
            phones.check(self._settings)
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
                raise ended  # in here: what it supervised goes on for a successor

    def _figures(self) -> Metrics:
        port = self._settings.metrics_port
        try:
            return Metrics(port, self._introduction.status, lambda: len(self._reporter.call_ids))
        except OSError as error:
            raise SettingsError(
                f"TCP port {port} on 127.0.0.1 cannot be used ({error.strerror}); set "
                "CALL2ME_WORKER_METRICS_PORT to another port, or to 0 for none."
            ) from error

    def _ask_to_stop(self) -> None:
        if self._stop_asked.is_set() and self._group is not None:
            self._group.kill()  # asked twice: somebody is in a hurry
        self._stop_asked.set()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._reporter.run(), name="reporter")
            tasks.create_task(self._link.run(), name="api link")
            tasks.create_task(
                self._introduction.follow_functions(self._link.introduce_again), name="functions"
            )
            tasks.create_task(self._end_unbriefed(), name="unbriefed calls")
            tasks.create_task(self._tries.run(self._link.answer), name="functions to try")
            tasks.create_task(self._knowledge.run(), name="knowledge")
            tasks.create_task(self._tell_obeyed(), name="answers to orders")
            if self._models is not None:
                tasks.create_task(self._models.run(), name="models probe")

    @contextlib.asynccontextmanager
    async def _children(self) -> AsyncIterator[Group]:
        life = places.life(self._settings)
        async with Group(backoff=RESTARTS, on_exit=self._exited, life=life) as group:
            self._group = self._introduction.group = group
            if self._models is not None:
                group.start(self._spec("models", stop_seconds=STOP_SECONDS))
            # The last started is stopped first: a call that ends may still want to hear itself out.
            drain = self._settings.drain_seconds + HANG_UP_SECONDS + STOP_SECONDS
            group.start(self._spec("agents", stop_seconds=drain))
            if phones.is_on(self._settings):
                # Stopped after the shards: whose calls end still have somebody to say so to the carrier.
                group.start(self._spec("exchange", stop_seconds=EXCHANGE_STOP_SECONDS))
                for number in range(1, self._settings.phone_shards + 2):
                    group.start(self._spec("shard", stop_seconds=drain, number=number))
            yield group

    def _spec(self, part: str, *, stop_seconds: float, number: int = 0) -> ProcessSpec:
        name = f"{part}-{number}" if number else part
        which = ("--number", str(number)) if number else ()
        return ProcessSpec(
            name=name,
            command=(sys.executable, "-m", "worker", part, *which),
            log_path=self._settings.logs / f"{name}.log",
            stop_seconds=stop_seconds,
            place=places.of(self._settings, name),
            identity=places.identity(self._settings),
        )

    async def _drain(self, group: Group) -> None:
        """Take no more calls, let those that run end, tell those that do not to, then stop."""
        self._introduction.is_draining = True
        self._changed()
        logger.info("stopping", extra={"calls": len(self._liveness.calls)})
        stopping = asyncio.create_task(self._stop(group), name="stop processes")
        await asyncio.wait([stopping], timeout=self._settings.drain_seconds)
        if self._liveness.calls:
            await self._part_with_calls()
        await stopping
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DELIVER_SECONDS):
                await self._reporter.until_idle()
        await self._link.say_goodbye()

    async def _stop(self, group: Group) -> None:
        """Stop all, after telephone calls had their time; some are on the exchange alone."""
        for part in group.processes.values():
            part.give_up()
        if (exchange := group.processes.get("exchange")) is not None:
            # It turns callers away from now on, so no shard gets another; asked once more, it hurries.
            exchange.ask_to_stop()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._settings.drain_seconds):
                    while (here := self._liveness.exchange) is not None and here.call_ids:  # noqa: ASYNC110
                        await asyncio.sleep(DRAIN_LOOK_SECONDS)
        await group.stop()

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
        for call_id, here in self._liveness.calls.items():
            # A telephone is connected to this machine: nobody elsewhere could go on with it.
            may_go_on = hands_over and not here.is_on_phone
            order = HangUp(call_id=call_id, reason="error: the worker is stopping", hands_over=may_go_on)
            self._liveness.hang_up(order)

    # ── what happens ─────────────────────────────────────────────────────────────────────────────
    def _changed(self) -> None:
        self._introduction.changed()
        self._link.changed()
        self._reporter.look_now()

    def _exited(self, child: Supervised, code: int) -> None:
        if not self._introduction.is_draining:
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
        is_known = self._liveness.hang_up(order) or order.call_id in self._reporter.call_ids
        # One that only rings has no process; the exchange has it.
        if not is_known and not self._liveness.phone_order(order):
            logger.warning("an order for a call that is not here", extra={"call_id": order.call_id})

    def _order(self, order: Order) -> None:
        if not self._liveness.order(order):
            self._answer(Obeyed(order_id=order.order_id, outcome="not_here"))

    def _phone(self, order: Dial | Withdraw | TakeUp) -> None:
        if self._liveness.phone_order(order):
            return
        if isinstance(order, Withdraw):  # the one before it may have gone to an exchange that is gone
            self._answer(Obeyed(order_id=order.order_id, outcome="not_here"))
        else:
            message = self._introduction.phones_why_not or "there are no phones here"
            self._answer(Obeyed(order_id=order.order_id, outcome="refused", message=message))

    def _answer(self, answer: Obeyed) -> None:
        with contextlib.suppress(asyncio.QueueFull):  # whoever asked hears that there was no answer
            self._obeyed.put_nowait(answer)

    async def _tell_obeyed(self) -> None:
        while True:
            await self._link.answer(await self._obeyed.get())

    def _refused(self, key: SpoolKey) -> None:
        order = HangUp(call_id=key.call_id, reason="error: another process has the call", hands_over=True)
        self._liveness.hang_up(order, key.attempt)


async def supervise(settings: WorkerSettings) -> None:
    """Run the supervisor with its own HTTP session."""
    connector = aiohttp.TCPConnector(limit=16)
    headers = {"X-Internal-Key": settings.internal_key}
    async with aiohttp.ClientSession(connector=connector, headers=headers, trust_env=False) as http:
        await Supervisor(settings, http).run()


def serve(settings: WorkerSettings) -> None:
    """Run until SIGTERM, SIGINT or the end of the process that started this one."""
    with places.only_one(settings.run / "worker.lock"):
        asyncio.run(supervise(settings))
