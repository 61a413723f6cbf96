"""Who answers a number: rules that are read from top to bottom, on the clock of whoever set them."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from api.phone_numbers.answering import Advice, Answering, decide, is_blocked

OFFICE = {
    "timezone": "Europe/Berlin",
    "windows": [{"weekdays": ["mo", "tu", "we", "th", "fr"], "start": "09:00", "end": "17:00"}],
    "closed_on": ["2026-12-25"],
}
MONDAY = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)  # ten o'clock in Berlin
CALLER = "+14155550100"


def decided(
    at: datetime = MONDAY, caller: str = CALLER, advice: dict[str, Any] | None = None, **rules: Any
) -> Any:
    return decide(Answering.model_validate(rules), "own", caller, at, Advice.model_validate(advice or {}))


def test_without_rules_the_numbers_agent_answers_and_else_the_fallback() -> None:
    assert decided().agent_ids == ("own",)
    assert decided(fallback_agent_id="spare").agent_ids == ("own", "spare")
    assert decide(Answering(), None, CALLER, MONDAY, Advice()).agent_ids == ()


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        (MONDAY, True),
        (datetime(2026, 11, 30, 7, 59, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 30, 8, 0, tzinfo=UTC), True),
        (datetime(2026, 11, 30, 16, 0, tzinfo=UTC), False),
        (datetime(2026, 7, 6, 7, 0, tzinfo=UTC), True),  # summer time: nine o'clock
        (datetime(2026, 11, 29, 9, 0, tzinfo=UTC), False),  # a Sunday
        (datetime(2026, 12, 25, 9, 0, tzinfo=UTC), False),  # a Friday, and a holiday
    ],
)
def test_hours_are_those_of_their_own_clock(at: datetime, is_open: bool) -> None:
    found = decided(at, hours=OFFICE, closed={"agent_id": "night"})
    assert found.agent_ids == (("own",) if is_open else ("night", "own"))
    assert decided(at, hours=OFFICE).is_refused is not is_open


def test_a_window_to_the_last_minute_goes_to_midnight() -> None:
    day = {"timezone": "UTC", "windows": [{"start": "00:00", "end": "23:59"}]}
    assert not decided(datetime(2026, 11, 30, 23, 59, 30, tzinfo=UTC), hours=day).is_refused


def test_the_first_rule_that_holds_decides() -> None:
    rules = [
        {"callers": ["+49*"], "hours": OFFICE, "to": {"agent_id": "german"}},
        {"callers": ["+1900*"], "to": {"refuse": True}},
        {"callers": [CALLER], "to": {"forward_to": "+14155550177"}},
    ]
    assert decided(caller="+4930123456", rules=rules).agent_ids == ("german", "own")
    assert decided(datetime(2026, 11, 29, tzinfo=UTC), "+4930123456", rules=rules).agent_ids == ("own",)
    assert decided(caller="+19005550100", rules=rules).is_refused
    found = decided(rules=rules)
    assert (found.agent_ids, found.reception.forward_to) == (("own",), "+14155550177")
    assert decided(caller="", rules=rules).agent_ids == ("own",), "a hidden number is nobody's"


def test_a_webhooks_word_comes_before_the_rules_and_a_menu_after_them() -> None:
    rules = {"hours": OFFICE, "menu": {"say": "Press one.", "choices": [{"key": "1", "agent_id": "sales"}]}}
    at_night = datetime(2026, 11, 29, tzinfo=UTC)
    assert decided(at_night, advice={"agent_id": "vip"}, **rules).agent_ids == ("vip", "own")
    assert decided(advice={"refuse": True}, **rules).is_refused
    assert decided(at_night, **rules).is_refused
    reception = decided(**rules).reception
    assert [(one.key, one.kind, one.value) for one in reception.choices] == [("1", "agent", "sales")]


def test_who_is_blocked() -> None:
    rules = Answering.model_validate({"blocked": ["+1 900*", "+14155550100"]})
    assert [is_blocked(rules, one) for one in ("+19005550123", CALLER, "+14155550101", "")] == [
        True,
        True,
        False,
        False,
    ]
    assert is_blocked(Answering(blocks_anonymous=True), "")


@pytest.mark.parametrize(
    "wrong",
    [
        {"blocked": ["0900*"]},
        {"blocked": ["+49**"]},
        {"closed": {}},
        {"closed": {"refuse": True, "agent_id": "a"}},
        {"rules": [{"to": {"forward_to": "12"}}]},
        {"hours": {**OFFICE, "timezone": "Mars/Base"}},
        {"hours": {**OFFICE, "windows": [{"start": "18:00", "end": "09:00"}]}},
        {"menu": {"say": "x", "choices": [{"key": "1", "agent_id": "a"}, {"key": "1", "agent_id": "b"}]}},
        {"menu": {"say": "x", "choices": [{"key": "1"}]}},
        {"menu": {"say": "x", "choices": [{"key": "12", "agent_id": "a"}]}},
        {"most_calls_per_caller": 0},
    ],
)
def test_rules_that_say_nothing_or_two_things_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Answering.model_validate(wrong)
