"""The two sockets of one call's RTP and RTCP, read without ever keeping the other calls waiting."""

import asyncio
import contextlib
import socket
from collections.abc import Callable

from worker.lines.rtp.media import Address

MOST_A_WAKE = 64
"""Datagrams; a flood waits for its turn in the kernel's buffer, and is dropped there."""
_MAX_BYTES = 2048

Received = Callable[[bytes, Address], None]


class Sockets:
    """Bound UDP sockets, which this takes over. Nothing here waits, and nothing is raised for a datagram."""

    def __init__(self, rtp: socket.socket, rtcp: socket.socket | None = None) -> None:
        self._rtp, self._rtcp = rtp, rtcp
        self._loop = asyncio.get_running_loop()
        self._is_open = False
        for one in (rtp, rtcp):
            if one is not None:
                one.setblocking(False)

    def open(self, on_rtp: Received, on_rtcp: Received) -> None:
        """Read from now on."""
        self._is_open = True
        self._loop.add_reader(self._rtp, _read, self._rtp, on_rtp)
        if self._rtcp is not None:
            self._loop.add_reader(self._rtcp, _read, self._rtcp, on_rtcp)

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


def _read(readable: socket.socket, received: Received) -> None:
    for _ in range(MOST_A_WAKE):
        try:
            data, source = readable.recvfrom(_MAX_BYTES)
        except OSError:  # nothing more; or an ICMP of a port that nobody listens on
            return
        received(data, (source[0], source[1]))


def _send(sending: socket.socket, packet: bytes, to: Address) -> None:
    with contextlib.suppress(OSError, OverflowError):  # as lost as on the way
        sending.sendto(packet, to)
