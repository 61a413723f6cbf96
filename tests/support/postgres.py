"""A real PostgreSQL of our own: in a folder of its own, on a port of its own, gone afterwards."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.ports import free_port

_START_SECONDS = 120
_TRIES = 5
_SERVER_USER = "postgres" if os.geteuid() == 0 else None
"""The server refuses to run as root; Debian's package brings a user for it."""


class Postgres:
    """A server in which databases are made."""

    def __init__(self, binaries: Path, folder: Path, *, is_durable: bool = False) -> None:
        self._binaries = binaries
        self._folder = folder
        self._fsync = "on" if is_durable else "off"
        self._port = 0
        self._made = 0
        self._server: subprocess.Popen[bytes] | None = None

    def database(self) -> str:
        """A new, empty database; its URL."""
        self._made += 1
        name = f"test_{self._made}"
        subprocess.run(
            [self._binaries / "psql", *self._address, "-qc", f"CREATE DATABASE {name}", "postgres"],
            check=True,
            timeout=_START_SECONDS,
        )
        return f"postgresql://call2me@127.0.0.1:{self._port}/{name}"

    def create(self) -> None:
        """Lay the server's files down."""
        subprocess.run(
            [
                self._binaries / "initdb",
                "-D",
                self._data,
                "-U",
                "call2me",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--no-sync",
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self._folder,
            timeout=120,
            user=_SERVER_USER,
        )

    def start(self) -> None:
        """Start it, and wait until it takes connections. Once it was started its port stays the same."""
        if self._port:
            self._start()
            return
        for number in range(_TRIES):
            self._port = free_port()  # somebody else may be faster
            try:
                self._start()
            except RuntimeError:
                if number == _TRIES - 1:
                    raise
            else:
                return

    def _start(self) -> None:
        options = [
            "-p",
            str(self._port),
            "-k",
            self._folder,
            "-c",
            "listen_addresses=127.0.0.1",
            "-c",
            f"fsync={self._fsync}",
            "-c",
            "max_connections=400",  # several apis stand on one server, with 25 each
        ]
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._binaries / "postgres", "-D", self._data, *options],
                stdout=log,
                stderr=log,
                cwd=self._folder,
                user=_SERVER_USER,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._is_up():
            if self._server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"PostgreSQL did not start:\n{(self._folder / 'log').read_text()}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Stop it, whoever is connected."""
        if self._server is None:
            return
        self._server.send_signal(signal.SIGINT)  # a fast shutdown; SIGTERM would wait for clients
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        self._server = None

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _address(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self._port), "-U", "call2me"]

    def _is_up(self) -> bool:
        probe = subprocess.run([self._binaries / "pg_isready", *self._address, "-q"], check=False, timeout=10)
        return probe.returncode == 0


@contextmanager
def postgres(*, is_durable: bool = False) -> Iterator[Postgres]:
    """Start a server, and stop it in the end. Fails where PostgreSQL is not installed.

    Without fsync unless it is to be durable: rows of a test need to live no longer than the test.
    """
    # Not below pytest's folders: those are closed to the user that the server must run as.
    folder = Path(tempfile.mkdtemp(prefix="call2me-postgres-"))
    if _SERVER_USER:
        shutil.chown(folder, _SERVER_USER)
    server = Postgres(_binaries(), folder, is_durable=is_durable)
    try:
        server.create()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def new_database(request: pytest.FixtureRequest, kind: str = "") -> str:
    """The URL of an empty one of the kind that a fixture, or `kind`, asks for; "" is SQLite in a home."""
    if (kind or request.param) == "sqlite":
        return ""
    server: Postgres = request.getfixturevalue("postgres_server")
    return server.database()


def _binaries() -> Path:
    if (on_path := shutil.which("postgres")) is not None:
        return Path(on_path).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not debian:
        raise RuntimeError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return debian[-1]
