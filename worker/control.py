"""What an agent may do with its call, done on the line the call has."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from livekit.agents import Agent, AgentSession, llm

from pipelines.agent_config import TransferTarget
from pipelines.assemble import Pipeline
from pipelines.contract.actions import Hold, HoldSound, Mute
from pipelines.contract.brief import CallBrief
from pipelines.tools.call_control import MOST_HANDOVERS, Ability, CannotDo
from worker.brief import seconds_left
from worker.consultation import Consultation
from worker.endings import Ending
from worker.holding import Holding
from worker.lines.line import Consults, Line
from worker.watchdog.floor import Floor

Outcome = Literal["referred", "bridged", "failed"]
TellTransfer = Callable[[TransferTarget, Outcome, str, float], None]
"""Puts into the record who was to have the caller, what came of it, why not, and how many seconds it took."""

AgentFor = Callable[[str, Agent], Awaitable[Agent]]
"""Another agent by its id, going on from where one is."""


@dataclass(frozen=True)
class Talking:
    """What a transfer needs of a session that runs."""

    pipeline: Pipeline
    floor: Floor
    until: float
    """When the call may not go on any longer (`time.monotonic()`)."""
    count: Callable[[AgentSession[Any]], None]
    """Told of another session whose usage is the call's."""

    @classmethod
    def now(
        cls, pipeline: Pipeline, floor: Floor, brief: CallBrief, count: Callable[[AgentSession[Any]], None]
    ) -> "Talking":
        """A session that begins, and may last as long as the brief says."""
        return cls(pipeline, floor, time.monotonic() + seconds_left(brief), count)


class LineControl:
    """`CallControl` of one call. `ended()` returns once the agent has ended it."""

    def __init__(self, line: Line, holding: Holding, agent_for: AgentFor, tell: TellTransfer) -> None:
        self._line, self._holding = line, holding
        self._agent_for = agent_for
        self._tell = tell
        self.talking: Talking | None = None
        """None until the session runs."""
        self._handovers = 0
        self._ended: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    async def ended(self) -> Ending:
        """How the agent ended the call."""
        return await self._ended

    @property
    def abilities(self) -> frozenset[Ability]:
        """What the line can do at this moment."""
        return self._line.abilities

    def end(self, reason: str) -> None:
        """End the call."""
        self._end(Ending("completed", reason))

    async def transfer(self, target: TransferTarget, session: AgentSession[Any] | None = None) -> None:
        """Hand the caller on; the call is over for us."""
        began = time.monotonic()
        try:
            is_bridged = await self._transfer(target, session)
        except CannotDo as error:
            self._tell(target, "failed", str(error) or type(error).__doc__ or "", time.monotonic() - began)
            raise
        self._tell(target, "bridged" if is_bridged else "referred", "", time.monotonic() - began)
        self._end(Ending("transferred", "transferred", is_bridged=is_bridged))

    async def _transfer(self, target: TransferTarget, session: AgentSession[Any] | None) -> bool:
        talking, began = self.talking, time.monotonic()
        seconds = max(0.0, talking.until - began) if talking is not None else 0.0
        if (
            target.mode == "cold"
            or talking is None
            or session is None
            or not isinstance(self._line, Consults)
        ):
            if target.mode == "warm":
                self._line.warn("transfer_was_cold", "Nobody could be asked before they had the caller.")
            return await self._line.transfer(target, seconds=seconds)
        written = {one.name: one for one in talking.pipeline.script.targets}
        agent = session.current_agent
        thinks = agent.llm or session.llm
        has_mind = isinstance(thinks, llm.LLM) and not talking.pipeline.is_scripted
        model = thinks if has_mind and isinstance(thinks, llm.LLM) else None
        await Consultation(
            self._line,
            session,
            written.get(target.name, target),
            talking.floor,
            model,
            seconds,
            talking.pipeline.another_vad,
            talking.count,
        ).hand_over()
        return True

    async def hold(self, *, is_on: bool, sound: HoldSound = "music", seconds: int = 60) -> None:
        """Let the other side wait, for so long at most, or come back."""
        await self._holding.hold(Hold(is_on=is_on, sound=sound, max_seconds=seconds, by="agent"))

    async def mute(self, *, is_on: bool, seconds: int = 300) -> None:
        """Let the other side not hear the agent, for so long at most, or hear it again."""
        until = datetime.now(UTC) + timedelta(seconds=seconds) if is_on else None
        await self._holding.mute(Mute(is_on=is_on, by="agent", until=until))

    async def send_digits(self, digits: str) -> None:
        """Send tones."""
        await self._line.send_digits(digits)

    async def digit(self) -> str:
        """The next key that the other side presses."""
        return await self._line.digit()

    async def agent_for(self, target: TransferTarget, so_far: Agent) -> Agent:
        """Another agent, which knows what was said."""
        if self._handovers >= MOST_HANDOVERS:
            raise CannotDo("This call was handed over too often: go on yourself")
        agent = await self._agent_for(target.value, so_far)
        self._handovers += 1
        return agent

    def _end(self, ending: Ending) -> None:
        if not self._ended.done():
            self._ended.set_result(ending)
