"""One process's output: a log file that never grows without bound, and its lines one by one."""

import contextlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

MAX_LINE_BYTES = 64 * 1024


class RotatingLog:
    """A log file of at most `max_bytes`, with `keep` older ones beside it (`api.log.1` the newest of them).

    A disk that is full loses lines, never the process whose lines they are.
    """

    def __init__(self, path: Path, *, max_bytes: int = 10 * 1024 * 1024, keep: int = 3) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("ab", buffering=0)
        self._size = self._file.tell()

    def write(self, data: bytes) -> None:
        """Append whole lines; rotates before a write that would pass the limit."""
        with contextlib.suppress(OSError):
            if self._size and self._size + len(data) > self._max_bytes:
                self._rotate()
            self._file.write(data)
            self._size += len(data)

    @property
    def fd(self) -> int:
        """For a process that writes by itself; `turn_over` then keeps the file in its limits."""
        return self._file.fileno()

    def turn_over(self) -> None:
        """Make room in a file that others write to, too, and hold open: what is in it is moved elsewhere."""
        with contextlib.suppress(OSError):
            if self._path.stat().st_size > self._max_bytes:
                self._make_room()
                shutil.copyfile(self._path, self._numbered(1))
                os.truncate(self._path, 0)

    def close(self) -> None:
        """Close the file. May be called twice."""
        self._file.close()

    def _make_room(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            older = self._numbered(number)
            if older.exists():
                older.replace(self._numbered(number + 1))

    def _rotate(self) -> None:
        self._file.close()
        self._make_room()
        self._path.replace(self._numbered(1))
        self._file = self._path.open("ab", buffering=0)
        self._size = 0

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class Lines:
    """Cuts a stream of bytes into lines and hands each to the log and to a listener."""

    def __init__(self, log: RotatingLog, on_line: Callable[[str], None]) -> None:
        self._log = log
        self._on_line = on_line
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take what was read; a line longer than `MAX_LINE_BYTES` is cut in pieces."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            self._line(line)
        while len(self._rest) > MAX_LINE_BYTES:
            self._line(self._rest[:MAX_LINE_BYTES])
            self._rest = self._rest[MAX_LINE_BYTES:]

    def finish(self) -> None:
        """Hand over a last line that had no end."""
        if self._rest:
            self._line(self._rest)
            self._rest = b""

    def _line(self, line: bytes) -> None:
        self._log.write(line + b"\n")
        self._on_line(line.decode("utf-8", "replace"))
