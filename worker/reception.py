"""What comes before the agent of a call that comes in: a menu of keys, or a person who is rung first.

menu      "For sales press 1 …" ─► key ─► its agent greets, or its telephone rings
                └─ no key, twice ──────► the number's own agent greets
person    rings ─► answered: we leave · nobody: the number's own agent greets
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession
from livekit.agents.voice import SpeechHandle

from pipelines.agent import SpokenAgent
from pipelines.agent_config import TransferTarget
from pipelines.contract.brief import MenuChoice, Reception
from pipelines.tools.call_control import CallControl, CannotDo
from worker.cast import Cast

logger = logging.getLogger(__name__)

KEY_SECONDS = 6.0
"""After the menu was said to its end."""
MOST_TIMES = 2

Chose = Callable[[MenuChoice], None]


async def receive(
    reception: Reception,
    session: AgentSession[Any],
    agent: SpokenAgent,
    control: CallControl,
    cast: Cast,
    chose: Chose,
) -> None:
    """Receive the caller in the place of `agent`, which `waits`; returns once somebody talks or rings.

    Nothing that is said meanwhile is answered. `chose` is told of a key.
    """
    session.input.set_audio_enabled(False)
    try:
        if reception.forward_to:
            await _ring(reception.forward_to, control)
        choice = await _asked(reception, session, control) if reception.choices else None
        if choice is not None:
            chose(choice)
            if choice.kind == "phone":
                await _ring(choice.value, control)
            session.update_agent(await cast.another(choice.value, agent, greets=True))
            return
    except (CannotDo, RuntimeError) as error:  # nobody there, or an engine without a voice to say a menu with
        logger.info("a caller is received by the agent itself", extra={"error": type(error).__name__})
    finally:
        session.input.set_audio_enabled(True)
    agent.waits = False
    await agent.open()


async def _ring(number: str, control: CallControl) -> None:
    """Returns only by `CannotDo`: else the call is over for us."""
    await control.transfer(TransferTarget(name="reception", kind="phone", value=number))
    await asyncio.Event().wait()  # whoever runs the call ends it


async def _asked(reception: Reception, session: AgentSession[Any], control: CallControl) -> MenuChoice | None:
    """The key that was pressed, as soon as it is; None after nothing was, or nothing of the menu."""
    by_key = {choice.key: choice for choice in reception.choices}
    for _ in range(MOST_TIMES):
        said = session.say(reception.say)
        key = asyncio.create_task(control.digit())
        over = asyncio.create_task(_heard(said))
        try:
            await asyncio.wait([key, over], return_when=asyncio.FIRST_COMPLETED)
            await asyncio.wait([key], timeout=KEY_SECONDS)
            if key.done():
                said.interrupt()
                if (choice := by_key.get(key.result())) is not None:
                    return choice
        finally:
            key.cancel()
            over.cancel()
    return None


async def _heard(said: SpeechHandle) -> None:
    await said.wait_for_playout()
