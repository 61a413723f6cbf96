"""Log lines of the worker: a constant message with values beside it, as JSON or for a person to read.

What somebody said, a prompt, a secret or a whole phone number is never among the values.
"""

import json
import logging
import sys
import threading
import traceback
from datetime import UTC, datetime
from typing import Any

from worker.settings import LogFormat, LogLevel

logger = logging.getLogger(__name__)

_OURS = frozenset({"worker", "pipelines", "kb", "__main__"})
"""Loggers whose messages are constant and whose values were chosen by us."""
_KEPT = frozenset(
    {
        "stack",
        "agent_name",
        "id",
        "url",
        "region",
        "protocol",
        "pid",
        "job_id",
        "room_id",
        "room",
        "reason",
        "tts",
        "stt",
        "label",
        "thread_name",
    }
)
"""Texts of other loggers that name parts and not people."""
_BROKE = "call2me_broke"
"""What of an exception may be logged, noted on a record that goes to another process."""
_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


def configure(wanted: LogFormat, level: LogLevel) -> None:
    """Send every log line of this process to standard error in the wanted form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if wanted == "json" else HumanLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    _hook()
    root.setLevel(level)
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, root.level))


def hush() -> None:
    """Make the handlers that this process already has keep to what may be logged.

    In a process of a call LiveKit's own handler formats each record, with the exception's text, and sends
    it to the agent server. A formatter of ours sends the type and the places instead.
    """
    for handler in logging.getLogger().handlers:
        handler.setFormatter(Wordless())
    _hook()


def _hook() -> None:
    # Python prints the texts of exceptions that nobody caught.
    sys.excepthook = lambda kind, error, trace: logger.critical(
        "the process broke", exc_info=(kind, error, trace)
    )
    threading.excepthook = lambda broken: logger.critical(
        "a thread broke",
        exc_info=(broken.exc_type, broken.exc_value or broken.exc_type(), broken.exc_traceback),
    )
    sys.unraisablehook = lambda ignored: logger.error(
        "an exception was ignored",
        exc_info=(ignored.exc_type, ignored.exc_value or ignored.exc_type(), ignored.exc_traceback),
    )


class Wordless(logging.Formatter):
    """The message alone; what broke, and where, as values of the record, for whoever writes the line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record's message without anything that may quote a person."""
        if record.exc_info and record.exc_info[0] is not None:
            setattr(record, _BROKE, _broke(record.exc_info))
        return _message(record)


class JsonLines(logging.Formatter):
    """One JSON object a line: `at`, `level`, `logger`, `message`, then the values."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line."""
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": _message(record),
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
        line = f"{at} {record.levelname:<7} {record.name}  {_message(record)}  {told}".rstrip()
        return "\n    ".join([line, *(stack.splitlines() if isinstance(stack, str) else stack)])


def _message(record: logging.LogRecord) -> str:
    if record.name.partition(".")[0] in _OURS:
        return record.getMessage()
    # Others write exceptions and tasks, with all that these quote, behind a colon or into further lines.
    args = record.args
    if isinstance(args, tuple):
        args = tuple(type(arg).__name__ if isinstance(arg, BaseException) else arg for arg in args)
    try:
        text = str(record.msg) % args if args else str(record.msg)
    except (TypeError, ValueError):
        text = str(record.msg)
    first = text.partition("\n")[0]
    if record.levelno >= logging.WARNING:
        first = first.partition(": ")[0]
    if record.name == "asyncio":
        first = first.partition("(")[0]
    return first


def _values(record: logging.LogRecord) -> dict[str, Any]:
    is_ours = record.name.partition(".")[0] in _OURS
    values: dict[str, Any] = {}
    for name, value in vars(record).items():
        # LiveKit marks with this prefix what a person said or who they are.
        if name in _PLAIN or name == _BROKE or name.startswith("lk.pii"):
            continue
        if isinstance(value, BaseException):
            values[name] = type(value).__name__
        elif is_ours or name in _KEPT or isinstance(value, int | float | None):
            values[name] = value
    broke = getattr(record, _BROKE, None)
    if record.exc_info and record.exc_info[0] is not None:
        broke = _broke(record.exc_info)
    if broke is not None:
        values["error"], values["stack"] = broke
    return values


def _broke(broke: Any) -> tuple[str, list[str]]:
    kind, _, trace = broke
    # Not the exception's text: a provider or a parser puts into it what a person said.
    return f"{kind.__module__}.{kind.__qualname__}", [
        f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in traceback.extract_tb(trace)
    ]
