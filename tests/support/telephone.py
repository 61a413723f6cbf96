"""A telephone as far as its sound goes: real UDP on loopback, a packet each 20 ms, all that is heard kept."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import numpy as np
from aiortp import RtpPacket
from aiortp.codecs import PcmuCodec

from tests.support.rtp import FRAME, RATE, Sender
from worker.lines.rtp.media import Address
from worker.lines.rtp.sockets import Sockets

LOUD = 500


def bound() -> socket.socket:
    """A UDP socket on loopback."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.bind(("127.0.0.1", 0))
    return made


@dataclass
class Telephone:
    """Talks G.711 to whoever it was told of."""

    socket: socket.socket
    remote: Address
    sender: Sender = field(default_factory=lambda: Sender(sequence=1, timestamp=1))
    heard: list[tuple[float, RtpPacket]] = field(default_factory=list)
    """Moments are `time.time()`."""
    is_sending: bool = True
    spoke_until: float = 0.0
    _pending: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int16))
    _keys: list[RtpPacket] = field(default_factory=list)
    _codec: PcmuCodec = field(default_factory=PcmuCodec)

    def say(self, pcm: np.ndarray) -> None:
        """int16 mono, 8 kHz; after what is being said."""
        self._pending = np.concatenate([self._pending, pcm])

    def hush(self) -> None:
        """Say no more of it."""
        self._pending = self._pending[:0]

    def press(self, packets: list[RtpPacket]) -> None:
        """Packets that go out in the place of sound."""
        self._keys += packets

    @property
    def is_talking(self) -> bool:
        return bool(len(self._pending))

    def sound(self, since: float = 0.0, ssrc: int | None = None) -> np.ndarray:
        """What was heard (of one stream), int16 at 8 kHz, each packet where its timestamp puts it."""
        packets = [
            one
            for at, one in self.heard
            if at >= since and one.payload_type == 0 and ssrc in (None, one.ssrc)
        ]
        if not packets:
            return np.zeros(0, np.int16)
        first = packets[0].timestamp
        places = [(one.timestamp - first) & 0xFFFFFFFF for one in packets]
        sound = np.zeros(max(places) + FRAME, np.int16)
        for place, one in zip(places, packets, strict=True):
            sound[place : place + FRAME] = np.frombuffer(self._codec.decode(one.payload), np.int16)
        return sound

    def first_sound(self, since: float) -> float | None:
        """When the first loud packet came."""
        for at, one in self.heard:
            if at >= since and one.payload_type == 0 and self._is_loud(one):
                return at
        return None

    def last_sound(self, since: float = 0.0) -> float | None:
        """When the last loud packet came."""
        loud = [at for at, one in self.heard if at >= since and one.payload_type == 0 and self._is_loud(one)]
        return loud[-1] if loud else None

    def _is_loud(self, packet: RtpPacket) -> bool:
        return bool(np.abs(np.frombuffer(self._codec.decode(packet.payload), np.int16)).max() > LOUD)

    def _received(self, data: bytes, source: Address) -> None:
        self.heard.append((time.time(), RtpPacket.parse(data)))

    async def _talk(self, sockets: Sockets) -> None:
        due = time.monotonic()
        while True:
            due += 0.02
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            frame, self._pending = self._pending[:FRAME], self._pending[FRAME:]
            if self._keys:
                sockets.send(self._keys.pop(0).serialize(), self.remote)
                self.sender.sequence = (self.sender.sequence + 1) & 0xFFFF
                self.sender.timestamp += FRAME
                continue
            packet = self.sender.packet(np.pad(frame, (0, FRAME - len(frame))))
            if len(frame):
                self.spoke_until = time.time()
            if self.is_sending:
                sockets.send(packet.serialize(), self.remote)


@contextlib.asynccontextmanager
async def telephone(mine: socket.socket, remote: Address) -> AsyncIterator[Telephone]:
    """A telephone in a call, until the end."""
    phone, sockets = Telephone(mine, remote), Sockets(mine)
    sockets.open(phone._received, lambda data, source: None)
    talking = asyncio.create_task(phone._talk(sockets))
    try:
        yield phone
    finally:
        talking.cancel()
        await asyncio.gather(talking, return_exceptions=True)
        sockets.close()


def seconds(pcm: np.ndarray) -> float:
    """How long."""
    return len(pcm) / RATE
