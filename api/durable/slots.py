"""Slots: a name for this process that no other living process has, held by a lock on a file.

    run/executor-0.lock   held by the first api process of this data folder
    run/executor-1.lock   held by the second, and so on

The kernel lets go of a lock when its process dies, so a slot that can be taken belongs to nobody.
"""

import fcntl
import os
import re
import socket
from pathlib import Path

_MOST = 64
_ID = re.compile(r"(?P<machine>.+)-(?P<number>\d+)")


class NoSlot(Exception):
    """More api processes than slots run on one data folder"""


class Slot:
    """One slot, held until `release` or the end of the process."""

    def __init__(self, number: int, descriptor: int) -> None:
        self.executor_id = f"{_machine()}-{number}"
        self._descriptor = descriptor

    def release(self) -> None:
        """Let another process have it."""
        os.close(self._descriptor)


def take(folder: Path) -> Slot:
    """The lowest free slot of a folder."""
    for number in range(_MOST):
        if (descriptor := _lock(folder, number)) is not None:
            return Slot(number, descriptor)
    raise NoSlot


def is_abandoned(folder: Path, executor_id: str) -> bool:
    """True when this id was a slot of this machine and folder that nobody holds any more."""
    parts = _ID.fullmatch(executor_id)
    if parts is None or parts["machine"] != _machine() or int(parts["number"]) >= _MOST:
        return False
    descriptor = _lock(folder, int(parts["number"]))
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def _machine() -> str:
    # Several machines share one PostgreSQL; their slots must not share names.
    return re.sub(r"[^A-Za-z0-9.]+", "_", socket.gethostname()) or "api"


def _lock(folder: Path, number: int) -> int | None:
    descriptor = os.open(folder / f"executor-{number}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
