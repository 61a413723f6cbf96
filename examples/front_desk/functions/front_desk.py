"""The front desk's one function: it keeps messages in a file beside it."""

import json
from datetime import UTC, datetime
from pathlib import Path

from livekit.agents import function_tool

MESSAGES = Path(__file__).with_name("messages.jsonl")


@function_tool
async def take_message(name: str, phone_number: str, message: str) -> str:
    """Take a message for somebody at the office.

    Args:
        name: The caller's name.
        phone_number: The number to call back.
        message: What the caller wants to be told or asked.
    """
    kept = {
        "name": name,
        "phone_number": phone_number,
        "message": message,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with MESSAGES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(kept, ensure_ascii=False) + "\n")
    return f"The message of {name} is noted."
