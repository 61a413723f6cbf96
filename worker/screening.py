"""A call of ours is answered: by a person, who hears the agent, or by a machine, with which nobody talks."""

import logging
from collections.abc import Callable
from typing import Any

from livekit.agents import Agent, AgentSession

from pipelines.agent_config import VoicemailConfig
from worker.endings import Ending
from worker.lines.line import AudioTap, Line, Screens

logger = logging.getLogger(__name__)

BEEP_SECONDS = 45.0
"""Longer greetings than this are hung up on."""


async def machine_answered(line: Line, voicemail: VoicemailConfig, tap: AudioTap | None) -> bool:
    """Whether a machine has answered; False at once where nobody wants to know, or the call came to us.

    The tap is told of what is heard meanwhile.
    """
    if not voicemail.detection or not isinstance(line, Screens) or not line.is_ours:
        return False
    answered_by = await line.answered_by(voicemail.timeout_ms / 1000, tap)
    logger.info("a call of ours was answered", extra={"answered_by": answered_by})
    return answered_by == "machine"


async def left_to(
    line: Line, session: AgentSession[Any], tap: AudioTap | None, message: str, started: Callable[[], None]
) -> Ending:
    """Hang up on a machine, after its beep and the message where there is one."""
    if not message or not isinstance(line, Screens) or not await line.beep(BEEP_SECONDS):
        return Ending("ended", "voicemail")
    await line.start(session, Agent(instructions=""), tap)
    session.input.set_audio_enabled(False)  # whatever a machine says is not to be answered
    started()
    await session.say(message, allow_interruptions=False).wait_for_playout()
    return Ending("completed", "voicemail_message_left")
