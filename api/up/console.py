"""What a person sees of the log files: begun and ended calls, warnings and errors, never a flood."""

import json
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import click

CALLS = frozenset({"call started", "call ended"})
"""Messages that are shown although nothing is wrong; constant strings of api and worker."""

NOTHING = frozenset({"error reading data channel"})
"""Messages that are not shown whatever their level: livekit-server's, of each participant who leaves."""

_COLOURS = {"WARN": "yellow", "WARNING": "yellow", "ERROR": "red", "CRITICAL": "red", "FATAL": "red"}
_NOT_VALUES = frozenset(
    {"at", "ts", "time", "level", "logger", "message", "msg", "request_id", "stack", "stacktrace", "caller"}
)
_ALARMS = ("Traceback", "Error:", "ERROR", "panic:", "fatal error")
MAX_VALUES = 200
MOST_LINES = 8
IN_SECONDS = 5.0


def important(line: str) -> tuple[str, str] | None:
    """Level and text of a log line that a person should see, None for all others."""
    if line.startswith("{"):
        try:
            entry = json.loads(line)
        except ValueError:
            entry = None
        if isinstance(entry, dict):
            return _important_entry(entry)
    # What a program says before it can log, or when it breaks.
    if line.startswith(_ALARMS):
        return "ERROR", line[:MAX_VALUES]
    return None


def _important_entry(entry: dict[str, Any]) -> tuple[str, str] | None:
    level = str(entry.get("level", "")).upper()
    message = str(entry.get("message") or entry.get("msg") or "")
    if message in NOTHING or (level not in _COLOURS and message not in CALLS):
        return None
    values = " ".join(f"{name}={value}" for name, value in entry.items() if name not in _NOT_VALUES)
    return level, f"{message}  {values[:MAX_VALUES]}".rstrip()


def last_words(line: str) -> str:
    """The sentence in the last line of a program that ended: plain, or a log entry's reason."""
    try:
        entry = json.loads(line)
    except ValueError:
        return line
    if not isinstance(entry, dict):
        return line
    return str(entry.get("why") or entry.get("message") or entry.get("msg") or line)


class Console:
    """Prints for a person; `say` is always shown, log lines only as many as can be read."""

    def __init__(self, write: Callable[[str], None] = click.echo) -> None:
        self._write = write
        self.shows_warnings = False
        """False while parts still wait for each other, when each of them warns about it."""
        self._shown: deque[float] = deque(maxlen=MOST_LINES)
        self._left_out = 0

    def say(self, text: str) -> None:
        """Print a line."""
        self._write(text)

    def log_line(self, name: str, line: str) -> None:
        """Print a process's log line if it matters."""
        if (found := important(line)) is None:
            return
        level, text = found
        if _COLOURS.get(level) == "yellow" and not self.shows_warnings:
            return
        now = time.monotonic()
        if len(self._shown) == MOST_LINES and now - self._shown[0] < IN_SECONDS:
            self._left_out += 1
            return
        self._shown.append(now)
        if self._left_out:
            self._write(f"  ({self._left_out} more such lines are in the log files)")
            self._left_out = 0
        self._write(click.style(f"  {name}: {text}", fg=_COLOURS.get(level)))
