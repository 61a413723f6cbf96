"""Callers for whom no line is free, first come, first served: some hear it ring, some hold a place and music.

INVITE ─► a line is free, and nobody waits ──────────────────► taken
             └─ its number's callers queue ─► music ─ 3 ─ 2 ─ 1 ─► a line, or gone: whoever is behind moves up
             └─ they do not ────────────────► rings ── 10 s ────► a line, or 486
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from worker.exchange import sip
from worker.exchange.calls import PhoneCall

RING_SECONDS = 10.0
"""So long it rings where callers do not queue."""
MOST = 100
_LOOK_SECONDS = 0.1


@dataclass(eq=False)
class Waiter:
    """One of them."""

    dialog: sip.Dialog
    call: PhoneCall | None = None
    """Of one that holds a place, and is told of it; None only hears it ring."""
    since: float = field(default_factory=time.time)


class Queue:
    """All that wait at this exchange. `is_full` says whether every line is taken."""

    def __init__(self, is_full: Callable[[], bool], on_moved: Callable[[PhoneCall], None]) -> None:
        """`on_moved` is told of each call that stands somewhere else."""
        self._is_full, self._on_moved = is_full, on_moved
        self._waiting: list[Waiter] = []
        self._asked: list[str] = []
        """Numbers of those of whom it is being asked whether they may wait: many may call at once."""

    @property
    def is_closed(self) -> bool:
        """Too many wait: nobody else can."""
        return len(self._waiting) + len(self._asked) >= MOST

    @property
    def is_awaited(self) -> bool:
        """Whoever comes now is not the next."""
        return bool(self._waiting) or self._is_full()

    @contextlib.contextmanager
    def asking(self, number: str) -> Iterator[int]:
        """How many hold a place at this number, or may in a moment; one more may as long as this lasts."""
        held = sum(one.call is not None and one.call.number == number for one in self._waiting)
        before = held + self._asked.count(number)
        self._asked.append(number)
        try:
            yield before
        finally:
            self._asked.remove(number)

    def enter(self, waiter: Waiter) -> Waiter:
        """Somebody begins to wait; whoever does this calls `turn`."""
        self._waiting.append(waiter)
        # One of an exchange before us was there before those who came since.
        self._waiting.sort(key=lambda one: one.since)
        self._moved()
        return waiter

    async def turn(self, waiter: Waiter, seconds: float | None = None) -> bool:
        """Wait; False when they have left, or no line was free within these seconds."""
        until = None if seconds is None else time.monotonic() + seconds
        try:
            while not waiter.dialog.is_over and (until is None or time.monotonic() < until):
                if self._waiting[0] is waiter and not self._is_full():
                    return True
                await asyncio.sleep(_LOOK_SECONDS)
            return False
        finally:
            self._waiting.remove(waiter)
            self._moved()

    def _moved(self) -> None:
        for place, waiter in enumerate(self._waiting, 1):
            if waiter.call is not None and waiter.call.place != place:
                waiter.call.place = place
                self._on_moved(waiter.call)
