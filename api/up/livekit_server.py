"""Finds livekit-server on this machine, or gets it: built by Go, else the official release."""

import os
import platform
import re
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from api.settings import Settings
from api.up.errors import CannotStart

VERSION = "1.13.5"
MODULE = "github.com/livekit/livekit-server/cmd/server"
NEEDED_GO = (1, 26)
BUILD_SECONDS = 1800
HEARTBEAT_SECONDS = 10.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """A livekit-server that runs here."""

    path: Path
    version: str
    origin: str
    """`CALL2ME_LIVEKIT_SERVER`, `PATH` or `cache`."""


def find(settings: Settings) -> Found | None:
    """The livekit-server to use, None when there is none; asks nobody but this machine.

    Raises `CannotStart` when one was named in the settings and does not run.
    """
    if settings.livekit.server:
        path = Path(settings.livekit.server).expanduser()
        if (version := version_of(path)) is None:
            raise CannotStart(f"CALL2ME_LIVEKIT_SERVER is {path}, which is no livekit-server that runs here.")
        return Found(path, version, "CALL2ME_LIVEKIT_SERVER")
    if on_path := shutil.which("livekit-server"):
        version = version_of(Path(on_path))
        if version is not None and suits(version):
            return Found(Path(on_path), version, "PATH")
    cached = cache_path(settings)
    if cached.exists() and version_of(cached) == VERSION:
        return Found(cached, VERSION, "cache")
    return None


def get(settings: Settings, say: Say) -> Found:
    """Find it, or get it into the cache; may take minutes and says what it does.

    Raises `CannotStart` with what a person can do when there is no way to get it.
    """
    if (found := find(settings)) is not None:
        return found
    cached = cache_path(settings)
    cached.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cached.parent, prefix="getting-") as folder:
        fresh = _built(Path(folder), settings, say) or _released(Path(folder), say)
        if fresh is None:
            raise CannotStart(
                f"livekit-server {VERSION} is missing and could not be got: {_ways()}, or put "
                f"livekit-server {VERSION} on PATH, or name it in CALL2ME_LIVEKIT_SERVER."
            )
        if version_of(fresh) != VERSION:
            raise CannotStart(
                f"What was got as livekit-server does not say that it is {VERSION}; nothing was kept."
            )
        fresh.replace(cached)
    return Found(cached, VERSION, "cache")


def cache_path(settings: Settings) -> Path:
    """Where ours is kept."""
    return settings.home / "bin" / "livekit-server"


def version_of(binary: Path) -> str | None:
    """What a binary says of itself; None when it is not one that runs here."""
    try:
        answer = subprocess.run(
            [str(binary), "--version"], capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired, UnicodeDecodeError):
        return None
    found = re.fullmatch(r"livekit-server version v?(\S+)", answer.stdout.strip())
    return found[1] if found else None


def suits(version: str) -> bool:
    """Whether one that somebody else installed will do: our version, or a later correction of it."""
    wanted = [int(part) for part in VERSION.split(".")]
    if re.fullmatch(r"\d+\.\d+\.\d+", version) is None:
        return False
    has = [int(part) for part in version.split(".")]
    return has[:2] == wanted[:2] and has[2] >= wanted[2]


def _built(folder: Path, settings: Settings, say: Say) -> Path | None:
    if (found := _go()) is None:
        return None
    go, version = found
    say(f"Building livekit-server {VERSION} with Go {_dotted(version)}, once; about 3 minutes on two cores.")
    log_path = settings.logs / "livekit-install.log"
    # The environment is handed on to Go, not read.
    environment = {**os.environ, "CGO_ENABLED": "0", "GOBIN": str(folder), "GOFLAGS": "-trimpath"}
    begun = time.monotonic()
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [go, "install", f"{MODULE}@v{VERSION}"],
            env=environment,
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,  # a group, killed as one
        )
        try:
            with _heartbeat(say, "building"):
                code = process.wait(BUILD_SECONDS)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            if process.poll() is None:
                from pipelines.processes.tree import kill_tree  # noqa: PLC0415 - psutil, only when it is needed

                kill_tree(process.pid)
                process.wait()
    if code != 0:
        say(f"Go could not build it; what it said is in {log_path}.")
        return None
    say(f"Built in {time.monotonic() - begun:.0f} s.")
    return folder / "server"


def _go() -> tuple[str, tuple[int, int]] | None:
    """A Go that can build it, and its version."""
    go = shutil.which("go")
    if go is None or (version := _go_version(go)) is None or version < NEEDED_GO:
        return None
    return go, version


def _go_version(go: str) -> tuple[int, int] | None:
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.match(r"go(\d+)\.(\d+)", answer.stdout)
    return (int(found[1]), int(found[2])) if found else None


def _released(folder: Path, say: Say) -> Path | None:
    from api.up import livekit_release  # noqa: PLC0415 - a network client that a second start never needs

    if (name := _asset()) is None:
        say(f"There is no official release of livekit-server for {platform.system()} {platform.machine()}.")
        return None
    say(f"Downloading the official release of livekit-server {VERSION} ({name}).")
    try:
        with _heartbeat(say, "downloading"):
            return livekit_release.download(name, folder)
    except livekit_release.DownloadFailed as error:
        say(f"{error}.")
        return None


def _ways() -> str:
    """What would have got it here."""
    has_go = _go() is not None
    ways = []
    if has_go or _asset() is not None:
        ways.append("let this machine reach the internet")
    if not has_go:
        ways.append(f"install Go {_dotted(NEEDED_GO)} or later")
    return ", or ".join(ways)


def _asset() -> str | None:
    from api.up import livekit_release  # noqa: PLC0415 - as above

    return livekit_release.asset(platform.system(), platform.machine())


class _heartbeat:  # noqa: N801 - read as a verb's object: with _heartbeat(...)
    """Says every few seconds that something slow is still going on."""

    def __init__(self, say: Say, what: str) -> None:
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, args=(say, what), daemon=True)

    def _beat(self, say: Say, what: str) -> None:
        begun = time.monotonic()
        while not self._over.wait(HEARTBEAT_SECONDS):
            say(f"  still {what} ({time.monotonic() - begun:.0f} s)")

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def _dotted(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
