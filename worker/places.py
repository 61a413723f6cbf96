"""Where the worker's processes are found by the next supervisor, when theirs died.

They hold calls and took seconds to load, so they go on without it for a while; only one that was started
with the same settings, by the same version, is any use to the next.
"""

import contextlib
import dataclasses
import fcntl
import functools
import hashlib
import os
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from pipelines.environment import SettingsError
from pipelines.processes import place
from worker.settings import WorkerSettings

WITH_A_PLACE = ("agents", "models", "exchange", "shard")
TAKE_SECONDS = 2.0
"""For one that is just being killed to be gone."""


def life(settings: WorkerSettings) -> Path:
    """What a successor of the supervisor takes up."""
    return settings.run / "worker.life"


def of(settings: WorkerSettings, part: str) -> Path:
    """The file that a part locks."""
    return settings.run / f"{part}.place"


def identity(settings: WorkerSettings) -> str:
    """The same for processes that would do the same."""
    told = repr((program_version(), dataclasses.asdict(settings)))
    return hashlib.sha256(told.encode()).hexdigest()[:32]


def take(settings: WorkerSettings, part: str) -> None:
    """Hold a part's place until this process ends. Raises `SettingsError` when another process does."""
    deadline = time.monotonic() + TAKE_SECONDS
    while not place.take(of(settings, part), identity(settings)):
        if time.monotonic() > deadline:
            raise SettingsError(f"Another process is this worker's {part} already.")
        time.sleep(0.05)


@functools.cache
def program_version() -> str:
    """Of what is installed."""
    try:
        return version("call2me-runtime")
    except PackageNotFoundError:
        return "0"


@contextlib.contextmanager
def only_one(path: Path) -> Iterator[None]:
    """Hold this data folder; raises `SettingsError` when another worker does. Ends with the process."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 32).decode("ascii", "replace").strip()
            raise SettingsError(
                f"Another worker (process {holder or 'unknown'}) runs on this data folder: stop it, "
                "or set CALL2ME_HOME to another folder."
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
