"""What a call does when a provider gives up: it apologises, and ends where it cannot even say so."""

import asyncio
from typing import Any

from livekit.agents import AgentSession, AgentStateChangedEvent

from pipelines.agent import SpokenAgent
from worker.endings import Ending

TRIES = 2
"""Failures of the voice in a row, the apology among them, after which nobody waits for words any more."""


class Failing:
    """Watches one session's providers fail. `gave_up()` returns when the call must end for it.

    voice  ▁▁✗▁▁▁▁▁▁✗            an answer, then the apology for it: the call ends
    voice  ▁▁✗▁▁▁▁▁▁██████       the apology is heard: the call goes on
    """

    def __init__(self, agent: SpokenAgent) -> None:
        self._agent = agent
        self._mute = 0
        self._gave_up: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    def attach(self, session: AgentSession[Any]) -> None:
        """Follow the session: once the agent is heard again, its voice is well."""
        session.on("agent_state_changed", self._agent_changed)

    def failed(self, kind: str, reason: str) -> None:
        """`llm`, `stt` or `tts` gave up on something."""
        if kind == "tts":
            self._mute += 1
            if self._mute >= TRIES:
                if not self._gave_up.done():
                    self._gave_up.set_result(Ending("failed", f"error: the agent has no voice: {reason}"))
                return
        self._agent.apologise()

    async def gave_up(self) -> Ending:
        """Return once nothing can be said any more."""
        return await self._gave_up

    def _agent_changed(self, event: AgentStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self._mute = 0
