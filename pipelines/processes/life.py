"""The life pipe: a process learns that the one which started it is gone, however it went."""

import logging
import os
import signal
import threading
import time
from types import TracebackType

logger = logging.getLogger(__name__)

LIFE_FD = "CALL2ME_LIFE_FD"
"""Environment variable with the number of an inherited descriptor; not a setting, see `docs/decisions/`."""


_watched: list[tuple[int, float]] = []


class LifePipe:
    """Held by a parent: children inherit the reading end, and see end of file when the parent is gone."""

    def __init__(self) -> None:
        # Python makes both ends close on exec, so no child ever holds the writing end.
        self.read_fd, self._write_fd = os.pipe()

    def close(self) -> None:
        """End every child that still watches. May be called twice."""
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

    At end of file this process gets the SIGTERM its supervisor can no longer send, and `grace_seconds` later
    a SIGKILL, with its whole process group if it leads one. Works from a thread, so a busy event loop delays
    nothing. False, and nothing is watched, when this process was started by hand and inherited no pipe.
    """
    if (value := os.environ.pop(LIFE_FD, None)) is None:
        return False
    fd = int(value)
    os.set_inheritable(fd, False)
    _watched.append((fd, grace_seconds))
    threading.Thread(target=_watch, args=(fd, grace_seconds), name="life-pipe", daemon=True).start()
    return True


def watch_again() -> None:
    """After a fork: threads stay behind, so a process that watched has to begin anew."""
    for fd, grace_seconds in _watched:
        threading.Thread(target=_watch, args=(fd, grace_seconds), name="life-pipe", daemon=True).start()


def _watch(fd: int, grace_seconds: float) -> None:
    while os.read(fd, 1):
        pass
    logger.warning("the process that started this one is gone, stopping")
    pid = os.getpid()
    os.kill(pid, signal.SIGTERM)
    time.sleep(grace_seconds)
    if os.getpgrp() == pid:
        os.killpg(pid, signal.SIGKILL)
    os.kill(pid, signal.SIGKILL)
