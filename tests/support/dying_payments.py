"""An api that is killed at one line again and again: a line with a point's name in, a child that serves.

Each child is a process of its own, forked from one that has imported everything, so that a death costs
a second and not a start. `-` is a child that lives until it is asked to stop.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil

from tests.support.api import ROOT, Api

EVENT_POINTS = [
    "event noted, nothing credited",
    "credit about to be written",
    "credit written, nobody told",
    "all written, not committed",
    "committed, provider not answered",
]
"""In the order in which a provider's event comes by them."""
RECHARGE_POINTS = [
    "low balance seen, no payment",
    "payment written, not committed",
    "payment committed, charge not started",
    "charge started",
    "provider about to be asked",
    "asked, the answer lost",
    "provider answered, step not noted",
    "step noted, workflow not ended",
]
"""In the order in which one automatic recharge comes by them."""


def serve_until(point: str) -> None:
    """Serve, and be gone at the point."""
    from api.db import engine as database
    from api.outside.payments import Line
    from api.outside.stripe import Stripe
    from api.payments import applying, recharge
    from api.serve import serve
    from api.settings import Settings
    from api.wallet import ledger
    from api.webhooks import service as webhooks
    from tests.support.dying_api import Function, after, at_commit_after, before

    ways: dict[str, tuple[Any, str, Callable[[Function], Function]]] = {
        "event noted, nothing credited": (applying, "_paid", before),
        "credit about to be written": (ledger, "post", before),
        "credit written, nobody told": (webhooks, "emit", before),
        "all written, not committed": (applying, "apply", after),
        "committed, provider not answered": (applying, "apply", at_commit_after),
        "low balance seen, no payment": (recharge, "_begin", before),
        "payment written, not committed": (recharge, "_begin", after),
        "payment committed, charge not started": (recharge, "_start", before),
        "charge started": (recharge, "_start", after),
        "provider about to be asked": (Stripe, "charge", before),
        "asked, the answer lost": (Line, "ask", after),
        "provider answered, step not noted": (Stripe, "charge", after),
        "step noted, workflow not ended": (recharge, "ask", after),
    }
    assert database.commit  # what `at_commit_after` replaces
    if point != "-":
        place, name, how = ways[point]
        setattr(place, name, how(getattr(place, name)))
    serve(Settings.load())


def main() -> None:
    """Fork a child for each line, and say how it ended."""
    import api.serve  # noqa: F401 - imported once, before the first fork

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            serve_until(line.strip())
            os._exit(0)
        print(child, flush=True)  # noqa: T201
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)  # noqa: T201


class Mortal:
    """The api on this data, in one life after the other."""

    def __init__(self, api: Api, process: "subprocess.Popen[str]") -> None:
        self._api, self._process, self._child = api, process, 0

    def lives_until(self, point: str) -> bool:
        """Begin a life; True once it serves, False where it died before that."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{point}\n")
        self._process.stdin.flush()
        self._child = int(self._line())
        deadline = time.monotonic() + 60
        while psutil.pid_exists(self._child):
            assert time.monotonic() < deadline, point
            with suppress(OSError):
                if self._api.ask("GET", "/health/live").status == 200:
                    return True
            time.sleep(0.02)
        return False

    def ended(self) -> int:
        """How this life ended: -9 where the point was reached."""
        return int(self._line())

    def stops(self) -> None:
        """Ask it to stop."""
        os.kill(self._child, 15)
        assert self.ended() == 0

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextmanager
def mortal(api: Api) -> Iterator[Mortal]:
    """An api that can be begun again and again on the data of one that has stopped."""
    with (api.home / "mortal.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.dying_payments"],
            env=api.environment,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    here = Mortal(api, process)
    try:
        yield here
    finally:
        with suppress(OSError):
            if here._child and psutil.pid_exists(here._child):
                os.kill(here._child, 9)
        process.communicate(timeout=20)


if __name__ == "__main__":
    main()
