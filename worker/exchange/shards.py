"""The shards that are connected, and which of them takes the next call."""

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from worker.exchange.frames import FROM_SHARD, FromExchange, FromShard, Here, Holding, Tapping
from worker.exchange.link import Link, taken

logger = logging.getLogger(__name__)

CALLS_PER_SHARD = 24
MOST_SHARDS = 128


class ConnectedShard:
    """One process. Implements `calls.Talker`."""

    def __init__(self) -> None:
        self.link: Link | None = None
        self.pid = 0
        self.takes_calls = False
        self.call_ids: set[str] = set()

    def tell(self, frame: FromExchange, sockets: tuple[socket.socket, ...] = ()) -> None:
        """Tell it something of one of its calls."""
        if self.link is not None:
            self.link.send(frame, sockets)


Apart = Mapping[str, str]
"""Calls, and the word that those of their process must share."""
OnFrame = Callable[[ConnectedShard, FromShard, tuple[socket.socket, socket.socket] | None], None]


class Shards:
    """`on_frame` gets what a shard says, `on_gone` one whose process died or was stopped."""

    def __init__(self, path: Path, on_frame: OnFrame, on_gone: Callable[[ConnectedShard], None]) -> None:
        self._path = path
        self._on_frame, self._on_gone = on_frame, on_gone
        self._shards: list[ConnectedShard] = []

    @property
    def count(self) -> int:
        """How many take calls."""
        return len(self.taking)

    @property
    def taking(self) -> list[ConnectedShard]:
        """Those that take calls."""
        return [shard for shard in self._shards if shard.takes_calls]

    def choose(self, apart: str = "", of: Apart = MappingProxyType({})) -> ConnectedShard | None:
        """Who takes the next call: the fullest that has room, so that a spare one stays empty; without room,
        the emptiest.

        One where all calls have the same word `of` theirs, if there is one; the spare one, if not.
        """
        having = self._fitting(apart, of)
        if len(having) > 1:
            spare = next((one for one in reversed(having) if not one.call_ids), None)
            having = [one for one in having if one is not spare] if spare is not None else having
        if with_room := [one for one in having if len(one.call_ids) < CALLS_PER_SHARD]:
            return max(with_room, key=lambda one: len(one.call_ids))
        return min(having, key=lambda one: len(one.call_ids), default=None)

    def choose_waiting(self, apart: str = "", of: Apart = MappingProxyType({})) -> ConnectedShard | None:
        """Who takes a call that waits: the one with the fewest, so that none is left with all who waited.

        Not the spare one, if there is another.
        """
        having = self._fitting(apart, of)
        if len(having) > 1 and (spare := next((one for one in reversed(having) if not one.call_ids), None)):
            having = [one for one in having if one is not spare]
        return min(having, key=lambda one: len(one.call_ids), default=None)

    def spare(self, apart: str = "", of: Apart = MappingProxyType({})) -> ConnectedShard | None:
        """Who goes on with a call whose process died: the emptiest, of those that `choose` would ask."""
        having = self._fitting(apart, of)
        return min(having, key=lambda one: len(one.call_ids), default=None)

    def _fitting(self, apart: str, of: Apart) -> list[ConnectedShard]:
        """Those with no call of another word; all, where there are none of these."""
        having = self.taking
        return [one for one in having if all(of.get(id_, "") == apart for id_ in one.call_ids)] or having

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Take connections as long as this lasts."""
        self._path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        before = os.umask(0o177)
        try:
            listener.bind(str(self._path))
        finally:
            os.umask(before)
        listener.listen(32)
        listener.setblocking(False)
        loop = asyncio.get_running_loop()
        loop.add_reader(listener, self._accept, listener)
        try:
            yield
        finally:
            loop.remove_reader(listener)
            listener.close()
            for shard in list(self._shards):
                if shard.link is not None:
                    shard.link.close()
            self._path.unlink(missing_ok=True)

    def _accept(self, listener: socket.socket) -> None:
        try:
            connected, _ = listener.accept()
        except OSError:
            return
        if len(self._shards) >= MOST_SHARDS:
            connected.close()
            return
        shard = ConnectedShard()

        def received(line: bytes, came: list[socket.socket]) -> None:
            frame = FROM_SHARD.validate_json(line)
            if isinstance(frame, Here):
                shard.pid, shard.takes_calls = frame.pid, frame.takes_calls
                shard.call_ids |= set(frame.call_ids)
            self._on_frame(shard, frame, taken(came) if isinstance(frame, Holding | Tapping) else None)

        def closed() -> None:
            self._shards.remove(shard)
            self._on_gone(shard)

        self._shards.append(shard)
        shard.link = Link(connected, received, closed)
