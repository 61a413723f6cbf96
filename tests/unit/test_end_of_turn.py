"""When the words say that a turn is over, on a clock that the test moves."""

import asyncio
import time
from typing import Any

import pytest
from livekit.agents import LanguageCode, UserStateChangedEvent, llm, stt

from pipelines.end_of_turn import WordsAndPauses

PATIENCE = 0.49


def words(text: str, *, is_final: bool = True) -> stt.SpeechEvent:
    kind = stt.SpeechEventType.FINAL_TRANSCRIPT if is_final else stt.SpeechEventType.INTERIM_TRANSCRIPT
    return stt.SpeechEvent(type=kind, alternatives=[stt.SpeechData(language=LanguageCode("en"), text=text)])


def talk(said: str, asked: str = "") -> llm.ChatContext:
    context = llm.ChatContext.empty()
    if asked:
        context.add_message(role="assistant", content=asked)
    context.add_message(role="user", content=said)
    return context


class Judged:
    """A detector that was told of silence now and of words that cover all that was said."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.slept = 100.0, 0.0
        monkeypatch.setattr(time, "time", lambda: self.now)
        self.detector = WordsAndPauses("en-US", PATIENCE)
        self.falls_silent()
        self.detector.heard(words("all of it"), self.now)

        async def sleep(seconds: float) -> None:
            self.slept += seconds

        monkeypatch.setattr(asyncio, "sleep", sleep)

    def falls_silent(self) -> None:
        event = UserStateChangedEvent(old_state="speaking", new_state="listening", created_at=self.now)
        self.detector._user_changed(event)

    async def ends(self, said: str, asked: str = "", language: str = "") -> bool:
        await self.detector.supports_language(language)
        threshold = await self.detector.unlikely_threshold(language)
        return await self.detector.predict_end_of_turn(talk(said, asked)) >= (threshold or 0)


@pytest.fixture
def judged(monkeypatch: pytest.MonkeyPatch) -> Any:
    return Judged(monkeypatch)


async def test_a_finished_sentence_ends_the_turn_at_once(judged: Judged) -> None:
    assert await judged.ends("What are your opening hours?")
    assert judged.slept == 0


async def test_an_open_one_does_not(judged: Judged) -> None:
    assert not await judged.ends("My number is 555")
    assert not await judged.ends("555", asked="What is your phone number?")


async def test_an_unclear_one_waits_for_what_is_left_of_the_pause(judged: Judged) -> None:
    judged.now += 0.3
    assert await judged.ends("Tuesday")
    assert judged.slept == pytest.approx(PATIENCE - 0.3)


async def test_words_on_their_way_are_waited_for(judged: Judged) -> None:
    judged.detector.heard(words("and also", is_final=False), None)
    assert not await judged.ends("What are your opening hours?")
    judged.detector.heard(words("and also on Sunday"), judged.now)
    assert await judged.ends("What are your opening hours and also on Sunday?")


async def test_speech_that_no_words_cover_yet_is_waited_for(judged: Judged) -> None:
    judged.now += 2
    judged.falls_silent()
    assert not await judged.ends("What are your opening hours?")
    judged.detector.heard(words("Please."), judged.now - 0.1)
    assert await judged.ends("What are your opening hours? Please.")


async def test_the_language_that_is_heard_counts(judged: Judged) -> None:
    assert not await judged.ends("Ich möchte einen Termin für", language="de")
    assert await judged.ends("Ich möchte einen Termin für", language="ja")
    assert judged.slept > 0, "a language without rules goes by its pauses"
