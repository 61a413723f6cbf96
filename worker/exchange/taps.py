"""One side of two telephones that are put through, as a shard hears it while somebody listens.

side ── packet ─┬──► the other side                  nobody talks: it is relayed, and a copy goes to the shard
                └──► shard ──┐
side ◄── packet ─────────────┘                       somebody talks: what the shard sends is heard instead

The sockets of the call stay where they are: nobody at a telephone notices that somebody listens. A shard that
talks and falls silent without having said so, dead or standing still, is not waited for.
"""

import asyncio
import socket
import time
from collections.abc import Callable

from aiortp import RtpPacket

from worker.lines.rtp.media import MOST_BYTES, RELAY_AGAIN, Media
from worker.lines.rtp.sockets import MOST_A_WAKE

RELAYED_AFTER_SECONDS = 0.2
"""Of silence of a shard that is there: a dead one is known at once."""


class Tap:
    """One side's. It takes over the socket; `say` gets what the side is to hear."""

    def __init__(self, connected: socket.socket, say: Callable[[bytes], None]) -> None:
        connected.setblocking(False)
        self._socket, self._say = connected, say
        self._loop = asyncio.get_running_loop()
        self._talked_at = 0.0
        self._key: tuple[int, int, bool] = (0, 0, False)
        """One that is being pressed: its stream, its timestamp, and whether the shard sends it on."""
        self._loop.add_reader(connected, self._readable)

    @property
    def is_talking(self) -> bool:
        """Whether the shard says what the side hears."""
        return time.monotonic() - self._talked_at < RELAYED_AFTER_SECONDS

    @property
    def is_open(self) -> bool:
        """False once whoever listened is gone, and a packet has shown it."""
        return self._socket.fileno() >= 0

    def takes(self, packet: RtpPacket, media: Media, is_replaced: bool) -> bool:
        """Let the shard hear a packet of the side's. True: it is not to be relayed, since the other side
        hears the shard instead (`is_replaced`). A key goes one way from its first packet to its last: it
        would be two keys.
        """
        if not self.is_open:
            return False
        if media.are_digits(packet.payload_type):
            stream, began = packet.ssrc, packet.timestamp
            if self._key[:2] != (stream, began):
                self._key = (stream, began, is_replaced)
            if not self._key[2]:
                return False
            is_replaced = True
        try:
            self._socket.send(packet.serialize())
        except ConnectionError:  # nobody listens there any more
            self.close()
            return False
        except OSError:  # it is behind: it misses a packet
            pass
        return is_replaced

    def close(self) -> None:
        """Hear and say nothing more. Twice does no harm."""
        if self.is_open:
            self._loop.remove_reader(self._socket)
            self._socket.close()
        self._talked_at = 0.0

    def _readable(self) -> None:
        for _ in range(MOST_A_WAKE):
            try:
                packet = self._socket.recv(MOST_BYTES + 1)
            except BlockingIOError:
                return
            except OSError:
                self.close()
                return
            if packet == RELAY_AGAIN:
                self._talked_at = 0.0
            elif not packet:  # whoever held the other end is gone
                self.close()
                return
            elif len(packet) <= MOST_BYTES:
                self._talked_at = time.monotonic()
                self._say(packet)
