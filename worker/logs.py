"""Log lines of the worker: a constant message with values beside it, as JSON or for a person to read.

What somebody said, a prompt, a secret or a whole phone number is never among the values.
"""

import json
import logging
import sys
import traceback
from datetime import UTC, datetime
from typing import Any

from worker.settings import LogFormat, LogLevel

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(wanted: LogFormat, level: LogLevel) -> None:
    """Send every log line of this process to standard error in the wanted form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if wanted == "json" else HumanLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, root.level))


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, then the values."""

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
    """`12:00:00 INFO    worker.supervisor  the worker is ready  worker_id=…`"""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, with the stack below it where something broke."""
        values = _values(record)
        stack = values.pop("stack", ())
        at = datetime.fromtimestamp(record.created).strftime("%H:%M:%S")  # noqa: DTZ006 - a person's clock
        told = " ".join(f"{name}={value}" for name, value in values.items())
        line = f"{at} {record.levelname:<7} {record.name}  {record.getMessage()}  {told}".rstrip()
        return "\n    ".join([line, *(stack.splitlines() if isinstance(stack, str) else stack)])


def _values(record: logging.LogRecord) -> dict[str, Any]:
    # LiveKit marks with this prefix what a person said or who they are.
    values = {
        name: value
        for name, value in vars(record).items()
        if name not in _PLAIN and not name.startswith("lk.pii")
    }
    if record.exc_info and record.exc_info[0] is not None:
        kind, _, trace = record.exc_info
        # Not the exception's text: a provider or a parser puts into it what a person said.
        values["error"] = f"{kind.__module__}.{kind.__qualname__}"
        values["stack"] = [
            f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(trace)
        ]
    return values
