"""The restaurant's one function: it writes bookings into a file beside it, each table once."""

import json
from datetime import UTC, datetime
from pathlib import Path

from livekit.agents import ToolError, function_tool

BOOKINGS = Path(__file__).with_name("bookings.jsonl")
MOST_GUESTS = 12


@function_tool
async def book_table(name: str, guests: int, day: str, time: str) -> str:
    """Book a table.

    Args:
        name: The guest's name.
        guests: How many people come.
        day: The day, like Friday or the third of March.
        time: The time of day, like 7 p.m.
    """
    if guests > MOST_GUESTS:
        raise ToolError(f"We book at most {MOST_GUESTS} guests by phone; a colleague will call back.")
    booking = {
        "name": name,
        "guests": guests,
        "day": day,
        "time": time,
        "booked_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with BOOKINGS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(booking, ensure_ascii=False) + "\n")
    return f"A table for {guests} is booked for {name} on {day} at {time.removesuffix('.')}."
