"""Put a call's variables into what its agent says and was told."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

_PLACEHOLDER = re.compile(r"\{\{\s*([\w.\-]{1,64})\s*\}\}")


@dataclass(frozen=True)
class Rendered:
    """`text` without any placeholder left in it, and the names that meant nothing."""

    text: str
    unknown: tuple[str, ...] = ()


def built_in(now: datetime) -> dict[str, str]:
    """What every agent may say without being given it. `now` says the time zone, too."""
    return {
        "current_time": now.strftime("%H:%M"),
        "current_date": now.strftime("%A, %d %B %Y"),
        "username": "",
    }


def render(text: str, variables: Mapping[str, str], now: datetime) -> Rendered:
    """Replace each `{{name}}`; a call's own variables win over the built-in ones.

    An unknown name is removed together with the blank before it, and reported: a caller should
    never hear "curly bracket". Values are put in once and never searched again, so a value that
    looks like a placeholder stays what it is.
    """
    known = built_in(now) | dict(variables)
    unknown: list[str] = []

    def value(match: re.Match[str]) -> str:
        name = match.group(1)
        if name not in known:
            unknown.append(name)
            return "\0"
        return known[name] or "\0"

    replaced = re.sub(r"[ \t]?\0", "", _PLACEHOLDER.sub(value, text.replace("\0", "")))
    return Rendered(replaced, tuple(dict.fromkeys(unknown)))
