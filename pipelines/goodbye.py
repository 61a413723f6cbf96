"""A goodbye in the engine's own words; the written one when those do not come in time."""

import asyncio
from collections.abc import Callable
from typing import Any

from livekit.agents import AgentSession, AgentStateChangedEvent

from pipelines.phrases import GOODBYE_ASKED

COMPOSED_SECONDS = 4.0
"""A goodbye in the engine's own words must begin within this time, or the written one is said."""


async def say_composed(session: AgentSession[Any], language: str, prompt: str) -> bool:
    """Have the engine say goodbye, and let it be heard; False when it had not begun in time.

    Raises RuntimeError when the session is over.
    """
    began = asyncio.Event()
    session.on("agent_state_changed", listener := _on_speaking(began))
    told = f"{GOODBYE_ASKED}, in {language}. {prompt}"
    speech = session.generate_reply(instructions=told, tool_choice="none", allow_interruptions=False)
    waits = [asyncio.ensure_future(began.wait()), asyncio.ensure_future(speech.wait_for_playout())]
    try:
        await asyncio.wait(waits, timeout=COMPOSED_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        if not began.is_set():
            speech.interrupt(force=True)
            return False
        await speech
        return True
    finally:
        session.off("agent_state_changed", listener)
        for wait in waits:
            wait.cancel()


def _on_speaking(began: asyncio.Event) -> Callable[[AgentStateChangedEvent], None]:
    def changed(event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking":
            began.set()

    return changed
