"""The place of a process that outlives its supervisor: a locked file, by which the next one finds it.

A POSIX lock, since it ends with the process, is not inherited by what it forks, and names its holder.
"""

import contextlib
import fcntl
import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

IS_POSSIBLE = sys.platform == "linux"
"""Elsewhere there are no descriptors of processes, and children end with their supervisor."""

_FLOCK = "hhqqi"
_MAX_WORDS = 256


@dataclass(frozen=True)
class Holder:
    """Who holds a place."""

    pid: int
    identity: str
    """As what it was started; whoever wants something else cannot use it."""


def take(path: Path, identity: str) -> bool:
    """Hold the place until this process ends; False when another process does."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return False
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, identity.encode(), 0)
    return True  # the descriptor stays open: closing it would let go of the lock


def holder(path: Path) -> Holder | None:
    """Who holds the place now."""
    with contextlib.suppress(FileNotFoundError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            asked = struct.pack(_FLOCK, fcntl.F_RDLCK, os.SEEK_SET, 0, 0, 0)
            kind, _, _, _, pid = struct.unpack(_FLOCK, fcntl.fcntl(descriptor, fcntl.F_GETLK, asked))
            if kind != fcntl.F_UNLCK:
                return Holder(pid, os.pread(descriptor, _MAX_WORDS, 0).decode("ascii", "replace"))
        finally:
            os.close(descriptor)
    return None
