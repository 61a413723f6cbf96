"""The two sockets of one call's RTP and RTCP, read without ever keeping the other calls waiting."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Callable

from worker.lines.rtp.media import FRAME_SECONDS, Address

MOST_A_WAKE = 64
"""Datagrams; a flood waits for its turn in the kernel's buffer, and is dropped there."""
MOST_PIECES = 16
"""Of so many datagrams in 20 ms: a flood has a fourth of a core, and not all that the other calls leave."""
_REST_SECONDS = FRAME_SECONDS / MOST_PIECES
_MAX_BYTES = 2048
_TIMESTAMPS = 35
"""SO_TIMESTAMPNS (socket(7)), which Python has no name for: when the kernel got a datagram."""
_MOMENT = struct.Struct("=qq")
_MOMENT_BYTES = socket.CMSG_SPACE(_MOMENT.size)

Received = Callable[[bytes, Address], None]
Aged = Callable[[bytes, Address, float], None]
"""With the seconds since it came."""


class Sockets:
    """Bound UDP sockets, which this takes over. Nothing here waits, and nothing is raised for a datagram."""

    def __init__(self, rtp: socket.socket, rtcp: socket.socket | None = None) -> None:
        self._rtp, self._rtcp = rtp, rtcp
        self._loop = asyncio.get_running_loop()
        self._is_open = self._is_behind = False
        self._pieces = 0
        """Since somebody asked to `read`."""
        self._aged: Aged | None = None
        for one in (rtp, rtcp):
            if one is not None:
                one.setblocking(False)

    def open(self, on_rtp: Received, on_rtcp: Received) -> None:
        """Read from now on."""
        self._loop.add_reader(self._rtp, self._read, self._rtp, on_rtp)
        self._open(on_rtcp)

    def expect(self, on_rtp: Aged, on_rtcp: Received) -> None:
        """Read the sound whenever asked to `read`: who has a clock is not woken by each packet."""
        self._aged = on_rtp
        with contextlib.suppress(OSError):  # without them whatever is read has just come
            self._rtp.setsockopt(socket.SOL_SOCKET, _TIMESTAMPS, 1)
        self._open(on_rtcp)

    def _open(self, on_rtcp: Received) -> None:
        self._is_open = True
        if self._rtcp is not None:
            self._loop.add_reader(self._rtcp, self._read, self._rtcp, on_rtcp)

    def read(self) -> None:
        """Take what came since. In a flood a piece of it, and the next when the other calls had their turn:
        who asks again meanwhile does not make that sooner. After so many pieces it waits to be asked again.
        """
        self._pieces = 0
        if not self._is_behind:
            self._read_on()

    def _read_on(self) -> None:
        self._is_behind = False
        if self._aged is None or self._rtp.fileno() < 0:
            return
        receive, told = self._rtp.recvmsg, self._aged
        for _ in range(MOST_A_WAKE):
            try:
                data, notes, _, source = receive(_MAX_BYTES, _MOMENT_BYTES)
            except OSError:  # nothing more; or an ICMP of a port that nobody listens on
                return
            told(data, (source[0], source[1]), _age(notes))
        self._pieces += 1
        if self._pieces < MOST_PIECES:
            self._is_behind = True
            self._loop.call_soon(self._read_on)

    def _read(self, readable: socket.socket, received: Received) -> None:
        for _ in range(MOST_A_WAKE):
            try:
                data, source = readable.recvfrom(_MAX_BYTES)
            except OSError:  # nothing more; or an ICMP of a port that nobody listens on
                return
            received(data, (source[0], source[1]))
        self._rest(readable, received)

    def _rest(self, readable: socket.socket, received: Received) -> None:
        if readable.fileno() >= 0:
            self._loop.remove_reader(readable)
            self._loop.call_later(_REST_SECONDS, self._read_again, readable, received)

    def _read_again(self, readable: socket.socket, received: Received) -> None:
        if readable.fileno() >= 0:
            self._loop.add_reader(readable, self._read, readable, received)

    def send(self, packet: bytes, to: Address) -> None:
        """Send sound."""
        _send(self._rtp, packet, to)

    def send_report(self, packet: bytes, to: Address) -> None:
        """Send a report, where there is a socket for them."""
        if self._rtcp is not None:
            _send(self._rtcp, packet, to)

    def close(self) -> None:
        """Read and send no more. Twice does no harm."""
        for one in (self._rtp, self._rtcp):
            if one is not None and one.fileno() >= 0:
                if self._is_open:
                    self._loop.remove_reader(one)
                one.close()


def _age(notes: list[tuple[int, int, bytes]]) -> float:
    for level, kind, value in notes:
        if level == socket.SOL_SOCKET and kind == _TIMESTAMPS and len(value) == _MOMENT.size:
            seconds, nanoseconds = (int(part) for part in _MOMENT.unpack(value))
            # The clock of the day may be set meanwhile.
            return min(max(0.0, time.time() - seconds - nanoseconds / 1e9), 1.0)
    return 0.0


def _send(sending: socket.socket, packet: bytes, to: Address) -> None:
    with contextlib.suppress(OSError, OverflowError):  # as lost as on the way
        sending.sendto(packet, to)
