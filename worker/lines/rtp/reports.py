"""What the two sides tell each other of their sound (RTCP, RFC 3550)."""

from collections.abc import Callable

from aiortp import RtcpPacket, RtcpRrPacket, RtcpSdesPacket, RtcpSrPacket
from aiortp.packet import RtcpReceiverInfo, RtcpSenderInfo, RtcpSourceInfo

from worker.lines.rtp.media import CLOCK_HZ, Address
from worker.lines.rtp.quality import Reception

EVERY_SECONDS = 5.0
_NTP_EPOCH = 2_208_988_800
_CNAME = 1


class Reports:
    """Both directions of one call. Moments are `time.time()`."""

    def __init__(self, ssrc: int, send: Callable[[bytes, Address], None]) -> None:
        self._ssrc, self._send = ssrc, send
        self._packets = self._octets = self._timestamp = 0
        self._last_report = 0
        self._last_report_at = 0.0
        self.remote_lost_percent: float | None = None
        self.remote_jitter_ms: float | None = None
        self.round_trip_seconds: float | None = None

    def sent(self, timestamp: int, octets: int) -> None:
        """A packet of sound left."""
        self._packets += 1
        self._octets += octets
        self._timestamp = timestamp

    def tell(self, to: Address, heard_ssrc: int | None, heard: Reception, now: float) -> None:
        """Send what we sent and how we hear."""
        ntp = _ntp(now)
        infos = []
        if heard_ssrc is not None:
            since = round((now - self._last_report_at) * 65536) if self._last_report_at else 0
            infos.append(
                RtcpReceiverInfo(
                    ssrc=heard_ssrc,
                    fraction_lost=min(255, int(heard.fraction_lost() * 256)),
                    packets_lost=min(heard.lost, 0x7FFFFF),
                    highest_sequence=heard.highest,
                    jitter=int(heard.jitter_seconds * CLOCK_HZ) & 0xFFFFFFFF,
                    lsr=self._last_report,
                    dlsr=min(max(0, since), 0xFFFFFFFF),
                )
            )
        sender = RtcpSenderInfo(
            ntp_timestamp=ntp,
            rtp_timestamp=self._timestamp,
            packet_count=self._packets & 0xFFFFFFFF,
            octet_count=self._octets & 0xFFFFFFFF,
        )
        name = RtcpSdesPacket([RtcpSourceInfo(self._ssrc, [(_CNAME, f"{self._ssrc:08x}".encode())])])
        self._send(bytes(RtcpSrPacket(self._ssrc, sender, infos)) + bytes(name), to)

    def take(self, data: bytes, now: float) -> bool:
        """Learn from a report; False for what is none."""
        try:
            packets = RtcpPacket.parse(data)
        except (ValueError, IndexError):
            return False
        except Exception:  # noqa: BLE001 - a stranger's bytes: the parser may trip over them in its own ways
            return False
        for packet in packets:
            if isinstance(packet, RtcpSrPacket):
                self._last_report = (packet.sender_info.ntp_timestamp >> 16) & 0xFFFFFFFF
                self._last_report_at = now
            if isinstance(packet, RtcpSrPacket | RtcpRrPacket):
                for info in packet.reports:
                    if info.ssrc == self._ssrc:
                        self._learn(info, now)
        return bool(packets)

    def _learn(self, info: RtcpReceiverInfo, now: float) -> None:
        self.remote_lost_percent = round(100 * max(0, info.packets_lost) / max(1, self._packets), 2)
        self.remote_jitter_ms = round(info.jitter / CLOCK_HZ * 1000, 1)
        if info.lsr:
            units = (_ntp(now) >> 16 & 0xFFFFFFFF) - info.lsr - info.dlsr
            if 0 <= (units & 0xFFFFFFFF) < 65536 * 10:
                self.round_trip_seconds = (units & 0xFFFFFFFF) / 65536


def _ntp(moment: float) -> int:
    whole = int(moment)
    return ((whole + _NTP_EPOCH) << 32) | int((moment - whole) * (1 << 32))
