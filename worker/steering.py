"""Does what somebody outside orders of a running call, and says what came of it.

    order ──► done in time ──► written down ──► "done"
                 └─ cannot, or too late ──────► "refused", and why

What lasts (context; hold and mute, by `holding`) is written down as an event, so that a process which takes
the call up does it again.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Any

from livekit.agents import AgentSession

from pipelines.agent import SpokenAgent
from pipelines.agent_config import TransferTarget
from pipelines.contract.actions import Action, AddContext, Hold, Mute, Say, Transfer
from pipelines.contract.websocket import HangUp, Obeyed, Order
from pipelines.phrases import phrase
from pipelines.tools.call_control import CannotDo
from worker.control import LineControl
from worker.holding import Holding
from worker.presence import CallPresence
from worker.supervision import Supervised, Supervision

logger = logging.getLogger(__name__)

UNDER_WAY_SECONDS = 3.0


class Steering:
    """Orders to one call. `obey` returns with the one that ends it."""

    def __init__(
        self,
        presence: CallPresence,
        control: LineControl,
        holding: Holding,
        supervision: Supervision,
        targets: Sequence[TransferTarget],
        tell: Callable[[Action], None],
    ) -> None:
        """`tell` writes down what was done."""
        self._supervision = supervision
        self._presence = presence
        self._control, self._holding = control, holding
        self._targets = {target.name: target for target in targets}
        self._tell = tell
        self._session: AgentSession[Any] | None = None
        self._transferring: asyncio.Task[None] | None = None

    async def begin(self, session: AgentSession[Any], before: Sequence[Action]) -> None:
        """The session runs: orders can be done. What was to be known of those before is known again."""
        self._session = session
        for action in before:
            if isinstance(action, AddContext):
                await self._do(session, action)
        await self._supervision.go_on(session, [one for one in before if isinstance(one, Supervised)])

    async def obey(self) -> HangUp:
        """Do what is ordered, one after the other."""
        try:
            while True:
                order = await self._presence.orders.get()
                if isinstance(order, HangUp):
                    return order
                outcome, message = await self._carried_out(order)
                answer = Obeyed(order_id=order.order_id, outcome=outcome, message=message)
                self._presence.obeyed(answer)
        finally:
            if self._transferring is not None:
                self._transferring.cancel()
                await asyncio.gather(self._transferring, return_exceptions=True)

    async def _carried_out(self, order: Order) -> tuple[Any, str]:
        if (session := self._session) is None:
            return "refused", "The agent does not listen yet"
        try:
            async with asyncio.timeout(order.timeout_ms / 1000):
                await self._do(session, order.action)
        except CannotDo as error:
            return "refused", str(error) or "This line cannot do that"
        except TimeoutError:
            return "refused", "It took too long"
        except Exception as error:
            logger.exception("an order failed", extra={"order": order.action.action})
            return "refused", f"It failed: {type(error).__name__}"
        if not isinstance(order.action, Hold | Mute):  # those are told with what became of them
            self._tell(order.action)
        return "done", ""

    async def _do(self, session: AgentSession[Any], action: Action) -> None:
        if isinstance(action, Say):
            await self._say(session, action)
        elif isinstance(action, AddContext):
            agent = session.current_agent
            knows = agent.chat_ctx.copy()
            knows.add_message(role="system", content=action.text)
            await agent.update_chat_ctx(knows)
        elif isinstance(action, Transfer):
            if (target := self._targets.get(action.target)) is None:
                raise CannotDo("The agent has no transfer target of this name")
            await self._transfer(session, target)
        elif isinstance(action, Hold):
            await self._holding.hold(action)
        elif isinstance(action, Supervised):
            await self._supervision.do(session, action)
        else:
            await self._holding.mute(action)

    async def _transfer(self, session: AgentSession[Any], target: TransferTarget) -> None:
        """Return once it is done or under way: a telephone rings for longer than an answer is waited for."""
        if self._transferring is not None and not self._transferring.done():
            raise CannotDo("A transfer is under way already")
        task = asyncio.create_task(self._control.transfer(target, session), name="a steered transfer")
        self._transferring = task
        done, _ = await asyncio.wait({task}, timeout=UNDER_WAY_SECONDS)
        if done:
            task.result()
        else:
            task.add_done_callback(lambda task: self._came_back(session, task))

    def _came_back(self, session: AgentSession[Any], task: "asyncio.Task[None]") -> None:
        """Nobody took the caller, who does not know why nothing happens."""
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, CannotDo):
            logger.error("a steered transfer failed", exc_info=error)
        agent = session.current_agent
        language = agent.language if isinstance(agent, SpokenAgent) else "en"
        with contextlib.suppress(RuntimeError):  # the session is closing
            session.say(phrase("not_reached", language))

    async def _say(self, session: AgentSession[Any], action: Say) -> None:
        if self._holding.is_silenced:
            raise CannotDo(
                "The agent is not heard now: the call is on hold or taken over, or the agent is muted"
            )
        if action.interrupts:
            await session.interrupt(force=True)
        session.say(action.text)
