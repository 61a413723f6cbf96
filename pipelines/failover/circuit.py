"""Whether one provider may be asked: its failures open the circuit, a probe closes it again.

closed ──failed──► open ──it has cooled──► half open ──the probe works──► closed
   ▲                ▲                          │
   └── slow once    └──────the probe fails─────┘   and it cools twice as long
"""

import time
from collections.abc import Callable

COOL_SECONDS = 10.0
LONGEST_SECONDS = 120.0
SLOW_TIMES = 2
"""Too late this many times in a row is a failure."""


class Circuit:
    """What is known of one provider's health."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._cools_until: float | None = None
        self._cooling = COOL_SECONDS
        self._slow = 0
        self._is_probed = False

    @property
    def is_closed(self) -> bool:
        """True while nothing speaks against asking it."""
        return self._cools_until is None

    @property
    def wants_probe(self) -> bool:
        """True once it has cooled and nobody tries it yet."""
        return self._cools_until is not None and not self._is_probed and self._clock() >= self._cools_until

    def probing(self) -> None:
        """Somebody tries it now."""
        self._is_probed = True

    def failed(self) -> None:
        """It gave an error, or nothing."""
        if self._cools_until is not None and self._is_probed:
            self._cooling = min(LONGEST_SECONDS, 2 * self._cooling)
        self._is_probed, self._slow = False, 0
        self._cools_until = self._clock() + self._cooling

    def slow(self) -> None:
        """Another one was quicker."""
        self._slow += 1
        if self._slow >= SLOW_TIMES:
            self.failed()

    def worked(self) -> None:
        """It did what it was asked."""
        self._cools_until, self._cooling, self._slow, self._is_probed = None, COOL_SECONDS, 0, False
