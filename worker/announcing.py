"""A call that only says something: it tries out a trunk, and nobody is talked with."""

import asyncio
import contextlib
from typing import Any

from livekit.agents import Agent, AgentSession

from worker import endings
from worker.conversation import Conversation
from worker.endings import Ending
from worker.lines.line import Line, LineClosed, NobodyCame

SAID = "announced"
KEY_SECONDS = 6.0
"""After the last word. Sound of the other side that comes late is counted meanwhile, too."""


async def said_to(line: Line, session: AgentSession[Any], words: str, told: Conversation) -> Ending:
    """Say it to its end, whatever the other side says meanwhile, and wait for one key."""
    try:
        await line.start(session, Agent(instructions=""), None)
    except NobodyCame:
        return endings.of_line(LineClosed("nobody_came"))
    session.input.set_audio_enabled(False)
    told.started()
    key = asyncio.create_task(line.digit())
    try:
        await session.say(words, allow_interruptions=False).wait_for_playout()
        with contextlib.suppress(TimeoutError):
            told.ran.confirmed(await asyncio.wait_for(key, KEY_SECONDS))
    finally:
        key.cancel()
    return Ending("completed", SAID)
