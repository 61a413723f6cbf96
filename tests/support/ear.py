"""Somebody who listens to a SIP dialog and remembers all that was told."""

import asyncio
from typing import TypeVar

from worker.exchange.sip import Dialog, Event

T = TypeVar("T")


class Ear:
    """Reads a dialog's events from the beginning."""

    def __init__(self, dialog: Dialog) -> None:
        self.dialog = dialog
        self.heard: list[Event] = []
        self._arrived = asyncio.Condition()
        self._task = asyncio.ensure_future(self._listen())

    async def _listen(self) -> None:
        async for event in self.dialog.events():
            async with self._arrived:
                self.heard.append(event)
                self._arrived.notify_all()

    def all(self, kind: type[T]) -> list[T]:
        """What was told of one kind."""
        return [event for event in self.heard if isinstance(event, kind)]

    async def hear(self, kind: type[T], *, seconds: float = 20.0, nth: int = 1) -> T:
        """Waits for the nth event of a kind."""
        async with asyncio.timeout(seconds), self._arrived:
            await self._arrived.wait_for(lambda: len(self.all(kind)) >= nth)
        return self.all(kind)[nth - 1]
