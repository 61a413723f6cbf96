"""Packets in their order, waited for as long as this network is late, and no longer.

A machine listens, so nothing is held back to be played evenly: what is in order goes on at once, and only
a gap waits, for as long as packets were late lately.

    sent      1  2  3  4  5  6  7
    arrived   1  2     4  5  3  6  7       3 came in time: nothing was lost
    arrived   1  2     4  5  6     7  3    waited for long enough: 3 is concealed, and late
"""

from collections import deque
from dataclasses import dataclass

from worker.lines.rtp.media import CLOCK_HZ

SHORTEST_WAIT_SECONDS = 0.03
LONGEST_WAIT_SECONDS = 0.2
FIRST_WAIT_SECONDS = 0.06
MOST_AHEAD = 150
"""Packets: three seconds. Further ahead it is another stream, or none."""
_WINDOW = 250
_LOOK_EVERY = 25
_EXTRA_SECONDS = 0.01


@dataclass(frozen=True)
class Gap:
    """So many packets that never came, or not in time."""

    packets: int


class JitterBuffer:
    """One stream. `late` counts packets that came after they were given up, or twice."""

    def __init__(self) -> None:
        self._next: int | None = None
        """Extended sequence number of the packet that is to go on next."""
        self._waiting: dict[int, tuple[bytes, float]] = {}
        self._latest = 0
        self._transits: deque[float] = deque(maxlen=_WINDOW)
        self._last_timestamp: int | None = None
        self._timeline = 0
        self._since_look = 0
        self.wait_seconds = FIRST_WAIT_SECONDS
        self.late = 0

    def push(self, sequence: int, payload: bytes, now: float) -> list[bytes | Gap]:
        """A packet came; empty for one without sound (a digit). What can go on by now, in order."""
        if self._next is None:
            self._next = self._latest = sequence
        number = self._latest + ((sequence - self._latest + 0x8000) & 0xFFFF) - 0x8000
        if number - self._next > MOST_AHEAD or self._next - number > MOST_AHEAD:
            # The other side counts from somewhere else now; what was waited for never comes.
            self._waiting.clear()
            self._next = self._latest = number
        if number < self._next or number in self._waiting:
            self.late += 1
            return []
        self._latest = max(self._latest, number)
        self._waiting[number] = (payload, now)
        return self._in_order()

    def due(self, now: float) -> list[bytes | Gap]:
        """What goes on now since the packets before it were waited for long enough."""
        out: list[bytes | Gap] = []
        while self._waiting and self._next is not None:
            first = min(self._waiting)
            # Whatever comes next was sent later than the gap: the gap has waited since that came.
            if now - self._waiting[first][1] < self.wait_seconds:
                break
            out.append(Gap(first - self._next))
            self._next = first
            out += self._in_order()
        return out

    def measure(self, timestamp: int, now: float) -> None:
        """Learn from a packet of sound how late packets of this network are."""
        if self._last_timestamp is not None:
            step = ((timestamp - self._last_timestamp + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            if abs(step) > 10 * CLOCK_HZ:
                self._transits.clear()
            self._timeline += step
        self._last_timestamp = timestamp
        self._transits.append(now - self._timeline / CLOCK_HZ)
        self._since_look += 1
        if self._since_look >= _LOOK_EVERY:
            self._since_look = 0
            ordered = sorted(self._transits)
            spread = ordered[int(len(ordered) * 0.98)] - ordered[0]
            self.wait_seconds = min(max(spread + _EXTRA_SECONDS, SHORTEST_WAIT_SECONDS), LONGEST_WAIT_SECONDS)

    def _in_order(self) -> list[bytes | Gap]:
        out: list[bytes | Gap] = []
        while self._next is not None and self._next in self._waiting:
            payload, _ = self._waiting.pop(self._next)
            self._next += 1
            if payload:
                out.append(payload)
        return out
