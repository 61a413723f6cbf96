"""When a call must end by itself, on a clock in our hands."""

import asyncio
from collections.abc import Iterator

import pytest
from livekit.agents import (
    AgentStateChangedEvent,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage

from worker import watchdog
from worker.watchdog import Limits, Watchdog


class Session:
    """Takes listeners and calls them, as `AgentSession` does."""

    def __init__(self) -> None:
        self.listeners: dict[str, object] = {}

    def on(self, event: str, listener: object) -> None:
        self.listeners[event] = listener

    def agent(self, old: str, new: str) -> None:
        self._tell("agent_state_changed", AgentStateChangedEvent(old_state=old, new_state=new))  # type: ignore[arg-type]

    def user(self, old: str, new: str) -> None:
        self._tell("user_state_changed", UserStateChangedEvent(old_state=old, new_state=new))  # type: ignore[arg-type]

    def words(self, text: str) -> None:
        self._tell("user_input_transcribed", UserInputTranscribedEvent(transcript=text, is_final=True))

    def said(self, role: str) -> None:
        item = ChatMessage(role=role, content=["words"])  # type: ignore[arg-type]
        self._tell("conversation_item_added", ConversationItemAddedEvent(item=item))

    def _tell(self, name: str, event: object) -> None:
        self.listeners[name](event)  # type: ignore[operator]


class Watched:
    """A watchdog whose seconds pass when told."""

    def __init__(self, limits: Limits) -> None:
        self.now = 100.0
        self.unanswered = 0
        self.session = Session()
        self.dog = Watchdog(limits, self._count, lambda: self.now)
        self.dog.attach(self.session)  # type: ignore[arg-type]
        self.task = asyncio.create_task(self.dog.limit())

    def _count(self) -> None:
        self.unanswered += 1

    async def after(self, seconds: float) -> str | None:
        """The limit that is reached when so much time has passed."""
        self.now += seconds
        await asyncio.sleep(0.01)
        return self.task.result() if self.task.done() else None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(watchdog, "TICK_SECONDS", 0.001)
    return


async def test_nobody_says_anything() -> None:
    watched = Watched(Limits(3600, 30))
    assert await watched.after(29) is None
    assert await watched.after(2) == "silence"


async def test_a_long_answer_is_not_silence_and_its_end_begins_the_wait() -> None:
    watched = Watched(Limits(3600, 30))
    watched.session.agent("listening", "speaking")
    assert await watched.after(100) is None
    watched.session.agent("speaking", "listening")
    assert await watched.after(29) is None
    assert await watched.after(2) == "silence"


async def test_words_keep_a_call_alive_and_noise_does_not() -> None:
    watched = Watched(Limits(3600, 30))
    assert await watched.after(20) is None
    watched.session.words("hello")
    assert await watched.after(20) is None
    watched.session.words(" ")
    assert await watched.after(12) == "silence"


async def test_a_sentence_is_not_cut_off_but_a_fan_is() -> None:
    watched = Watched(Limits(3600, 30))
    await watched.after(25)
    watched.session.user("listening", "speaking")
    assert await watched.after(20) is None
    assert await watched.after(11) == "silence"


async def test_no_call_is_longer_than_allowed() -> None:
    watched = Watched(Limits(60, 30))
    watched.session.agent("listening", "speaking")
    assert await watched.after(59) is None
    assert await watched.after(2) == "max_duration"


async def test_a_turn_without_an_answer_is_told_once() -> None:
    watched = Watched(Limits(3600, 300, unanswered=12))
    watched.session.said("user")
    await watched.after(13)
    await watched.after(13)
    assert watched.unanswered == 1
    watched.session.said("user")
    watched.session.agent("thinking", "speaking")
    await watched.after(13)
    assert watched.unanswered == 1
    watched.task.cancel()
