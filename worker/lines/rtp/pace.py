"""How many packets a side may send: what no telephone needs is left out before it costs anything.

A call shares its process with others, and whoever talks to us is trusted with its own call only. What waited
for us during a standstill comes at once, and is within bounds.
"""


class Pace:
    """So many a second in the long run, and so many at once."""

    def __init__(self, a_second: float, at_once: int) -> None:
        self._a_second, self._most = a_second, float(at_once)
        self._left = self._most
        self._at = 0.0

    def allows(self, now: float) -> bool:
        """Whether one more may come."""
        if now > self._at:
            self._left = min(self._most, self._left + (now - self._at) * self._a_second)
            self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def of_sound() -> Pace:
    """A packet each 10 ms is the most that telephones send, and three seconds of them what may be late."""
    return Pace(200, 400)


def of_reports() -> Pace:
    """One in five seconds is usual (RFC 3550, 6.2)."""
    return Pace(5, 10)
