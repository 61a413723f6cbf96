"""What a call does not notice by itself, as tables on a clock in our hands.

Each row of a talk is a second and what happens then; each row of what follows is a second and an act.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
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

from pipelines.agent_config import AgentConfig, LimitConfig, ReminderConfig
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


def quiet(silence: float = 30, reminders: ReminderConfig = NO_REMINDERS) -> Limits:
    return Limits(3600, silence, reminders, NO_WARNING)


SILENCES: dict[str, tuple[Limits, list[Row], list[Row]]] = {
    "nobody says anything": (quiet(), [], [(30, "ends: silence")]),
    "a long answer is not silence and its end begins the wait": (
        quiet(),
        [(0, "makes 100"), (0, "agent speaking"), (100, "agent listening")],
        [(130, "ends: silence")],
    ),
    "words keep a call alive and noise does not": (
        quiet(),
        [(20, "words hello"), (40, "noise")],
        [(50, "ends: silence")],
    ),
    "a sentence is not cut off": (
        quiet(),
        [(25, "user speaking"), (50, "words yes"), (50, "user listening")],
        [(80, "ends: silence")],
    ),
    "a fan that never stops is nobody": (quiet(), [(25, "user speaking")], [(55, "ends: silence")]),
    "two reminders, then the end": (
        quiet(30, ReminderConfig(frequency_ms=10_000, max_count=2)),
        [],
        [(10, "reminder 0"), (21, "reminder 1"), (30, "ends: silence")],
    ),
    "words begin the reminders anew": (
        quiet(30, ReminderConfig(frequency_ms=10_000, max_count=1)),
        [(12, "words here")],
        [(10, "reminder 0"), (22, "reminder 0"), (42, "ends: silence")],
    ),
    "nobody is reminded so shortly before the end": (
        quiet(20, ReminderConfig(frequency_ms=18_000, max_count=5)),
        [],
        [(20, "ends: silence")],
    ),
    "an agent on hold is silent on purpose": (quiet(), [(1, "holds")], []),
    "the wait begins when a hold ends, and not before it": (
        quiet(30, ReminderConfig(frequency_ms=10_000, max_count=1)),
        [(1, "holds"), (100, "releases")],
        [(110, "reminder 0"), (130, "ends: silence")],
    ),
    "no silence while a function runs": (
        quiet(10),
        [(5, "calls book"), (14, "returns book")],
        [(13, "one moment"), (14, "ends: silence")],
    ),
}

TURNS: dict[str, tuple[list[Row], list[Row]]] = {
    "answered in time": ([(1, "asks"), (4, "answers")], []),
    "asked again once, and answered": (
        [(1, "asks"), (9, "answers")],
        [(5, "turn_silent"), (5, "asked again")],
    ),
    "apologised for when that was in vain": (
        [(1, "asks")],
        [
            (5, "turn_silent"),
            (5, "asked again"),
            (13, "turn_unanswered"),
            (13, "sorry"),
        ],
    ),
    "two turns in a row without an answer end the call": (
        [(1, "asks"), (20, "asks")],
        [
            (5, "turn_silent"),
            (5, "asked again"),
            (13, "turn_unanswered"),
            (13, "sorry"),
            (24, "turn_silent"),
            (24, "asked again"),
            (32, "turn_unanswered"),
            (32, "ends: error: the agent did not answer"),
        ],
    ),
    "an answer in between forgives": (
        [(1, "asks"), (20, "asks"), (21, "answers"), (30, "asks")],
        [
            (5, "turn_silent"),
            (5, "asked again"),
            (13, "turn_unanswered"),
            (13, "sorry"),
            (34, "turn_silent"),
            (34, "asked again"),
            (42, "turn_unanswered"),
            (42, "sorry"),
        ],
    ),
    "who goes on talking is not answered": (
        [(1, "asks"), (2, "user speaking"), (20, "user listening"), (22, "answers")],
        [],
    ),
    "a question before a hold waits for its answer from the hold's end on": (
        [(1, "asks"), (2, "holds"), (60, "releases"), (63, "answers")],
        [],
    ),
    "keys that were pressed want no words": ([(1, "asks"), (2, "presses send_digits")], []),
    "a function under way is no silence, what it found has to be told": (
        [(1, "asks"), (2, "calls book"), (7, "returns book")],
        [(11, "turn_silent"), (11, "asked again"), (19, "turn_unanswered"), (19, "sorry")],
    ),
}


@pytest.mark.parametrize("case", SILENCES)
def test_silence(case: str) -> None:
    limits, talk, follows = SILENCES[case]
    watched = Watched(limits)
    watched.run(talk)
    assert watched.acts == follows


@pytest.mark.parametrize("case", TURNS)
def test_a_turn_without_an_answer(case: str) -> None:
    talk, follows = TURNS[case]
    watched = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING))
    watched.run(talk, until=60)
    assert watched.acts == follows


def test_a_function_that_takes_long_is_talked_over_and_at_last_ends_the_call() -> None:
    watched = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING))
    watched.run([(1, "asks"), (2, "calls book")])
    assert [what for _, what in watched.acts[:-2]] == ["one moment"] * len(watched.acts[:-2])
    assert [at for at, _ in watched.acts[:3]] == [10, 19, 28]
    assert watched.acts[-2:] == [(77, "tool_stuck"), (77, "ends: error: a function did not come back")]


def test_a_function_that_keeps_a_caller_waiting_on_purpose_is_not_stuck() -> None:
    watched = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING))
    watched.run([(1, "asks"), (2, "calls book"), (3, "holds"), (120, "releases")], until=126)
    assert watched.acts == []


def test_sound_that_never_ends_is_cleared_and_the_second_time_ends_the_call() -> None:
    watched = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING))
    watched.voice = 0  # nothing that it is made to say is heard either
    talk = [(1, "makes 3"), (1, "agent speaking"), (12, "makes 1"), (12, "agent speaking")]
    assert watched.run(talk, until=60) == "error: the agent's sound is stuck"
    assert watched.acts == [
        (9, "playout_stuck"),
        (9, "sorry"),
        (18, "playout_stuck"),
        (18, "ends: error: the agent's sound is stuck"),
    ]


def test_a_long_sound_that_a_caller_holds_up_is_not_stuck() -> None:
    watched = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING))
    talk = [
        (1, "makes 20"),
        (1, "agent speaking"),
        (5, "user speaking"),
        (15, "user listening"),
        (31, "agent listening"),
    ]
    watched.run(talk, until=60)
    assert watched.acts == []


def test_a_recording_is_not_stuck() -> None:
    watched = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING))
    watched.run([(1, "agent speaking"), (21, "agent listening")], until=60)
    assert watched.acts == []


def test_what_a_noise_held_up_goes_on_where_it_was() -> None:
    watched = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING))
    talk = [
        (1, "makes 20"),
        (1, "agent speaking"),
        (5, "user speaking"),
        (6, "agent listening"),
        (7, "user listening"),
        (9, "agent speaking"),
        (24, "agent listening"),
    ]
    watched.run(talk, until=60)
    assert watched.acts == []


def test_what_a_barge_in_threw_away_buys_no_time() -> None:
    watched = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING))
    talk = [
        (1, "makes 60"),
        (1, "agent speaking"),
        (5, "user speaking"),
        (6, "is cut"),
        (7, "user listening"),
        (8, "makes 1"),
        (8, "agent speaking"),
    ]
    watched.run(talk, until=15)
    assert watched.acts[:1] == [(14, "playout_stuck")]


DURATIONS: dict[str, tuple[LimitConfig, list[Row], list[Row]]] = {
    "a warning, then the end": (
        LimitConfig(),
        [],
        [(90, "time is short"), (120, "ends: max_duration")],
    ),
    "the warning waits for a pause": (
        LimitConfig(),
        [(80, "makes 20"), (80, "agent speaking"), (100, "agent listening")],
        [(100, "time is short"), (120, "ends: max_duration")],
    ),
    "but not for ever": (
        LimitConfig(),
        [(80, "user speaking")],
        [(112, "time is short"), (120, "ends: max_duration")],
    ),
    "no warning where none is wanted": (NO_WARNING, [], [(120, "ends: max_duration")]),
}


@pytest.mark.parametrize("case", DURATIONS)
def test_no_call_is_longer_than_allowed(case: str) -> None:
    used, talk, follows = DURATIONS[case]
    watched = Watched(Limits(120, 300, NO_REMINDERS, used))
    watched.run(talk)
    assert watched.acts == follows


def test_tokens_and_money_end_a_call_where_they_are_limited() -> None:
    unlimited = Watched(Limits(3600, 300, NO_REMINDERS, NO_WARNING), usage=Usage(10**9, 10**9))
    assert unlimited.run([], until=5) is None
    tokens = Watched(Limits(3600, 300, NO_REMINDERS, LimitConfig(tokens=100)), usage=Usage(tokens=99))
    assert tokens.run([], until=5) is None
    tokens.usage = Usage(tokens=100)
    assert tokens.run([], until=10) == "token_limit"
    assert tokens.acts[0] == (5, "token_limit")
    money = Watched(Limits(3600, 300, NO_REMINDERS, LimitConfig(cost_usd=0.5)), usage=Usage(0, None))
    assert money.run([], until=5) is None
    money.usage = Usage(0, 0.5)
    assert money.run([], until=10) == "cost_limit"


def test_an_agent_that_has_used_its_function_calls_goes_on_without() -> None:
    watched = Watched(Limits(3600, 300, NO_REMINDERS, LimitConfig(tool_calls=1, warn_before_end_seconds=0)))
    assert watched.run([(1, "calls a"), (2, "returns a"), (3, "calls b"), (4, "returns b")], until=9) is None
    assert watched.acts == [(1, "tool_limit")]


def test_limits_are_the_agents_own_within_what_the_call_may_last() -> None:
    agent = AgentConfig(agent_id="a", name="A", max_call_duration_ms=60_000, limits=LimitConfig(tokens=7))
    assert (Limits.of(agent, 3600).duration, Limits.of(agent, 30).duration) == (60, 30)
    assert Limits.of(agent, 30).used.tokens == 7
