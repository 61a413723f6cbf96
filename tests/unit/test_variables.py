"""What stands in double curly brackets."""

from datetime import UTC, datetime

import pytest

from pipelines.agent_config import AgentConfig
from pipelines.contract.brief import CallBrief
from pipelines.script import Script
from pipelines.variables import built_in, render

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
        ("{name} {{}} a {{a b}}", "{name} a", ("", "a b")),
        ("Dear {{first name}}", "Dear Ada", ()),
        ("zero\0byte", "zerobyte", ()),
    ],
)
def test_known_names_are_replaced_and_unknown_ones_leave_no_trace(
    text: str, rendered: str, unknown: tuple[str, ...]
) -> None:
    known = {"name": "Ada", "first name": "Ada", "quoted": "{{name}}"}
    result = render(text, built_in(NOW) | known)
    assert (result.text, result.unknown) == (rendered, unknown)


def _script(variables: dict[str, str] | None = None, language: str = "en-US", **agent: object) -> Script:
    config = {"agent_id": "a", "name": "Ada's desk", "language": language, **agent}
    brief = CallBrief(
        call_id="call_1",
        agent=AgentConfig.model_validate(config),
        variables=variables or {},
        caller_number="+15550100",
    )
    return Script.of(brief, NOW)


def test_a_calls_own_value_wins_over_a_built_in_one() -> None:
    assert _script({"current_time": "tea time"}, begin_message="{{current_time}}").begin == "tea time"


def test_the_built_in_ones_know_the_call_and_the_agents_own_clock() -> None:
    script = _script(
        time_zone="Asia/Tokyo",
        begin_message="{{agent_name}}, {{call_id}}, {{caller_number}}, {{current_time}} {{time_zone}}",
    )
    assert script.begin == "Ada's desk, call_1, +15550100, 18:07 JST"
    assert script.unknown == ()


def test_a_zone_that_this_machine_does_not_know_leaves_its_own() -> None:
    assert _script(time_zone="Mars/Olympus", begin_message="{{current_time}}").begin == "09:07"


def test_everything_that_is_said_has_its_variables() -> None:
    script = _script(
        {"name": "Ada"},
        engine={"instructions": "I {{name}}"},
        begin_message="B {{name}}",
        goodbye={"message": "G {{name}}", "prompt": "P {{name}}"},
        voicemail={"message": "V {{name}} {{nick}}"},
        fallback={"message": "F {{name}} {{nick}} {{more}}"},
        transfer_targets=[
            {
                "name": "{{name}}",
                "kind": "phone",
                "value": "1",
                "private_message": "T {{name}}",
                "public_message": "U {{name}}",
            }
        ],
    )
    (target,) = script.targets
    assert (target.name, target.private_message, target.public_message) == ("{{name}}", "T Ada", "U Ada")
    assert (script.instructions, script.begin, script.goodbye) == ("I Ada", "B Ada", "G Ada")
    assert (script.goodbye_prompt, script.voicemail, script.fallback) == ("P Ada", "V Ada", "F Ada")
    assert script.unknown == ("nick", "more")


@pytest.mark.parametrize(("language", "goodbye"), [("tr-TR", "Hoşça kalın."), ("xx", "Goodbye.")])
def test_a_goodbye_that_nobody_wrote_is_said_in_the_language_of_the_call(language: str, goodbye: str) -> None:
    assert _script(language=language).goodbye.endswith(goodbye)
