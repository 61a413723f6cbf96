"""What pydantic reads as JSON and no database keeps: NUL in text, and numbers that are none.

PostgreSQL has no NUL in text; JSON has no NaN and no infinity, though some clients write `NaN`, and
`1e999` is read as one. Models refuse such numbers where they have a field for them; free-form objects
(`metadata`, `context`) would take them.
"""

import json
import re
from math import isfinite
from typing import Any

from api.http.errors import Invalid

_SUSPICIOUS = re.compile(rb"\\u0000|NaN|Infinity|[0-9][eE]\+?[0-9]{2}|[0-9]{200}")
"""Cheap to look for, and in nearly no body; whether it really stands there, a parser says."""


def refuse_what_cannot_be_kept(raw: bytes) -> None:
    """Raise `Invalid` for a body with a value in it that cannot be stored."""
    if not _SUSPICIOUS.search(raw):
        return
    try:
        value = json.loads(raw, parse_constant=_refuse_number, parse_float=_finite)
    except (ValueError, RecursionError):
        return  # pydantic finds better words for it
    # An escaped backslash before `u0000` is none.
    if "\\u0000" in json.dumps(value).replace("\\\\", ""):
        raise Invalid.at("body", msg="Text must not contain NUL", type="string_nul")


def _finite(text: str) -> float:
    number = float(text)
    return number if isfinite(number) else _refuse_number(text)


def _refuse_number(_text: str) -> Any:
    raise Invalid.at("body", msg="Numbers must be finite", type="finite_number")
