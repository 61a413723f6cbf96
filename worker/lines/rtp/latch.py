"""Whom a call listens to: one source, found by packets that follow each other, and nobody else afterwards.

    signalled address  ▁▁██          two packets in a row: it is the other side
    another address    ▁▁████        four over 50 ms: the other side behind NAT, unless the signalled speaks
    locked             ████████      strangers are dropped, however much they send
    locked, then quiet ████▁▁▁▁      the same address with a new stream, or the same stream from a new port,
                                     or the signalled address, may follow; a stranger never

A stranger who does not see the packets can guess neither the stream's number nor send from its address.
"""

from dataclasses import dataclass, field

from aiortp import RtpPacket

from worker.lines.rtp.media import Address

MOST_CANDIDATES = 8
MOST_HELD = 16
"""Packets of one that is not listened to yet."""
_SIGNALLED, _STRANGER, _FOLLOWER = 2, 4, 5
CLOSE = 16
STRANGER_SECONDS = 0.05
"""Whoever sends a burst is not sooner than the side that was signalled."""
FOLLOW_QUIET_SECONDS = 0.2
SIGNALLED_QUIET_SECONDS = 1.0


@dataclass
class _Candidate:
    began_at: float
    packets: list[RtpPacket] = field(default_factory=list)


class Latch:
    """Decides for each packet. `dropped` counts those of strangers."""

    def __init__(self, signalled: Address) -> None:
        self._signalled = signalled
        self._source: Address | None = None
        self._ssrc = 0
        self._heard_at = 0.0
        self._candidates: dict[tuple[Address, int], _Candidate] = {}
        self.dropped = 0

    @property
    def remote(self) -> Address:
        """Where to send to."""
        return self._source or self._signalled

    @property
    def is_locked(self) -> bool:
        """Whether the other side was found."""
        return self._source is not None

    def signalled(self, address: Address) -> None:
        """The other side says that it listens elsewhere now: whoever sends from there may follow."""
        if address != self._signalled:
            self._signalled = address
            self._source = None
            self._candidates.clear()

    def take(self, packet: RtpPacket, source: Address, now: float) -> list[RtpPacket]:
        """The packets to listen to by now: none of a stranger's, all of a source that was just found."""
        if source == self._source and packet.ssrc == self._ssrc:
            self._heard_at = now
            return [packet]
        needed = self._needed(packet, source, now)
        if needed is None:
            self.dropped += 1
            return []
        candidate = self._candidate(packet, source, now)
        packets = candidate.packets
        if packets and not _follows(packets[-1].sequence_number, packet.sequence_number):
            self.dropped += len(packets)
            packets.clear()
        if not packets:
            candidate.began_at = now
        packets.append(packet)
        is_stranger = self._source is None and source != self._signalled
        is_early = is_stranger and now - candidate.began_at < STRANGER_SECONDS
        if len(packets) < needed or is_early:
            if len(packets) > MOST_HELD:
                self.dropped += 1
                del packets[0]
            return []
        self._source, self._ssrc, self._heard_at = source, packet.ssrc, now
        del self._candidates[source, packet.ssrc]
        self.dropped += sum(len(other.packets) for other in self._candidates.values())
        self._candidates.clear()
        last = packet.sequence_number
        return sorted(packets, key=lambda one: (one.sequence_number - last + 0x8000) & 0xFFFF)

    def _needed(self, packet: RtpPacket, source: Address, now: float) -> int | None:
        """How many packets in a row are asked of this source; None: it is not listened to."""
        quiet = now - self._heard_at
        if self._source is None:
            return _SIGNALLED if source == self._signalled else _STRANGER
        if source == self._source or packet.ssrc == self._ssrc:
            return _FOLLOWER if quiet >= FOLLOW_QUIET_SECONDS else None
        if source == self._signalled:
            return _FOLLOWER if quiet >= SIGNALLED_QUIET_SECONDS else None
        return None

    def _candidate(self, packet: RtpPacket, source: Address, now: float) -> _Candidate:
        key = (source, packet.ssrc)
        if key not in self._candidates and len(self._candidates) >= MOST_CANDIDATES:
            self.dropped += len(self._candidates.pop(next(iter(self._candidates))).packets)
        return self._candidates.setdefault(key, _Candidate(now))


def _follows(last: int, this: int) -> bool:
    """Whether two numbers are of one stream; a network that is late mixes them a little."""
    step = ((this - last + 0x8000) & 0xFFFF) - 0x8000
    return step != 0 and abs(step) <= CLOSE
