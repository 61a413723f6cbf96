"""A call that a watchdog watches, on a clock in our hands."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    FunctionToolsExecutedEvent,
    ToolExecutionUpdatedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage, FunctionCall, FunctionCallOutput
from livekit.agents.voice.events import ToolCallEnded, ToolCallStarted

from pipelines.agent_config import LimitConfig, ReminderConfig
from worker.watchdog import Limits, Watchdog
from worker.watchdog.dog import TICK_SECONDS
from worker.watchdog.limits import Usage

NO_REMINDERS = ReminderConfig(max_count=0)
NO_WARNING = LimitConfig(warn_before_end_seconds=0)
Row = tuple[float, str]


@dataclass
class Watched:
    """A call whose seconds pass when told, and whose agent speaks for one second when it is made to."""

    limits: Limits
    now: float = 100.0
    made: float = 0.0
    usage: Usage = field(default_factory=Usage)
    acts: list[Row] = field(default_factory=list)
    voice: float = 1.0
    """Seconds for which the agent speaks each time a watcher makes it."""

    def __post_init__(self) -> None:
        self.listeners: dict[str, list[Callable[[Any], None]]] = {}
        self.began, self.hush_at, self.state = self.now, float("inf"), "listening"
        self.dog = Watchdog(
            self.limits, self, made=lambda: self.made, usage=lambda: self.usage, clock=lambda: self.now
        )
        self.dog.attach(self)  # type: ignore[arg-type]

    @property
    def at(self) -> float:
        """The second of the talk, to the nearest one."""
        return round(self.now - self.began)

    # as a session
    def on(self, event: str, listener: Callable[[Any], None]) -> None:
        self.listeners.setdefault(event, []).append(listener)

    def tell(self, name: str, event: Any) -> None:
        for listener in self.listeners[name]:
            listener(event)

    # as hands
    def warn(self, code: str, message: str) -> None:
        self.acts.append((self.at, code))

    def remind(self, count: int) -> None:
        self._speaks(f"reminder {count}")

    def warn_of_end(self) -> None:
        self._speaks("time is short")

    def reassure(self) -> None:
        self._speaks("one moment")

    def answer_again(self) -> None:
        self._speaks("asked again")

    def apologise(self) -> None:
        self._speaks("sorry")

    def _speaks(self, what: str) -> None:
        self.acts.append((self.at, what))
        if self.voice:
            self.made += self.voice
            self.agent("speaking")
            self.hush_at = self.now + self.voice

    def agent(self, state: str) -> None:
        old, self.state = self.state, state
        self.tell("agent_state_changed", AgentStateChangedEvent(old_state=old, new_state=state))  # type: ignore[arg-type]

    def user(self, state: str) -> None:
        self.tell("user_state_changed", UserStateChangedEvent(old_state="listening", new_state=state))  # type: ignore[arg-type]

    def happens(self, what: str) -> None:
        """One row of a talk."""
        match what.split(" ", 1):
            case ["asks"]:
                self.item("user")
            case ["answers"]:
                self.agent("speaking")
                self.made += 2.0
                self.hush_at = self.now + 2.0
            case ["agent", state]:
                self.agent(state)
            case ["user", state]:
                self.user(state)
            case ["words" | "noise", *text]:
                event = UserInputTranscribedEvent(transcript="".join(text) or " ", is_final=True)
                self.tell("user_input_transcribed", event)
            case ["calls", name]:
                call = FunctionCall(call_id=name, name=name, arguments="{}")
                started = ToolCallStarted(function_call=call)
                self.tell("tool_execution_updated", ToolExecutionUpdatedEvent(update=started))
            case ["returns", name]:
                ended = ToolCallEnded(id=name, call_id=name, message="", status="done")
                self.tell("tool_execution_updated", ToolExecutionUpdatedEvent(update=ended))
            case ["presses", name]:
                self.happens(f"calls {name}")
                self.happens(f"returns {name}")
                call = FunctionCall(call_id=name, name=name, arguments="{}")
                output = FunctionCallOutput(call_id=name, output="", is_error=False, reply_required=False)
                executed = FunctionToolsExecutedEvent(function_calls=[call], function_call_outputs=[output])
                self.tell("function_tools_executed", executed)
            case ["makes", seconds]:
                self.made += float(seconds)
            case ["is", "cut"]:
                self.item("assistant", interrupted=True)
                self.agent("listening")
            case ["holds" | "releases"]:
                self.dog.floor.is_on_hold = what == "holds"
            case _:
                raise AssertionError(what)

    def item(self, role: str, *, interrupted: bool = False) -> None:
        message = ChatMessage(role=role, content=["words"], interrupted=interrupted)  # type: ignore[arg-type]
        self.tell("conversation_item_added", ConversationItemAddedEvent(item=message))

    def run(self, talk: list[Row], until: float = 200.0) -> str | None:
        """Why the call ended, or None when it has not within so many seconds."""
        ahead = sorted(talk)
        while self.now - self.began < until:
            while ahead and ahead[0][0] <= self.now - self.began:
                self.happens(ahead.pop(0)[1])
            if self.now >= self.hush_at:
                self.hush_at = float("inf")
                self.item("assistant")
                self.agent("listening")
            if (reason := self.dog.look()) is not None:
                self.acts.append((self.at, f"ends: {reason}"))
                return reason
            self.now += TICK_SECONDS
        return None
