"""Who has the floor, since when, and what is under way: the session's events as one picture."""

from collections.abc import Callable
from typing import Any

from livekit.agents import (
    AgentSession,
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    FunctionToolsExecutedEvent,
    ToolExecutionUpdatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted


class Floor:
    """Times are the clock's, in seconds. Only words count as somebody talking."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.began_at = self.quiet_since = clock()
        self.is_agent_busy = False
        self.agent_speaks_since: float | None = None
        self.user_speaks_since: float | None = None
        self.user_stopped_at = 0.0
        self.asked_at: float | None = None
        """When a person's turn was taken that has no answer yet."""
        self.tools: dict[str, tuple[str, float]] = {}
        """Functions under way: name and start, by call id."""
        self.tool_calls = 0
        self.cuts = 0
        """How often the agent was cut off."""
        self._is_on_hold = False
        self.is_own_speech = False
        """Set by a watcher that speaks: its words are no answer, and no end of a silence."""

    @property
    def is_on_hold(self) -> bool:
        """True while the agent is silent on purpose. A silence counts from its end: nobody could end it."""
        return self._is_on_hold

    @is_on_hold.setter
    def is_on_hold(self, is_on: bool) -> None:
        if self._is_on_hold and not is_on:
            self.quiet_since = self._clock()
            if self.asked_at is not None:
                self.asked_at = self.quiet_since
        self._is_on_hold = is_on

    def attach(self, session: AgentSession[Any]) -> None:
        """Follow the session's events."""
        session.on("agent_state_changed", self._agent_changed)
        session.on("user_state_changed", self._user_changed)
        session.on("user_input_transcribed", self._words_heard)
        session.on("conversation_item_added", self._item_added)
        session.on("tool_execution_updated", self._tool_updated)
        session.on("function_tools_executed", self._tools_executed)

    def is_anybody_busy(self, now: float, patience: float) -> bool:
        """True while somebody speaks or thinks; noise that lasts longer than `patience` is nobody."""
        if self.is_agent_busy or self.tools:
            return True
        return self.user_speaks_since is not None and now - self.user_speaks_since < patience

    def _agent_changed(self, event: AgentStateChangedEvent) -> None:
        now = self._clock()
        was_busy = self.is_agent_busy
        self.is_agent_busy = event.new_state in ("speaking", "thinking")
        self.agent_speaks_since = now if event.new_state == "speaking" else None
        if event.new_state == "speaking" and not self.is_own_speech:
            self.asked_at = None
        if was_busy and not self.is_agent_busy and not self.is_own_speech:
            self.quiet_since = now
        if event.old_state == "speaking":
            self.is_own_speech = False

    def _user_changed(self, event: UserStateChangedEvent) -> None:
        if event.new_state == "speaking":
            self.user_speaks_since = self._clock()
        elif self.user_speaks_since is not None:
            self.user_speaks_since, self.user_stopped_at = None, self._clock()

    def _words_heard(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip():
            self.quiet_since = self._clock()

    def _item_added(self, event: ConversationItemAddedEvent) -> None:
        if not isinstance(event.item, ChatMessage):
            return
        if event.item.role == "user":
            self.quiet_since = self.asked_at = self._clock()
            self.is_own_speech = False
            return
        self.cuts += event.item.interrupted
        if not self.is_own_speech:
            self.quiet_since, self.asked_at = self._clock(), None

    def _tool_updated(self, event: ToolExecutionUpdatedEvent) -> None:
        update = event.update
        if isinstance(update, ToolCallStarted):
            self.tool_calls += 1
            self.tools[update.function_call.call_id] = (update.function_call.name, self._clock())
        elif isinstance(update, ToolCallEnded):
            self.tools.pop(update.call_id, None)
            if self.asked_at is not None:
                self.asked_at = self._clock()  # what it found has yet to be told

    def _tools_executed(self, event: FunctionToolsExecutedEvent) -> None:
        if not event.has_tool_reply:
            self.quiet_since, self.asked_at = self._clock(), None  # keys pressed: nothing is to be said
