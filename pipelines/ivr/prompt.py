"""What an engine is told that is to get through a menu, and what it may do about each thing it hears."""

import re
from typing import Any

from livekit.agents.llm import RawFunctionTool, function_tool

NAVIGATE = "You have called a number and are getting through its automated menu."
"""What an engine that navigates is told first; the scripted one, which follows no orders, knows this one."""
SILENCE = "(Nothing has been said for a while.)"
"""Stands in the place of words."""

_PROMPT = """{navigate} Nothing you write is spoken. Call exactly one function for each thing that is heard.
Goal: {goal}
Language: {language}

- press_keys, as soon as an option clearly leads towards the goal. If none does and the menu is over, take
  the one that leads to a person or to anything else. Press what is asked for (an extension, a language) if
  the goal has it. After a key that was not accepted, listen again; try another one if it was refused twice.
- say_words, where the system asks to be told what you want: the fewest words that say it.
- keep_waiting, while options are still being read (heard: menu), or while music, a queue, an announcement or
  a connection is heard (heard: hold).
- person_answered, only when a human being talks to you: a greeting by name, a question, "hello?". A recorded
  welcome, an advertisement and a notice that the call is recorded are no person. After words that could be
  either, {silence} means that somebody waits for your answer.
- machine_answered, when a voicemail or an answering machine asks for a message.
- give_up, when it is certain that nobody can be reached: they are closed, the number is wrong."""

_GOAL = re.compile(r"^Goal: (.*)$", re.MULTILINE)
_LANGUAGE = re.compile(r"^Language: (.*)$", re.MULTILINE)


def prompt(goal: str, language: str) -> str:
    """What an engine is told."""
    goal = " ".join(goal.split())
    return _PROMPT.format(navigate=NAVIGATE, goal=goal, language=language, silence=SILENCE)


def goal_of(instructions: str) -> tuple[str, str]:
    """Goal and language, as they stand in it."""
    goal, language = _GOAL.search(instructions), _LANGUAGE.search(instructions)
    return goal[1] if goal else "", language[1] if language else ""


def _tool(name: str, description: str, **properties: Any) -> RawFunctionTool[..., Any]:
    async def never(raw_arguments: dict[str, Any]) -> None:
        """What is called is done by whoever asked."""

    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return function_tool(
        never,
        raw_schema={
            "name": name,
            "description": description,
            "parameters": {**schema, "additionalProperties": False},
        },
    )


def tools() -> list[RawFunctionTool[..., Any]]:
    """One for each thing that can be done."""
    words, kinds = {"type": "string"}, {"type": "string", "enum": ["menu", "hold"]}
    return [
        _tool(
            "press_keys", "Press keys of the telephone: digits, * and #; w waits half a second.", digits=words
        ),
        _tool("say_words", "Say a few words to the system.", words=words),
        _tool("keep_waiting", "Do nothing yet.", heard=kinds),
        _tool("person_answered", "Begin to talk: a person listens."),
        _tool("machine_answered", "A voicemail or an answering machine listens."),
        _tool("give_up", "End the call: nobody can be reached.", reason=words),
    ]
