"""Put a call's variables into what its agent says and was told."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_PLACEHOLDER = re.compile(r"\{\{\s*([^{}\n]{0,100}?)\s*\}\}")
"""Names may hold blanks: a column of a spreadsheet is called `first name`."""


@dataclass(frozen=True)
class Rendered:
    """`text` without any placeholder left in it, and the names that meant nothing."""

    text: str
    unknown: tuple[str, ...] = ()


def built_in(
    now: datetime, *, agent_name: str = "", call_id: str = "", caller_number: str = ""
) -> dict[str, str]:
    """What every agent may say without being given it. `now` says the time zone, too."""
    return {
        "current_time": now.strftime("%H:%M"),
        "current_date": now.strftime("%A, %d %B %Y"),
        "current_weekday": now.strftime("%A"),
        "time_zone": now.tzname() or "",
        "agent_name": agent_name,
        "call_id": call_id,
        "caller_number": caller_number,
        "username": "",
    }


def render(text: str, known: Mapping[str, str]) -> Rendered:
    """Replace each `{{name}}`.

    An unknown name is removed together with the blank before it, and reported: a caller should
    never hear "curly bracket". Values are put in once and never searched again, so a value that
    looks like a placeholder stays what it is.
    """
    unknown: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            unknown.append(name)
            return "\0"
        return known[name] or "\0"

    replaced = re.sub(r"[ \t]?\0", "", _PLACEHOLDER.sub(value, text.replace("\0", "")))
    return Rendered(replaced, tuple(dict.fromkeys(unknown)))
