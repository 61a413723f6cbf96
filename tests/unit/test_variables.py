"""What stands in double curly brackets."""

from datetime import UTC, datetime

import pytest

from pipelines.variables import render

NOW = datetime(2026, 3, 5, 9, 7, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "rendered", "unknown"),
    [
        ("Hello {{name}}!", "Hello Ada!", ()),
        ("Hello {{ name }}, it is {{current_time}}.", "Hello Ada, it is 09:07.", ()),
        ("Today is {{current_date}}.", "Today is Thursday, 05 March 2026.", ()),
        ("Hello {{username}}!", "Hello!", ()),
        ("Hello {{nick}}, {{nick}} again", "Hello, again", ("nick",)),
        ("{{quoted}}", "{{name}}", ()),
        ("{name} {{}} {{a b}}", "{name} {{}} {{a b}}", ()),
        ("zero\0byte", "zerobyte", ()),
    ],
)
def test_known_names_are_replaced_and_unknown_ones_leave_no_trace(
    text: str, rendered: str, unknown: tuple[str, ...]
) -> None:
    result = render(text, {"name": "Ada", "quoted": "{{name}}"}, NOW)
    assert (result.text, result.unknown) == (rendered, unknown)


def test_a_calls_own_value_wins_over_a_built_in_one() -> None:
    assert render("{{current_time}}", {"current_time": "tea time"}, NOW).text == "tea time"
