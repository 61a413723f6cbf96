"""A clock that jumps to the next thing to do: a talk of a minute takes as long as its work does.

now   ──0.00────0.02──────────────0.49──►     the loop never sleeps, it sets the clock
"""

import asyncio
import selectors
import time
from collections.abc import Coroutine
from typing import Any
from unittest import mock

EPOCH = 1_700_000_000.0
_THREADS_SECONDS = 0.05
"""With no timer set, something outside the loop must wake it: then it really waits."""


class _Jumping(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else _THREADS_SECONDS)
        if not ready and timeout is not None and timeout > 0:
            self.now += timeout
        return ready


class _VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def played(talk: Coroutine[Any, Any, Any], seconds: float = 600) -> Any:
    """Run a coroutine on a virtual clock, which `time.time` and its kin show as well."""
    loop = _VirtualLoop()
    clocks = {name: (lambda: EPOCH + loop.time()) for name in ("time", "monotonic", "perf_counter")}
    with mock.patch.multiple(time, **clocks):  # LiveKit reads all three
        try:
            return loop.run_until_complete(asyncio.wait_for(talk, seconds))
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()
