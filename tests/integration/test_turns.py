"""Who has the floor: conversations on a virtual clock, a rule each."""

import time
from typing import Any

import numpy as np
import pytest

from tests.support.virtual_clock import played
from tests.support.virtual_talk import RATE, Talk, talking

STORY = "once there was a clinic " + "that had many rooms " * 6
ASKS = "we have time on Monday at nine or on Tuesday at ten shall I book that for you?"


@pytest.mark.parametrize(
    ("said", "turn"),
    [
        (("What are your opening hours?",), "What are your opening hours?"),
        (
            ("My name is Peter Johnson and", 0.6, "I need an appointment."),
            "My name is Peter Johnson and I need an appointment.",
        ),
        (
            ("My number is five five five", 0.9, "zero one three four nine nine nine"),
            "My number is five five five zero one three four nine nine nine",
        ),
        (
            ("I live at 12", 0.9, "Main Street in Springfield 49007"),
            "I live at 12 Main Street in Springfield 49007",
        ),
        (("You can write to peter at", 0.9, "example dot com"), "You can write to peter at example dot com"),
        (("I wanted to um", 0.9, "ask for an appointment."), "I wanted to um ask for an appointment."),
    ],
)
@pytest.mark.parametrize("late", [0.0, 0.25])
def test_a_pause_where_the_words_go_on_does_not_end_the_turn(said: Any, turn: str, late: float) -> None:
    async def talk() -> Talk:
        async with talking(stt_delay=late) as talk:
            await talk.quiet()
            await talk.says(*said)
            await talk.hears()
            await talk.quiet()
            return talk

    assert played(talk()).said("user") == [turn]


@pytest.mark.parametrize(
    ("said", "least", "most"),
    [
        ("What are your opening hours?", 0.1, 0.25),
        ("Tuesday", 0.45, 0.6),
        ("I would like to", 1.7, 2.0),
    ],
)
def test_the_answer_comes_when_the_words_allow(said: str, least: float, most: float) -> None:
    async def talk() -> float:
        async with talking(stt_delay=0.0) as talk:
            await talk.quiet()
            await talk.says(said)
            return await talk.hears()

    assert least < played(talk()) < most


def test_words_that_come_late_are_waited_for() -> None:
    async def talk() -> Talk:
        async with talking(stt_delay=0.8) as talk:
            await talk.quiet()
            await talk.says("What are your opening hours?", 0.3, "And on Sunday?")
            await talk.hears()
            await talk.quiet()
            return talk

    assert played(talk()).said("user") == ["What are your opening hours? And on Sunday?"]


@pytest.mark.parametrize("detection", ["vad", "stt"])
def test_a_mode_without_words_is_ended_by_the_pause_alone(detection: str) -> None:
    async def talk() -> tuple[float, Talk]:
        async with talking(stt_delay=0.1, turns={"detection": detection}) as talk:
            await talk.quiet()
            await talk.says("I would like to")
            return await talk.hears(), talk

    waited, _ = played(talk())
    assert 0.45 < waited < 0.65


def test_a_dynamic_pause_grows_with_the_pauses_that_are_made() -> None:
    async def talk() -> list[float]:
        waits = []
        agent = {"turns": {"detection": "vad", "endpointing": "dynamic"}, "responsiveness": 0.9}
        async with talking(stt_delay=0.0, **agent) as talk:
            await talk.quiet()
            for _ in range(8):
                await talk.says("one", 0.27, "two", 0.27, "three")
                waits.append(await talk.hears())
                await talk.quiet()
        return waits

    waits = played(talk())
    assert waits[-1] > waits[0] + 0.01


def interrupted(words: str, after: float = 2.0, answer: str = STORY, **agent: Any) -> tuple[Talk, float]:
    """Somebody says this over a long answer; when that was."""

    async def talk() -> tuple[Talk, float]:
        async with talking({"Tell me.": answer}, **agent) as talk:
            await talk.quiet()
            await talk.says("Tell me.")
            await talk.hears()
            await talk.pause(after)
            began = time.time()
            await talk.says(words)
            await talk.pause(4)
            await talk.quiet()
            return talk, began

    found: tuple[Talk, float] = played(talk())
    return found


@pytest.mark.parametrize(("sensitivity", "most"), [(1.0, 0.12), (0.5, 0.16), (0.3, 0.5)])
def test_a_barge_in_stops_the_sound(sensitivity: float, most: float) -> None:
    talk, began = interrupted("No, stop, that is enough.", interruption_sensitivity=sensitivity)
    before_answer = [at for at, _ in talk.sounds if at < began + 1.0]
    assert before_answer[-1] - began < most
    assert talk.turns[2][0:1] + talk.turns[2][2:] == ("assistant", True)


def test_what_was_heard_of_an_answer_is_what_stands_in_the_talk() -> None:
    talk, began = interrupted("No, stop, that is enough.", after=2.5)
    text = next(text for role, text, was_cut in talk.turns if role == "assistant" and was_cut)
    first = next(at for at, _ in talk.sounds if began - 3.5 < at)
    sounded = Talk(
        talk.ears,
        talk.mind,
        talk.microphone,
        [each for each in talk.sounds if first <= each[0] < began + 0.5],
    )
    assert STORY.startswith(text.strip())
    assert abs(len(text.split()) - sounded.words_heard(0)) <= 1


@pytest.mark.parametrize("murmur", ["Uh-huh.", "Yeah.", "Okay, right."])
def test_who_only_listens_does_not_stop_the_agent(murmur: str) -> None:
    talk, began = interrupted(murmur)
    assert talk.said("user") == ["Tell me."]
    assert [was_cut for role, _, was_cut in talk.turns if role == "assistant"] == [False, False]
    assert sum(talk.silences(began)) < 0.7, "held for a moment, no longer"


def test_where_the_owner_does_not_want_that_a_murmur_is_a_turn() -> None:
    talk, _ = interrupted("Yeah.", turns={"backchannel": False})
    assert talk.said("user") == ["Tell me.", "Yeah."]


def test_an_assent_at_the_end_of_a_question_is_its_answer() -> None:
    early, _ = interrupted("Yeah.", after=1.2, answer=ASKS)
    late, _ = interrupted("Yeah.", after=3.9, answer=ASKS)
    assert early.said("user") == ["Tell me."]
    assert late.said("user") == ["Tell me.", "Yeah."]


def test_a_sound_without_words_holds_the_agent_who_then_goes_on() -> None:
    talk, began = interrupted("*")
    assert [was_cut for role, _, was_cut in talk.turns if role == "assistant"] == [False, False]
    assert 0.3 < sum(talk.silences(began)) < 1.2


def overheard(*sounds: float, allow: float = 6.0, **agent: Any) -> list[list[float]]:
    """Sounds of so many seconds without words over a long answer, each after a while; the holes they make."""

    async def talk() -> list[list[float]]:
        async with talking({"Tell me.": "once there was a clinic " + STORY * 6}, **agent) as talk:
            await talk.quiet()
            await talk.says("Tell me.")
            await talk.hears()
            await talk.pause(2.0)
            holes = []
            for seconds in sounds:
                began = time.time()
                talk.microphone.pending = np.full(int(seconds * RATE), 8000, np.int16)
                await talk.pause(allow)
                holes.append(talk.silences(began))
            assert not any(was_cut for _, _, was_cut in talk.turns)
            return holes

    found: list[list[float]] = played(talk())
    return found


def test_a_sound_too_short_for_a_word_makes_a_small_hole_or_none() -> None:
    click, cough = overheard(0.03, 0.16)
    assert sum(click) < 0.1, "two windows, where it lies across their border"
    assert len(cough) == 1
    assert cough[0] < 0.25


def test_who_is_hushed_in_error_again_and_again_is_not_hushed_for_a_while() -> None:
    first, second, third, later = overheard(0.16, 0.16, 0.16, 0.0, 0.16, allow=6.0)[:4]
    assert (len(first), len(second)) == (1, 1)
    assert third == later == []


def test_nothing_of_an_answer_is_lost_by_a_hush() -> None:
    talk, began = interrupted("*" * 3, answer=STORY, interruption_sensitivity=0.4)
    assert talk.silences(began), "it was hushed"
    role, text, was_cut = talk.turns[-1]
    assert (role, text.strip(), was_cut) == ("assistant", STORY.strip(), False)
    first = next(at for at, _ in talk.sounds if began - 3 < at)
    sounded = Talk(talk.ears, talk.mind, talk.microphone, [each for each in talk.sounds if first <= each[0]])
    assert sounded.words_heard(0) == len(STORY.split())


def test_with_a_minimum_of_words_one_is_not_enough() -> None:
    one, _ = interrupted("Wait", turns={"min_interruption_words": 3})
    assert not any(was_cut for _, _, was_cut in one.turns)
    many, _ = interrupted("Wait please stop it now", turns={"min_interruption_words": 3})
    assert any(was_cut for _, _, was_cut in many.turns)


def test_a_disclaimer_is_heard_to_its_end() -> None:
    disclaimer = "This call is recorded " + "as the law wants it " * 4

    async def talk() -> Talk:
        agent = {"begin_message": disclaimer.strip(), "opening": {"uninterruptible": True}}
        async with talking({}, interruption_sensitivity=1.0, **agent) as talk:
            await talk.pause(1.5)
            await talk.says("Yes but I only want to know one thing.")
            await talk.quiet()
            await talk.says("What are your opening hours?")
            await talk.hears()
            await talk.quiet()
            return talk

    found = played(talk())
    assert found.turns[0] == ("assistant", disclaimer.strip(), False)
    assert found.said("user")[-1] == "What are your opening hours?"


def test_an_answer_is_thought_of_while_it_is_not_clear_that_the_turn_is_over() -> None:
    async def talk() -> tuple[Talk, int]:
        async with talking(stt_delay=0.0) as talk:
            await talk.quiet()
            await talk.says("Tuesday")
            await talk.pause(0.2)
            thought = len(talk.mind.asked)
            await talk.hears()
            await talk.quiet()
            return talk, thought

    found, thought = played(talk())
    assert thought == len(found.mind.asked) == 1


def test_a_hole_in_the_sound_delays_no_later_answer() -> None:
    async def talk() -> float:
        async with talking(stt_delay=0.0) as talk:
            await talk.quiet()
            talk.microphone.lose(3.0)
            await talk.says("What are your opening hours?")
            return await talk.hears()

    assert played(talk()) < 0.3
