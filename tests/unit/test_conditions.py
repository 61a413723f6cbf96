"""When something is done after a call."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.conditions import BadCondition, read

FACTS: dict[str, Any] = {
    "callback_requested": True,
    "appointment_time": "2026-03-02T14:30",
    "guests": 4,
    "name": "Ada Lovelace",
    "city": None,
    "user_sentiment": "positive",
}


@pytest.mark.parametrize(
    ("condition", "holds"),
    [
        (None, True),
        ("", True),
        ("  ", True),
        ("callback_requested == true", True),
        ("callback_requested", True),
        ("city", False),
        ("callback_requested != true", False),
        ("appointment_time != null", True),
        ("city == null", True),
        ("nobody_asked_for_this == null", True),
        ("guests >= 4 and guests < 5", True),
        ("guests > 4 or user_sentiment == 'positive'", True),
        ("guests > 4 and user_sentiment == 'positive' or city", False),
        ("guests == '4'", True),
        ('name == "ada lovelace"', True),
        ("name contains love", True),
        ("city contains x", False),
        ("appointment_time > '2026-03-01'", True),
        ("city > 3", False),
        ("name > 3", False),
        ({"field": "guests", "operator": "==", "value": 4}, True),
        ({"field": "guests", "value": 5}, False),
        ({"field": "callback_requested", "operator": "==", "value": "true"}, False),
        ({"field": "callback_requested", "operator": "==", "value": True}, True),
    ],
)
def test_a_condition_holds_for_the_facts_it_names(condition: Any, holds: bool) -> None:
    assert read(condition).holds(FACTS) is holds


@pytest.mark.parametrize(
    "condition",
    [
        *("guests ==", "== 4", "guests = 4", "guests 4", "guests == 4 4", "a and", "or a", "guests == =="),
        *("guests; x", {"field": ""}, {"operator": "=="}, {"field": "a", "operator": "like"}),
        " and ".join(["a"] * 21),
    ],
)
def test_what_cannot_be_read_is_refused_with_a_sentence(condition: Any) -> None:
    with pytest.raises(BadCondition, match=r"\w+ .*\."):
        read(condition)


@given(st.text(max_size=200))
def test_no_text_does_anything_but_hold_fail_or_be_refused(text: str) -> None:
    with contextlib.suppress(BadCondition):
        assert read(text).holds(FACTS) in (True, False)
