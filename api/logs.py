"""Log lines: a constant message with values beside it, as JSON or for a person to read.

What somebody said, a prompt, a secret or a whole phone number is never among the values.
"""

import json
import logging
import sys
import traceback
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from api.settings import Log

REQUEST: ContextVar[str] = ContextVar("request", default="")
"""The id of the request that is being answered; stands in every line logged meanwhile."""

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "color_message"}


def configure(settings: Log, stream: TextIO | None = None) -> None:
    """Send every log line of this process to `stream` (standard error) in the wanted form."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines() if settings.format == "json" else HumanLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.level)
    # What each would say of every request or query, `api.http.edge` says better or nobody asked.
    for chatty in ("aiosqlite", "asyncio", "aiohttp.access", "alembic.runtime", "dbos"):
        logging.getLogger(chatty).setLevel(max(logging.WARNING, root.level))


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, `request_id`, then the values."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            **_values(record),
        }
        return json.dumps(line, default=str, ensure_ascii=False)


class HumanLines(logging.Formatter):
    """`12:00:00 INFO    api.edge  request answered  status=200 ms=3.1`"""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with the stack below it where something broke."""
        values = _values(record)
        stack = values.pop("stack", None)
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")  # noqa: DTZ006 - a person's clock
        told = " ".join(f"{name}={value}" for name, value in values.items())
        line = f"{at} {record.levelname:<7} {record.name}  {record.getMessage()}  {told}".rstrip()
        return line + ("\n" + "\n".join(f"    {frame}" for frame in stack) if stack else "")


def _values(record: logging.LogRecord) -> dict[str, Any]:
    values = {name: value for name, value in vars(record).items() if name not in _PLAIN}
    if request_id := REQUEST.get():
        values.setdefault("request_id", request_id)
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        # Not the exception's text: a database or a parser puts into it what a person said.
        values["error"] = f"{kind.__module__}.{kind.__qualname__}"
        values["stack"] = frames(trace)
    return values


def frames(trace: TracebackType | None) -> list[str]:
    """Where an exception came from, innermost last, without any value."""
    return [f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(trace)]
