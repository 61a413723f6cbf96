"""How well the two sides of a call could hear each other, in figures that networks are judged by."""

from worker.lines.rtp.media import CLOCK_HZ


class Reception:
    """Counts one source's packets as RFC 3550 does (appendix A.3, A.8). Jitter is in seconds."""

    def __init__(self) -> None:
        self._first: int | None = None
        self._latest = 0
        self._before = 0
        """Packets that sources before this one should have sent, or did."""
        self._expected_told = self._received_told = 0
        self._last: tuple[float, int] | None = None
        self.received = 0
        self.jitter_seconds = 0.0

    def begin_again(self) -> None:
        """Another source follows: it counts from somewhere else."""
        self._before = self.expected
        self._first, self._last = None, None

    def add(self, sequence: int, timestamp: int, now: float, *, is_sound: bool) -> None:
        """A packet came."""
        self.received += 1
        if self._first is None:
            self._first = self._latest = sequence
        step = ((sequence - self._latest + 0x8000) & 0xFFFF) - 0x8000
        if abs(step) > 3000:
            self._before += self._latest - self._first + 1
            self._first = self._latest = sequence
        else:
            self._first = min(self._first, self._latest + step)
            self._latest = max(self._latest, self._latest + step)
        if not is_sound:
            return
        if self._last is not None:
            moved = ((timestamp - self._last[1] + 0x80000000) & 0xFFFFFFFF) - 0x80000000
            late = abs(now - self._last[0] - moved / CLOCK_HZ)
            if late < 1.0:  # else it is a pause in the stream, not the network
                self.jitter_seconds += (late - self.jitter_seconds) / 16
        self._last = now, timestamp

    @property
    def expected(self) -> int:
        """How many there were to come."""
        return self._before + (0 if self._first is None else self._latest - self._first + 1)

    @property
    def lost(self) -> int:
        """How many never came."""
        return max(0, self.expected - self.received)

    @property
    def highest(self) -> int:
        """Extended highest sequence number, for reports."""
        return self._latest & 0xFFFFFFFF

    def fraction_lost(self) -> float:
        """Of those since this was last asked."""
        expected, received = self.expected - self._expected_told, self.received - self._received_told
        self._expected_told, self._received_told = self.expected, self.received
        return max(0.0, 1 - received / expected) if expected > 0 else 0.0


def mos(loss: float, delay_seconds: float) -> float:
    """What people would say of it, 1 to 4.5: ITU-T G.107 for G.711 with concealment, at random loss.

    `loss` is 0 to 1; the delay is one way.
    """
    delay = delay_seconds * 1000
    late = 0.024 * delay + (0.11 * (delay - 177.3) if delay > 177.3 else 0.0)
    percent = loss * 100
    rating = 93.2 - late - 95.0 * percent / (percent + 25.1)
    if rating <= 0:
        return 1.0
    rating = min(rating, 100.0)
    return 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6
