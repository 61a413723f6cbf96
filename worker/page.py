"""Shows a call beside its sound, in order, without ever keeping the call waiting."""

import asyncio
import contextlib
from typing import Any

from worker.lines.line import Line

BOUND = 256
LAST_SECONDS = 2.0


class Page:
    """What is shown on a line goes out one by one; what does not fit any more is not shown."""

    def __init__(self, line: Line) -> None:
        self._line = line
        self._waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(BOUND)
        self._showing = asyncio.create_task(self._show_all(), name="show")

    def show(self, message: dict[str, Any]) -> None:
        """Show this, soon."""
        with contextlib.suppress(asyncio.QueueFull):
            self._waiting.put_nowait(message)

    async def aclose(self) -> None:
        """Show what is left, for a moment, and stop."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), LAST_SECONDS)
        self._showing.cancel()
        await asyncio.gather(self._showing, return_exceptions=True)

    async def _show_all(self) -> None:
        while True:
            await self._line.tell(await self._waiting.get())
            self._waiting.task_done()
