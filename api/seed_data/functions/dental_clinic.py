"""The demo clinic's one function: it writes appointments into a file beside it.

Every Python file in this folder is loaded; each `@function_tool` in it can be given to an agent by
its name. Change this one, or put your own beside it; what you change counts from the next call.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from livekit.agents import RunContext, function_tool

APPOINTMENTS = Path(__file__).with_name("appointments.jsonl")


@function_tool
async def book_appointment(context: RunContext[Any], name: str, service: str, day: str, time: str) -> str:
    """Book an appointment at the clinic.

    Args:
        name: The patient's first and last name.
        service: What the appointment is for, like a check-up, a cleaning or a filling.
        day: The day of the appointment, like Tuesday or the third of March.
        time: The time of day, like 10 a.m.
    """
    appointment = {
        "name": name,
        "service": service,
        "day": day,
        "time": time,
        "booked_at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    # One line in one write: two calls that book at once do not mix their lines.
    with APPOINTMENTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(appointment, ensure_ascii=False) + "\n")
    return f"{name} is booked for {service} on {day} at {time.removesuffix('.')}."
