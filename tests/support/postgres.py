"""A real PostgreSQL of our own: in a folder of its own, on a port of its own, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.ports import free_port

_START_SECONDS = 30


class Postgres:
    """A running server in which databases are made."""

    def __init__(self, binaries: Path, folder: Path, port: int) -> None:
        self._binaries = binaries
        self._folder = folder
        self._port = port
        self._made = 0

    def database(self) -> str:
        """A new, empty database; its URL."""
        self._made += 1
        name = f"test_{self._made}"
        self.sql(f"CREATE DATABASE {name}")
        return f"postgresql://call2me@127.0.0.1:{self._port}/{name}"

    def sql(self, statement: str) -> None:
        """Run one statement as the server's owner."""
        subprocess.run(
            [self._binaries / "psql", *self._address, "-v", "ON_ERROR_STOP=1", "-qc", statement, "postgres"],
            check=True,
            timeout=30,
        )

    @property
    def _address(self) -> list[str]:
        return ["-h", "127.0.0.1", "-p", str(self._port), "-U", "call2me"]

    def is_up(self) -> bool:
        """True once it takes connections."""
        probe = subprocess.run([self._binaries / "pg_isready", *self._address, "-q"], check=False, timeout=10)
        return probe.returncode == 0


@contextmanager
def postgres() -> Iterator[Postgres]:
    """Start a server, and stop it in the end. Fails where PostgreSQL is not installed."""
    binaries = _binaries()
    # Not below pytest's folders: those are closed to the user that the server must run as.
    folder = Path(tempfile.mkdtemp(prefix="call2me-postgres-"))
    # The server refuses to run as root; Debian's package brings a user for it.
    user = {"user": "postgres"} if os.geteuid() == 0 else {}
    if user:
        shutil.chown(folder, "postgres")
    port = free_port()
    data = folder / "data"
    subprocess.run(
        [binaries / "initdb", "-D", data, "-U", "call2me", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        cwd=folder,
        timeout=120,
        **user,  # type: ignore[call-overload]
    )
    # fsync off: these rows need to live no longer than the test.
    options = ["-p", port, "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *map(str, options)],
            stdout=log,
            stderr=log,
            cwd=folder,
            **user,  # type: ignore[call-overload]
        )
        try:
            found = Postgres(binaries, folder, port)
            _wait(found, server)
            yield found
        finally:
            server.terminate()
            try:
                server.wait(10)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
            shutil.rmtree(folder, ignore_errors=True)


def _wait(found: Postgres, server: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not found.is_up():
        if server.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("PostgreSQL did not start")
        time.sleep(0.05)


def _binaries() -> Path:
    if (on_path := shutil.which("postgres")) is not None:
        return Path(on_path).resolve().parent
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    if not debian:
        raise RuntimeError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    return debian[-1]
