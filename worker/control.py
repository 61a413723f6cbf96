"""What an agent may do with its call, done on the line the call has."""

import asyncio
from collections.abc import Awaitable, Callable

from livekit.agents import Agent

from pipelines.agent_config import TransferTarget
from pipelines.contract import Hold, HoldSound
from pipelines.tools.call_control import MOST_HANDOVERS, Ability, CannotDo
from worker.endings import Ending
from worker.holding import Holding
from worker.lines.line import Line

AgentFor = Callable[[str, Agent], Awaitable[Agent]]
"""Another agent by its id, going on from where one is."""


class LineControl:
    """`CallControl` of one call. `ended()` returns once the agent has ended it."""

    def __init__(self, line: Line, holding: Holding, agent_for: AgentFor) -> None:
        self._line, self._holding = line, holding
        self._agent_for = agent_for
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

    async def transfer(self, target: TransferTarget) -> None:
        """Hand the caller on; the call is over for us."""
        await self._line.transfer(target)
        self._end(Ending("transferred", "transferred"))

    async def hold(self, *, is_on: bool, sound: HoldSound = "music", seconds: int = 60) -> None:
        """Let the other side wait, for so long at most, or come back."""
        await self._holding.hold(Hold(is_on=is_on, sound=sound, max_seconds=seconds, by="agent"))

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
