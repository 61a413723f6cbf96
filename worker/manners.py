"""What an agent does by itself: remind, reassure, apologise, ask its engine again, and say goodbye."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession

from pipelines.agent import SpokenAgent
from pipelines.assemble import Pipeline
from pipelines.contract.brief import CallBrief
from pipelines.goodbye import say_composed
from pipelines.phrases import Phrase, phrase
from worker.brief import seconds_left
from worker.watchdog import Limits, Watchdog
from worker.watchdog.limits import Usage

logger = logging.getLogger(__name__)

GOODBYE_SECONDS = 10.0


class Manners:
    """The hands of the watchers (`watchdog.Acts`) on one session; none of them raises."""

    def __init__(
        self, session: AgentSession[Any], pipeline: Pipeline, warn: Callable[[str, str], None]
    ) -> None:
        self._session, self._pipeline, self._warn = session, pipeline, warn
        self._agents = [pipeline.agent]
        self._tasks: set[asyncio.Task[None]] = set()

    def watched(self, brief: CallBrief, usage: Callable[[], Usage]) -> Watchdog:
        """The watchers of this session, with these hands."""
        limits = Limits.of(brief.agent, seconds_left(brief))
        watchdog = Watchdog(limits, self, made=self._made_seconds, usage=usage)
        watchdog.attach(self._session)
        return watchdog

    def warn(self, code: str, message: str) -> None:
        """Put a warning into the call's timeline."""
        self._warn(code, message)

    def remind(self, count: int) -> None:
        """Ask whether the caller is still there."""
        self._say("still_there", count)

    def warn_of_end(self) -> None:
        """Say that time is running out."""
        self._say("ending")

    def reassure(self) -> None:
        """Say that it takes a moment."""
        self._say("moment")

    def answer_again(self) -> None:
        """Ask the engine anew, behind the words that it takes a moment."""

        def again() -> None:
            self._say("moment")
            self._session.generate_reply()

        self._after_hush(again)

    def apologise(self) -> None:
        """Throw away what is stuck and say that something went wrong."""
        self._after_hush(lambda: self._say("apology"))

    async def part(self) -> None:
        """Say goodbye and let it be heard, within a bound; whatever hinders it, the call ends."""
        try:
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._hush()
                script = self._pipeline.script
                if self._is_composed and await say_composed(
                    self._session, self._language, script.goodbye_prompt
                ):
                    return
                await self._session.say(script.goodbye, allow_interruptions=False)
        except (TimeoutError, RuntimeError) as error:
            logger.info("a goodbye was not said", extra={"error": type(error).__name__})

    async def aclose(self) -> None:
        """Let go of what is under way."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def _language(self) -> str:
        agent = self._session.current_agent  # another one, after a handover
        return agent.language if isinstance(agent, SpokenAgent) else self._pipeline.language

    def _made_seconds(self) -> float:
        agent = self._session.current_agent
        if isinstance(agent, SpokenAgent) and agent not in self._agents:
            self._agents.append(agent)
        return sum(one.made_seconds for one in self._agents)

    @property
    def _is_composed(self) -> bool:
        return self._pipeline.goodbye_mode == "dynamic" and not self._pipeline.is_scripted

    def _say(self, name: Phrase, turn: int = 0) -> None:
        with contextlib.suppress(RuntimeError):  # the session is closing
            self._session.say(phrase(name, self._language, turn))

    async def _hush(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):  # whatever is stuck may be stuck for good
                await asyncio.shield(self._session.interrupt(force=True))

    def _after_hush(self, then: Callable[[], object]) -> None:
        async def hush() -> None:
            with contextlib.suppress(RuntimeError):
                await self._hush()
                then()

        self._run(hush())

    def _run(self, work: Any) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("a watcher could not act", extra={"error": type(error).__name__})
