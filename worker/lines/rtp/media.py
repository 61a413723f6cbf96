"""What two sides agreed on for the sound of one call."""

from dataclasses import dataclass
from typing import Literal

CLOCK_HZ = 8000
"""The RTP clock of G.711, and of G.722 too, whatever its rate is (RFC 3551, 4.5.2)."""
FRAME_SECONDS = 0.02
FRAME_UNITS = 160
"""RTP clock units of a frame; in all our codecs a unit is also a byte."""

Address = tuple[str, int]
CodecName = Literal["PCMU", "PCMA", "G722"]


@dataclass(frozen=True)
class Media:
    """As negotiated: payload types hold for both directions, `None` where the other side has none."""

    codec: CodecName
    payload_type: int
    remote: Address
    """Where the other side says it listens; behind NAT it is heard from elsewhere."""
    digits_payload_type: int | None = None
    noise_payload_type: int | None = None
    """Comfort noise, RFC 3389."""
    remote_rtcp: Address | None = None
    is_on_hold: bool = False
    """The other side sends nothing, and that is in order."""
