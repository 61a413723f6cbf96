"""The other side of a call's RTP, as a test wants it: in time, late, lost, twice, or a stranger."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from aiortp import DtmfEvent, RtpPacket
from aiortp.codecs import PcmuCodec

from worker.lines.rtp.media import Address, Media
from worker.lines.rtp.stream import RtpStream

PHONE: Address = ("192.0.2.10", 4000)
RATE = 8_000
FRAME = 160


def media(**changes: object) -> Media:
    """G.711 with keys on payload 101, unless a test wants something else."""
    told = {"codec": "PCMU", "payload_type": 0, "remote": PHONE, "digits_payload_type": 101}
    return Media(**(told | changes))  # type: ignore[arg-type]


def tone(seconds: float, hertz: float = 440.0, rate: int = RATE) -> np.ndarray:
    """int16 mono."""
    at = np.arange(int(seconds * rate)) / rate
    return (np.sin(2 * np.pi * hertz * at) * 8000).astype(np.int16)


@dataclass
class Sender:
    """Makes packets as a phone does: one each 20 ms, numbers and timestamps going up."""

    ssrc: int = 0x1234
    sequence: int = 65_530
    timestamp: int = 0xFFFFFF00
    payload_type: int = 0
    codec: PcmuCodec = field(default_factory=PcmuCodec)

    def packet(self, pcm: np.ndarray) -> RtpPacket:
        """The next one; numbers wrap early on purpose."""
        made = RtpPacket(
            self.payload_type, 0, self.sequence, self.timestamp, self.ssrc, self.codec.encode(pcm.tobytes())
        )
        self.sequence = (self.sequence + 1) & 0xFFFF
        self.timestamp = (self.timestamp + len(pcm)) & 0xFFFFFFFF
        return made

    def packets(self, pcm: np.ndarray, samples: int = FRAME) -> Iterator[RtpPacket]:
        """All of it."""
        for start in range(0, len(pcm) - samples + 1, samples):
            yield self.packet(pcm[start : start + samples])


@dataclass
class Bench:
    """A stream on a clock that the test moves."""

    stream: RtpStream
    sent: list[tuple[RtpPacket, Address]]
    reports: list[tuple[bytes, Address]]
    keys: list[str]
    clock: list[float]

    @classmethod
    def of(cls, agreed: Media | None = None) -> "Bench":
        sent: list[tuple[RtpPacket, Address]] = []
        reports: list[tuple[bytes, Address]] = []
        keys: list[str] = []
        clock = [1000.0]
        stream = RtpStream(
            agreed or media(),
            lambda data, to: sent.append((RtpPacket.parse(data), to)),
            lambda data, to: reports.append((data, to)),
            on_key=keys.append,
            clock=lambda: clock[0],
        )
        return cls(stream, sent, reports, keys, clock)

    def hears(self, arrivals: list[tuple[float, RtpPacket]], seconds: float) -> list[bytes]:
        """Let packets arrive at their times from now on; the frames of so many seconds."""
        began = self.clock[0]
        waiting = sorted(arrivals, key=lambda one: one[0])
        frames: list[bytes] = []
        for tick in range(1, round(seconds / 0.02) + 1):
            ends = tick * 0.02
            while waiting and waiting[0][0] <= ends:
                at, packet = waiting.pop(0)
                self.clock[0] = began + at
                self.stream.received(packet.serialize(), PHONE)
            self.clock[0] = began + ends
            frames += self.stream.hears()
        return frames


def in_time(packets: Iterator[RtpPacket], every: float = 0.02) -> list[tuple[float, RtpPacket]]:
    """Each packet a little before our tick."""
    return [(number * every + 0.015, packet) for number, packet in enumerate(packets)]


def jittered(
    packets: Iterator[RtpPacket], *, jitter: float, loss: float, seed: int = 1
) -> list[tuple[float, RtpPacket]]:
    """Each packet up to so much later, some not at all."""
    dice = random.Random(seed)  # noqa: S311
    return [
        (number * 0.02 + dice.uniform(0, jitter), packet)
        for number, packet in enumerate(packets)
        if dice.random() >= loss
    ]


def key_packets(phone: Sender, code: int, type_: int = 101, frames: int = 5) -> list[RtpPacket]:
    """As RFC 4733 has them: one each 20 ms, then three ends, all with the first one's timestamp."""
    made = []
    for number in range(frames + 3):
        duration, is_end = min(number + 1, frames) * 160, number >= frames
        payload = DtmfEvent(event=code, end=is_end, volume=10, duration=duration).serialize()
        made.append(RtpPacket(type_, int(number == 0), phone.sequence, phone.timestamp, phone.ssrc, payload))
        phone.sequence = (phone.sequence + 1) & 0xFFFF
    phone.timestamp = (phone.timestamp + (frames + 3) * 160) & 0xFFFFFFFF
    return made


def joined(frames: list[bytes]) -> np.ndarray:
    """Frames as one sound."""
    return np.frombuffer(b"".join(frames), np.int16)


def loud_seconds(pcm: np.ndarray, rate: int = RATE) -> float:
    """For how long there is more than noise."""
    whole = len(pcm) // 80 * 80
    return float((np.abs(pcm[:whole].reshape(-1, 80)).max(axis=1) > 1000).sum() * 80 / rate)
