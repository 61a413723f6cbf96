"""Sockets for calls' sound: an even port for RTP, the next one for RTCP, out of a range."""

import contextlib
import random
import socket

MOST_WAITING = 5000
"""Datagrams: more than the kernel keeps for a socket."""


class Unavailable(Exception):
    """Every port of the range is taken"""


class Ports:
    """Whose ports are free is the system's to say; they are given back by closing the sockets."""

    def __init__(self, host: str, first: int, last: int) -> None:
        self._host = host
        self._even = list(range(first + first % 2, last, 2))
        random.shuffle(self._even)
        self._at = 0

    def open(self) -> tuple[socket.socket, socket.socket]:
        """Two bound sockets. Raises `Unavailable`."""
        for _ in range(len(self._even)):
            port = self._even[self._at]
            # Round and round: what still comes for a call that is over must not reach the next.
            self._at = (self._at + 1) % len(self._even)
            with contextlib.ExitStack() as undo:
                try:
                    pair = tuple(
                        undo.enter_context(_bound(self._host, number)) for number in (port, port + 1)
                    )
                except OSError:
                    continue
                undo.pop_all()
                return pair[0], pair[1]
        raise Unavailable

    def open_again(self, port: int) -> tuple[socket.socket, socket.socket]:
        """The sockets of a call that another process of ours had. Raises `Unavailable`."""
        with contextlib.ExitStack() as undo:
            try:
                pair = tuple(undo.enter_context(_bound(self._host, number)) for number in (port, port + 1))
            except (OSError, OverflowError):
                raise Unavailable from None
            undo.pop_all()
        return pair[0], pair[1]


def emptied(sockets: tuple[socket.socket, ...]) -> None:
    """Forget what came so far: what a carrier plays before the answer is nobody's word."""
    for one in sockets:
        with contextlib.suppress(OSError):  # nothing more
            for _ in range(MOST_WAITING):
                one.recv(1)


def _bound(host: str, port: int) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        made.bind((host, port))
    except OSError:
        made.close()
        raise
    made.setblocking(False)
    return made
