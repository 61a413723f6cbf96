"""The wire between exchange and shards: a Unix socket, one JSON object a line, sockets passed along."""

import array
import asyncio
import logging
import socket
from collections import deque
from collections.abc import Callable, Sequence

from pydantic import BaseModel, ValidationError

logger = logging.getLogger(__name__)

MOST_UNSENT = 10_000
_MOST_LINE = 64 * 1024
_MOST_SOCKETS = 2
_READ = 64 * 1024


class Link:
    """One end. `on_frame` gets each line and the sockets that came with it, which it must close."""

    def __init__(
        self,
        connected: socket.socket,
        on_frame: Callable[[bytes, list[socket.socket]], None],
        on_close: Callable[[], None],
    ) -> None:
        connected.setblocking(False)
        self._socket = connected
        self._on_frame, self._on_close = on_frame, on_close
        self._loop = asyncio.get_running_loop()
        self._unsent: deque[tuple[bytes, list[int]]] = deque()
        self._is_writing = False
        self._read = bytearray()
        self._came: list[socket.socket] = []
        self.is_open = True
        self._loop.add_reader(connected, self._readable)

    def send(self, frame: BaseModel, sockets: Sequence[socket.socket] = ()) -> None:
        """Send a frame and copies of these sockets. Never waits; a link that is gone takes nothing."""
        if not self.is_open:
            return
        if len(self._unsent) >= MOST_UNSENT:
            logger.error("a link does not read what it is told and is closed")
            self.close()
            return
        # Copies, so that whoever sends may close theirs at once.
        copies = [socket.dup(one.fileno()) for one in sockets]
        self._unsent.append((frame.model_dump_json().encode() + b"\n", copies))
        if not self._is_writing:
            self._write()

    def close(self) -> None:
        """Close it, and say so. Twice does no harm."""
        if not self.is_open:
            return
        self.is_open = False
        self._loop.remove_reader(self._socket)
        if self._is_writing:
            self._loop.remove_writer(self._socket)
        self._socket.close()
        for _, copies in self._unsent:
            _close(copies)
        self._unsent.clear()
        for one in self._came:
            one.close()
        self._on_close()

    def _write(self) -> None:
        while self._unsent:
            data, copies = self._unsent[0]
            passed = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", copies))] if copies else []
            try:
                sent = self._socket.sendmsg([data], passed)
            except BlockingIOError:
                if not self._is_writing:
                    self._is_writing = True
                    self._loop.add_writer(self._socket, self._write)
                return
            except OSError:
                self.close()
                return
            _close(copies)
            if sent < len(data):
                self._unsent[0] = (data[sent:], [])
            else:
                self._unsent.popleft()
        if self._is_writing:
            self._is_writing = False
            self._loop.remove_writer(self._socket)

    def _readable(self) -> None:
        try:
            data, passed, _, _ = socket.recv_fds(self._socket, _READ, 16)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._came += [socket.socket(fileno=one) for one in passed]
        if not data or len(self._read) > _MOST_LINE:
            self.close()
            return
        self._read += data
        while (end := self._read.find(b"\n")) >= 0 and self.is_open:
            line = bytes(self._read[:end])
            del self._read[: end + 1]
            try:
                self._on_frame(line, self._came)
            except ValidationError:
                logger.warning("a frame of the other process was not understood")


def taken(came: list[socket.socket]) -> tuple[socket.socket, socket.socket]:
    """The two sockets that came with a frame: RTP and RTCP. They come in order, as frames do."""
    if len(came) < _MOST_SOCKETS:
        raise ValueError("a call without its sockets")
    return came.pop(0), came.pop(0)


def _close(descriptors: list[int]) -> None:
    for one in descriptors:
        socket.close(one)
