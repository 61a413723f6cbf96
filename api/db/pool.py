"""A pool of connections for which one waits in line.

SQLAlchemy's own lets who comes just now take a connection that was given back to who waits; that one goes to
the end of the line. With 32 writers at once the slowest hundredth waited twice as long for it.
"""

import asyncio
from collections import deque

from sqlalchemy import AsyncAdaptedQueuePool
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.util import await_only
from sqlalchemy.util.queue import AsyncAdaptedQueue, Empty


class FirstCome(AsyncAdaptedQueue[ConnectionPoolEntry]):
    """What is put back is handed to whoever has waited longest."""

    def __init__(self, maxsize: int = 0, use_lifo: bool = False) -> None:
        super().__init__(maxsize, use_lifo)
        self._waiting: deque[asyncio.Future[ConnectionPoolEntry]] = deque()

    def put_nowait(self, item: ConnectionPoolEntry) -> None:
        """Hand it on, or keep it when nobody waits."""
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(item)
                return
        super().put_nowait(item)

    def get(self, block: bool = True, timeout: float | None = None) -> ConnectionPoolEntry:
        """One that lies here, or after a wait the next that is put back. `Empty` after `timeout` seconds."""
        try:
            return self.get_nowait()
        except Empty:
            if not block:
                raise
        return await_only(self._handed(timeout))

    async def _handed(self, timeout: float | None) -> ConnectionPoolEntry:
        waiting: asyncio.Future[ConnectionPoolEntry] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            async with asyncio.timeout(timeout):
                return await waiting
        except BaseException as error:
            if waiting.done() and not waiting.cancelled():  # handed over in the same moment
                self.put_nowait(waiting.result())
            if isinstance(error, TimeoutError):
                raise Empty from None
            raise


class Pool(AsyncAdaptedQueuePool):
    """SQLAlchemy's pool with that line."""

    _queue_class = FirstCome
