"""A session is started wholly, or not at all."""

import asyncio
from typing import Any

from livekit.agents import Agent, AgentSession

START_SECONDS = 5.0
"""For a start that nobody wants any more."""


async def started(session: AgentSession[Any], agent: Agent) -> None:
    """Start it. Cancelled meanwhile, it is started nevertheless before this returns.

    LiveKit closes only sessions that have started: of one that was stopped halfway, ears and mind would go
    on waiting for sound, until somebody collects the garbage.
    """
    starting = asyncio.ensure_future(session.start(agent, record=False))
    try:
        await asyncio.shield(starting)
    except asyncio.CancelledError:
        await asyncio.wait({starting}, timeout=START_SECONDS)
        if not starting.done():
            starting.cancel()
        elif not starting.cancelled():
            starting.exception()
        raise
