"""An api that is started again and again, and dies at one line each time (`tests.support.dying_api`)."""

import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from tests.support.api import ROOT, Api


@contextmanager
def serving(api: Api, server: str, point: str = "") -> Iterator["subprocess.Popen[bytes]"]:
    """The api on the same data, as a module of ours serves it, until it dies or the block ends."""
    with (api.home / "dying.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", server, *([point] if point else [])],
            env=api.environment,
            cwd=ROOT,
            stdout=log,
            stderr=log,
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)


def answers(api: Api, process: "subprocess.Popen[bytes]") -> bool:
    """Wait until it serves; False where it died before that."""
    deadline = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < deadline
        with suppress(OSError):
            if api.ask("GET", "/health/live").status == 200:
                return True
        time.sleep(0.05)
    return False


def dies(api: Api, server: str, points: Iterable[str], first: Callable[[], object]) -> None:
    """Do something once the api serves, and let it die at each point on the way of that."""
    for number, point in enumerate(points):
        with serving(api, server, point) as process:
            is_up = answers(api, process)
            if number == 0:
                assert is_up
                with suppress(OSError):
                    first()
            assert process.wait(60) == -9, (point, (api.home / "dying.log").read_text()[-2000:])
        time.sleep(1.2)  # what stood still for a moment is overdue now
