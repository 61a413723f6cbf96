"""What two sides agreed on for the sound of one call."""

from dataclasses import dataclass
from typing import Literal

CLOCK_HZ = 8000
"""The RTP clock of G.711, and of G.722 too, whatever its rate is (RFC 3551, 4.5.2)."""
FRAME_SECONDS = 0.02
FRAME_UNITS = 160
"""RTP clock units of a frame; in all our codecs a unit is also a byte."""
MOST_BYTES = 1500
"""Of a packet."""
RELAY_AGAIN = b"\0"
"""From a shard that has talked to one of two who were put through: what they say is relayed from now on."""

Address = tuple[str, int]
CodecName = Literal["PCMU", "PCMA", "G722"]
OurDirection = Literal["sendrecv", "sendonly", "inactive"]
"""What we asked for: both ways; on hold with sound of ours; on hold without."""


@dataclass(frozen=True)
class Media:
    """As negotiated: payload types hold for both directions, `None` where the other side has none."""

    codec: CodecName
    payload_type: int
    remote: Address
    """Where the other side says it listens; behind NAT it is heard from elsewhere."""
    digits_payload_type: int | None = None
    offered_digits_type: int | None = None
    """Ours, where an answer chose another number for digits: the other side may send either."""
    noise_payload_type: int | None = None
    """Comfort noise, RFC 3389."""
    remote_rtcp: Address | None = None
    they_send: bool = True
    they_listen: bool = True
    """Either is false while one of the two holds the call."""
    ours: OurDirection = "sendrecv"

    def are_digits(self, payload_type: int) -> bool:
        """Whether a packet of this type is a key."""
        return payload_type in (self.digits_payload_type, self.offered_digits_type)

    @property
    def is_on_hold(self) -> bool:
        """Nobody talks now, and that is in order."""
        return not (self.they_send and self.they_listen)

    @property
    def is_held_by_them(self) -> bool:
        """Not by us, or not only: whoever holds with `sendonly` listens to nothing."""
        return (
            not self.they_listen if self.ours == "sendonly" else self.ours == "sendrecv" and self.is_on_hold
        )
