"""The survey's one function: it writes answers into a file beside it."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from livekit.agents import function_tool

ANSWERS = Path(__file__).with_name("answers.jsonl")


@function_tool
async def record_answers(rating: int, solved: Literal["yes", "no"], suggestion: str) -> str:
    """Record the answers to the survey.

    Args:
        rating: How satisfied the person was, from 1 to 5.
        solved: Whether the problem was solved.
        suggestion: What could be better, in the person's words.
    """
    answers = {
        "rating": min(5, max(1, rating)),
        "solved": solved == "yes",
        "suggestion": suggestion,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with ANSWERS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(answers, ensure_ascii=False) + "\n")
    return "The answers are recorded, thank you."
