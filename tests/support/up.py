"""A running `call2me up`: what it printed, whom it started, and that nobody is left."""

import contextlib
import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from tests.support.stack import COMMAND, ROOT, environment, ports_of

READY_SECONDS = 120.0


class Up:
    """A running `call2me up` and what it printed."""

    def __init__(self, home: Path, **settings: str) -> None:
        self.home = home
        self.env = environment(home, **ports_of(home), **settings)
        self.lines: list[str] = []
        self.seen: dict[int, psutil.Process] = {}
        self.learned: list[str] = []
        self.process = subprocess.Popen(
            [*COMMAND, "up"],
            env=self.env,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout:
            self.lines.extend(line.rstrip() for line in self.process.stdout)

    @property
    def printed(self) -> str:
        return "\n".join(self.lines)

    def until(self, claim: Callable[[], Any], seconds: float = READY_SECONDS) -> Any:
        """Wait for a claim, remembering every process on the way."""
        deadline = time.monotonic() + seconds
        while not (found := claim()):
            self.remember()
            assert self.process.poll() is None, f"up ended with {self.process.returncode}:\n{self.printed}"
            assert time.monotonic() < deadline, f"not in time:\n{self.printed}"
            time.sleep(0.1)
        self.remember()
        return found

    def until_ready(self) -> None:
        self.until(lambda: "Ready to talk" in self.printed)
        self.until(lambda: "Stop        Ctrl-C" in self.printed)

    def remember(self) -> None:
        """Note every process below it, to see later that none is left."""
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(self.process.pid).children(recursive=True):
                self.seen[child.pid] = child

    def left(self) -> list[psutil.Process]:
        """Those that still run."""
        return [each for each in self.seen.values() if is_alive(each)]

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Another command on the same home."""
        return subprocess.run(
            [*COMMAND, *arguments],
            env=self.env,
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def status(self) -> dict[str, Any]:
        status: dict[str, Any] = json.loads(self.ask("status", "--json").stdout)
        return status

    def stop(self, number: int = signal.SIGINT) -> float:
        """Ask it to stop and return the seconds it took."""
        self.remember()
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        self._reading.join(5)
        return time.monotonic() - begun

    def end(self) -> None:
        """Leave nothing, whatever a test did."""
        self.remember()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for process in self.left():
            process.kill()
        self._reading.join(5)


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def nobody_is_left(up: Up) -> None:
    """Who was killed is gone within a moment, and on a busy machine a little later."""
    deadline = time.monotonic() + 10
    while up.left() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [process.cmdline() for process in up.left()] == []


@contextlib.contextmanager
def running(home: Path, **settings: str) -> Iterator[Up]:
    up = Up(home, **settings)
    try:
        yield up
    finally:
        up.end()


def printed_value(up: Up, name: str) -> str:
    return next(found[1] for line in up.lines if (found := re.fullmatch(rf" +{name} {{2,}}(\S+)", line)))


def post(up: Up, path: str, body: dict[str, Any], key: str = "", *, seconds: float = 10) -> dict[str, Any]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{up.env['CALL2ME_PORT']}{path}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})},
    )
    with urllib.request.urlopen(request, timeout=seconds) as reply:  # noqa: S310 - our own address
        found: dict[str, Any] = json.load(reply)
        return found


def listed(up: Up, resource: str, key: str = "") -> Any:
    """What the owner of the key has of it; of the printed one by default."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{up.env['CALL2ME_PORT']}/v1/{resource}",
        headers={"Authorization": f"Bearer {key or printed_value(up, 'API key')}"},
    )
    with urllib.request.urlopen(request, timeout=10) as reply:  # noqa: S310 - our own address
        return json.load(reply)
