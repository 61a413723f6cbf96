"""What the api is told of this worker: who it is, what it offers, how it is now."""

import asyncio
import logging
import os
from collections.abc import Callable

from pipelines.contract.websocket import FunctionSignature, Hello, Status
from pipelines.processes import Group
from pipelines.providers import available
from worker import functions, places, readiness
from worker.exchange import phones
from worker.liveness import Liveness
from worker.reporter import Reporter
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

FUNCTIONS_SECONDS = 5.0


class Introduction:
    """Asked whenever something of it is sent; `follow_functions` until cancelled."""

    def __init__(
        self,
        settings: WorkerSettings,
        liveness: Liveness,
        reporter: Reporter,
        models: readiness.ModelsProbe | None,
    ) -> None:
        self._settings = settings
        self._liveness = liveness
        self._reporter = reporter
        self._models = models
        self._phones_problem = phones.why_not(settings)
        if self._phones_problem:
            logger.error("there are no phones", extra={"why": self._phones_problem})
        self._available = available(settings.providers)
        self._functions: tuple[FunctionSignature, ...] | None = None
        self._is_warm = asyncio.Event()
        self._said: str | None = None
        self.is_draining = False
        self.group: Group | None = None

    def hello(self) -> Hello:
        """Who this is and what it offers."""
        return Hello(
            worker_id=self._settings.worker_id,
            version=places.program_version(),
            functions=self._functions,
            available=self._available,
        )

    def status(self) -> Status:
        """How it is, and which calls it has."""
        why_not = readiness.why_not(
            is_draining=self.is_draining,
            is_full=len(self._liveness.calls) >= self._settings.max_calls,
            agents=self._liveness.agents,
            models_problem=self._models_problem,
        )
        if why_not != self._said:
            logger.info(
                "ready" if not why_not else "not ready", extra={"why_not": why_not} if why_not else {}
            )
            self._said = why_not
        exchange = self._liveness.exchange
        children = self.group.processes.values() if self.group is not None else ()
        return Status(
            is_ready=not why_not,
            why_not=why_not,
            # Also calls that ended, until the api has all of it, and those that the exchange has put through:
            # it would call them lost.
            call_ids=tuple(
                sorted(
                    {
                        *self._liveness.calls,
                        *self._reporter.call_ids,
                        *(exchange.bridged if exchange is not None else ()),
                    }
                )
            ),
            alive=self._liveness.alive,
            phones_why_not=self.phones_why_not,
            trunks=exchange.trunks if exchange is not None else {},
            journal=exchange.journal if exchange is not None else "",
            processes={
                "supervisor": os.getpid(),
                **{child.name: child.pid for child in children if child.pid is not None},
                **{f"main-{number}": one.pid for number, one in enumerate(self._liveness.agents, 1)},
            },
        )

    @property
    def phones_why_not(self) -> str | None:
        """Why no phone call could be taken or placed now; None where there are no phones at all."""
        if not self._settings.has_phones:
            return None
        here = self._liveness.exchange
        if self._phones_problem or here is None:
            return self._phones_problem or "the exchange is starting"
        return "the worker is stopping" if self.is_draining else here.why_not or self._models_problem

    @property
    def _models_problem(self) -> str:
        if self._models is not None:
            return self._models.problem
        if not self._settings.providers.deepgram_api_key:
            return "nothing here recognises speech: set DEEPGRAM_API_KEY or CALL2ME_LOCAL_MODELS=on"
        return ""

    def changed(self) -> None:
        """Something of the status changed."""
        if any(agents.idle for agents in self._liveness.agents):
            self._is_warm.set()

    async def follow_functions(self, on_news: Callable[[], None]) -> None:
        """Know the developers' functions as they are in the folder now; `hello` tells them."""
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
                    on_news()
            await asyncio.sleep(FUNCTIONS_SECONDS)
