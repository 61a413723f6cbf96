"""The life pipe: a process learns that the one which started it is gone, however it went."""

import logging
import os
import select
import signal
import threading
import time
from pathlib import Path
from types import TracebackType

logger = logging.getLogger(__name__)

LIFE_FD = "CALL2ME_LIFE_FD"
"""Environment variable with the number of an inherited descriptor; not a setting, see `docs/decisions/`."""
LIFE_WAIT = "CALL2ME_LIFE_WAIT"
"""How many seconds a process waits for a successor of the one that started it; none where it is not set."""

_LOOK_SECONDS = 0.1

_watched: list[tuple[int, float, float]] = []


class LifePipe:
    """Held by a parent: children inherit the reading end, and see end of file when the parent is gone.

    With a `path` it has a name, by which the successor of a parent that died takes up the writing end: its
    children then go on. `close` takes the name away first, so nobody waits for a successor any more.
    """

    def __init__(self, path: Path | None = None) -> None:
        # Python makes both ends close on exec, so no child ever holds the writing end.
        self._path = path
        if path is None:
            self.read_fd, self._write_fd = os.pipe()
            return
        if not path.is_fifo():
            path.unlink(missing_ok=True)
            os.mkfifo(path, 0o600)
        self.read_fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        self._write_fd = os.open(path, os.O_WRONLY)
        os.set_blocking(self.read_fd, True)

    def part(self) -> None:
        """From here on this parent has no successor. May be called twice."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """End every child that still watches. May be called twice."""
        self.part()
        for name in ("read_fd", "_write_fd"):
            if (fd := getattr(self, name)) >= 0:
                setattr(self, name, -1)
                os.close(fd)

    def __enter__(self) -> "LifePipe":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def watch_life_pipe(*, grace_seconds: float = 3.0) -> bool:
    """End this process when the one that started it is gone; to be called once, early.

    At end of file, or when no successor came within the time that the parent gave, this process gets the
    SIGTERM its supervisor can no longer send, and `grace_seconds` later a SIGKILL, with its whole process
    group if it leads one. Works from a thread, so a busy event loop delays nothing. False, and nothing is
    watched, when this process was started by hand and inherited no pipe.
    """
    wait_seconds = float(os.environ.pop(LIFE_WAIT, "0"))
    if (value := os.environ.pop(LIFE_FD, None)) is None:
        return False
    os.set_inheritable(int(value), False)
    _watched.append((int(value), wait_seconds, grace_seconds))
    watch_again()
    return True


def watch_again() -> None:
    """After a fork: threads stay behind, so a process that watched has to begin anew."""
    for watched in _watched:
        threading.Thread(target=_watch, args=watched, name="life-pipe", daemon=True).start()


def _watch(fd: int, wait_seconds: float, grace_seconds: float) -> None:
    _until_gone(fd, wait_seconds)
    logger.warning("the process that started this one is gone, stopping")
    pid = os.getpid()
    os.kill(pid, signal.SIGTERM)
    time.sleep(grace_seconds)
    if os.getpgrp() == pid:
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)


def _until_gone(fd: int, wait_seconds: float) -> None:
    """Return when nobody holds the writing end, and nobody came to take it up."""
    poll = select.poll()
    poll.register(fd, 0)  # what is left to be told of is the hanging up of the last writer
    while True:
        while os.read(fd, 1):
            pass
        gone_at = time.monotonic()
        while poll.poll(0):
            # Without a name, who would find it?
            if time.monotonic() - gone_at >= wait_seconds or os.fstat(fd).st_nlink == 0:
                return
            time.sleep(_LOOK_SECONDS)
