"""What a call does not notice by itself, as tables on a clock in our hands.

Each row of a talk is a second and what happens then; each row of what follows is a second and an act.
"""

import pytest

from pipelines.agent_config import AgentConfig, LimitConfig, ReminderConfig
from tests.support.watched import NO_REMINDERS, NO_WARNING, Row, Watched
from worker.watchdog import Limits
from worker.watchdog.limits import Usage


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
