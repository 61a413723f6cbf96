"""What a function gave back, as a sentence to speak."""

import ast
import json
import re
from datetime import date
from typing import Any

from pipelines.local.scripted.facts import first_sentences
from pipelines.local.scripted.functions import spoken_name
from pipelines.local.scripted.wording import Wording
from pipelines.phrases import OFFER_CALLBACK

_SAYING = (
    "message",
    "text",
    "summary",
    "result",
    "answer",
    "speech",
    "say",
    "description",
    "confirmation_message",
)
_UNSAID = ("id", "uuid", "status_code", "code", "success", "ok", "error", "created_at", "updated_at", "url")
_CHARACTERS = 400
_ITEMS = 3
# What a program says of itself, and no author wrote for a caller.
_TECHNICAL = re.compile(r"internal error|error parsing|traceback|exception\b|`|\w+Error\b", re.IGNORECASE)
_ISO_DAY = re.compile(r"\b(\d{4}-\d{2}-\d{2})(?:T(\d{2}:\d{2})(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?)?\b")


def spoken_result(output: str, wording: Wording) -> str:
    """A result as one or a few sentences; JSON and Python literals are read, anything else is spoken as "
    "it is."""
    text = output.strip()
    if not text or text in ("None", "null", "''", '""'):
        return wording.say("done")
    value = _value(text)
    if isinstance(value, str):
        return (
            _sentence(_with_days(first_sentences(value, _CHARACTERS), wording))
            if value.strip()
            else wording.say("done")
        )
    return _sentence(_with_days(_said(value, wording), wording)) or wording.say("done")


def spoken_error(output: str, wording: Wording) -> str:
    """That it failed, with the reason where the function's author gave one."""
    output = output.removesuffix(OFFER_CALLBACK)
    reason = "" if not output or _TECHNICAL.search(output) else first_sentences(output, 200)
    return wording.say("failed", reason=_sentence(reason))


def _value(text: str) -> Any:
    if text[:1] not in "{[\"'(" and text not in ("true", "false", "True", "False"):
        return text
    try:
        return json.loads(text)
    except ValueError:
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return text


def _said(value: Any, wording: Wording) -> str:
    if value is True or value is False:
        return wording.say("done") if value else wording.say("failed", reason="")
    if isinstance(value, dict):
        for key in _SAYING:
            if isinstance(value.get(key), str) and value[key].strip():
                return first_sentences(value[key], _CHARACTERS)
        parts = [
            f"{spoken_name(str(key))}: {_plain(each, wording)}"
            for key, each in value.items()
            if key not in _UNSAID and each not in (None, "", [], {})
        ]
        return ", ".join(parts[:6])
    if isinstance(value, list | tuple | set):
        if not value:
            return wording.say("nothing_found")
        items = [_plain(each, wording) for each in list(value)[:_ITEMS]]
        return wording.listed(items)
    return str(value)


def _plain(value: Any, wording: Wording) -> str:
    if isinstance(value, bool):
        return wording.say("true" if value else "false")
    if isinstance(value, dict):
        return " ".join(_plain(each, wording) for key, each in value.items() if key not in _UNSAID)
    if isinstance(value, list | tuple):
        return wording.listed([_plain(each, wording) for each in value[:_ITEMS]])
    return str(value)


def _with_days(text: str, wording: Wording) -> str:
    """ISO dates as they are said: a voice would count their digits."""

    def spoken(match: re.Match[str]) -> str:
        try:
            day = date.fromisoformat(match.group(1))
        except ValueError:
            return match.group()
        return " ".join(filter(None, (wording.day(day, day), match.group(2))))

    return _ISO_DAY.sub(spoken, text)


def _sentence(text: str) -> str:
    text = " ".join(text.split())
    text = text[:1].upper() + text[1:]
    return text if not text or text[-1] in ".!?" else f"{text}."
