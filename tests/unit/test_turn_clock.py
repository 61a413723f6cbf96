"""When somebody really spoke, whatever comes late, and how long the answer took from there."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, cast

import pytest
from livekit.agents import (
    AgentSession,
    ConversationItemAddedEvent,
    UserInputTranscribedEvent,
    UserStateChangedEvent,
)
from livekit.agents.llm import ChatMessage

from pipelines.agent_config import AgentConfig
from pipelines.assemble import Pipeline
from pipelines.contract.brief import CallBrief
from pipelines.contract.events import CallEvent, TurnTaken, UtteranceHeard
from pipelines.first_sentence import FirstSentence
from pipelines.transcript import TurnLatency
from worker.conversation import TYPED, Conversation
from worker.turn_clock import SpeechTimes


def test_words_are_as_long_as_the_speech_they_come_from() -> None:
    times = SpeechTimes()
    times.began(10.0)
    times.ended(12.0)
    times.words(9.7, 12.1)
    assert times.take(13.0) == (10.0, 12.0)


def test_two_utterances_in_one_breath_are_told_apart() -> None:
    times = SpeechTimes()
    times.began(10.0)
    times.words(9.7, 11.0)
    times.ended(13.0)
    assert times.take(14.0) == (10.0, 11.0)
    times.words(11.2, 13.0)
    assert times.take(14.5) == (11.2, 13.0)


def test_words_that_come_late_belong_to_the_speech_they_were_said_in() -> None:
    times = SpeechTimes()
    times.began(10.0)
    times.ended(11.0)
    times.began(11.5)
    times.ended(12.5)
    times.words(9.7, 11.0)
    assert times.take(13.0) == (10.0, 11.0)
    times.words(11.2, 12.5)
    assert times.take(20.0) == (11.5, 12.5)


def test_a_cough_before_the_words_is_no_part_of_them() -> None:
    times = SpeechTimes()
    times.began(1.0)
    times.ended(1.3)
    times.began(10.0)
    times.ended(11.0)
    times.words(9.7, 11.0)
    assert times.take(12.0) == (10.0, 11.0)


def test_a_recogniser_that_tells_no_times_leaves_it_to_the_detector() -> None:
    times = SpeechTimes()
    assert times.take(9.0) is None
    times.began(10.0)
    times.ended(11.0)
    times.began(11.4)
    times.ended(12.0)
    assert times.take(13.0) == (10.0, 12.0)
    assert times.take(13.0) is None


class Told:
    """A conversation that is told what a session does, on a clock of our own."""

    def __init__(self) -> None:
        self.events: list[CallEvent] = []
        brief = CallBrief(call_id="c", agent=AgentConfig(agent_id="a", name="A"))
        self.conversation = Conversation(brief, "w", self.events.append, lambda message: None)
        session, pipeline = _Emitter(), _Pipeline()
        self.conversation.attach(cast("AgentSession[Any]", session), cast("Pipeline", pipeline))
        self.emit, self.words = session.emit, pipeline.agent

    def speech(self, began_at: float, ended_at: float) -> None:
        states: tuple[tuple[Any, Any, float], ...] = (
            ("listening", "speaking", began_at),
            ("speaking", "listening", ended_at),
        )
        for old, new, at in states:
            event = UserStateChangedEvent(old_state=old, new_state=new, created_at=at)
            self.emit("user_state_changed", event)

    def final(self, began_at: float, ended_at: float, at: float) -> None:
        self.words.on_words(began_at, ended_at)
        event = UserInputTranscribedEvent(transcript="words", is_final=True, created_at=at)
        self.emit("user_input_transcribed", event)

    def item(self, role: Any, at: float, *, typed: bool = False, **metrics: Any) -> None:
        message = ChatMessage(
            role=role, content=["words"], created_at=at, extra={TYPED: True} if typed else {}
        )
        message.metrics = cast("Any", metrics)
        self.emit("conversation_item_added", ConversationItemAddedEvent(item=message, created_at=at))

    def latency(self) -> TurnLatency:
        (turn,) = [event.turn for event in self.events if isinstance(event, TurnTaken)]
        return turn.latency


class _Emitter:
    def __init__(self) -> None:
        self.listeners: dict[str, Any] = {}
        self.usage: Any = type("Usage", (), {"model_usage": ()})()

    def on(self, name: str, listener: Any) -> None:
        self.listeners[name] = listener

    def emit(self, name: str, event: Any) -> None:
        self.listeners[name](event)


class _Pipeline:
    def __init__(self) -> None:
        self.agent: Any = type("Agent", (), {"retrieval": None, "first_sentence": FirstSentence()})()
        self.toolbox: Any = type("Toolbox", (), {"rails": type("Rails", (), {})()})()
        self.on_switch: Any = lambda warn: None


def test_an_answer_is_measured_although_the_session_knows_nothing_of_the_question() -> None:
    told = Told()
    told.speech(100.0, 102.0)
    told.final(99.8, 102.0, at=103.5)
    told.item("user", 103.6)
    told.item("assistant", 104.0, started_speaking_at=104.0, stopped_speaking_at=106.0)
    heard = next(event.utterance for event in told.events if isinstance(event, UtteranceHeard))
    assert (heard.started_at, heard.ended_at) == (
        datetime.fromtimestamp(100.0, UTC),
        datetime.fromtimestamp(102.0, UTC),
    )
    latency = told.latency()
    assert latency.total_ms == pytest.approx(2000)
    assert latency.stt_ms == pytest.approx(1500)
    assert latency.endpointing_ms == pytest.approx(1600)


def test_the_moment_at_which_the_detector_let_go_is_told() -> None:
    told = Told()
    at = time.time()
    told.speech(at - 2.0, at - 0.25)
    told.final(at - 2.0, at - 0.25, at=at)
    told.item("user", at + 0.1)
    told.item("assistant", at + 0.2, started_speaking_at=at + 0.2)
    let_go = told.latency().vad_ms
    assert let_go is not None
    assert let_go >= 250


async def test_the_first_whole_sentence_of_an_answer_is_timed() -> None:
    clock = FirstSentence()

    async def answer() -> AsyncIterator[str]:
        for piece in ("We are ", "open. ", "Do ", "come."):
            yield piece

    seen = [(piece, clock.ms is not None) async for piece in clock.timed(answer())]
    assert seen == [("We are ", False), ("open. ", True), ("Do ", True), ("come.", True)]

    async def short() -> AsyncIterator[str]:
        yield "Yes"

    assert [piece async for piece in clock.timed(short())] == ["Yes"]
    assert clock.ms is not None, "an answer that ends without a point is whole, too"


def test_times_that_the_session_made_up_after_the_fact_are_not_believed() -> None:
    told = Told()
    told.speech(100.0, 101.0)
    told.speech(101.4, 102.4)
    told.final(99.8, 101.0, at=101.6)
    told.item("user", 101.8, started_speaking_at=100.0, stopped_speaking_at=101.0, end_of_turn_delay=0.8)
    told.final(101.2, 102.4, at=103.0)
    # As seen: a stretch of 50 ms around the moment at which late words were taken.
    told.item("user", 103.1, started_speaking_at=103.0, stopped_speaking_at=103.05, end_of_turn_delay=0.05)
    told.item("assistant", 103.4, started_speaking_at=103.4)
    second = [event.utterance for event in told.events if isinstance(event, UtteranceHeard)][1]
    assert second.started_at == datetime.fromtimestamp(101.4, UTC)
    assert second.ended_at == datetime.fromtimestamp(102.4, UTC)
    assert told.latency().total_ms == pytest.approx(1000)
    assert told.latency().endpointing_ms == pytest.approx(700)


def test_an_answer_to_what_was_typed_is_measured_from_its_coming() -> None:
    told = Told()
    told.item("user", 100.0, typed=True)
    told.item("assistant", 100.2, started_speaking_at=100.3)
    assert told.latency().total_ms == pytest.approx(300)
    assert told.latency().endpointing_ms is None
