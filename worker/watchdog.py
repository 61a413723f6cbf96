"""Notice what a call does not notice by itself: too long, too quiet, a turn without an answer."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage

Limit = Literal["silence", "max_duration"]

TICK_SECONDS = 0.25
UNANSWERED_SECONDS = 12.0
"""Longer than any model takes that is still of use on a call; functions under way do not count."""


@dataclass(frozen=True)
class Limits:
    """How long a call may last and how long nobody may say anything, in seconds."""

    duration: float
    silence: float
    unanswered: float = UNANSWERED_SECONDS


class Watchdog:
    """Watches one session. `limit()` returns when the call must end.

    Only words count as somebody talking: a barking dog keeps no call alive.
    """

    def __init__(
        self,
        limits: Limits,
        unanswered: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._limits = limits
        self._tell_unanswered = unanswered
        self._clock = clock
        self._began = self._quiet_since = clock()
        self._is_agent_busy = False
        self._speaking_since: float | None = None
        self._asked_at: float | None = None

    def attach(self, session: AgentSession[Any]) -> None:
        """Follow the session's events."""
        session.on("agent_state_changed", self._agent_changed)
        session.on("user_state_changed", self._user_changed)
        session.on("user_input_transcribed", self._words_heard)
        session.on("conversation_item_added", self._item_added)

    async def limit(self) -> Limit:
        """Return which limit was reached, when one is."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            now = self._clock()
            if now - self._began >= self._limits.duration:
                return "max_duration"
            if self._is_quiet(now) and now - self._quiet_since >= self._limits.silence:
                return "silence"
            if self._asked_at is not None and now - self._asked_at >= self._limits.unanswered:
                self._asked_at = None
                self._tell_unanswered()

    def _is_quiet(self, now: float) -> bool:
        if self._is_agent_busy:
            return False
        # Somebody may be in the middle of a sentence; noise may go on for ever.
        return self._speaking_since is None or now - self._speaking_since >= self._limits.silence

    def _agent_changed(self, event: AgentStateChangedEvent) -> None:
        is_busy = event.new_state in ("speaking", "thinking")
        if event.new_state == "speaking":
            self._asked_at = None
        if self._is_agent_busy and not is_busy:
            self._quiet_since = self._clock()
        self._is_agent_busy = is_busy

    def _user_changed(self, event: UserStateChangedEvent) -> None:
        self._speaking_since = self._clock() if event.new_state == "speaking" else None

    def _words_heard(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self._quiet_since = self._clock()

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        self._quiet_since = self._clock()
        if isinstance(event.item, ChatMessage):
            self._asked_at = self._clock() if event.item.role == "user" else None
