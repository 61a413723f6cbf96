"""How much of a call's sound goes to addresses that never spoke: we are nobody's means to flood others.

signalled   phone ─────────► third ────► phone ─────────► third …
spoke       ▁████████████▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁█████████████▁▁▁▁▁▁▁▁▁▁
sent        ██████████████████████▁▁▁▁▁▁▁▁█████████████▁▁▁▁▁▁▁▁▁▁     ten seconds in all, not each time
"""

from worker.lines.rtp.media import Address

MOST_UNANSWERED = 500
"""Packets in all of a call: ten seconds."""


class Unanswered:
    """Of one call. What went to an address that spoke after all is not counted."""

    def __init__(self) -> None:
        self._before = 0
        """Packets to addresses before this one, none of which has spoken."""
        self._to: Address | None = None
        self._sent = 0

    @property
    def is_spent(self) -> bool:
        """Nothing more goes to an address that has not spoken."""
        return self._before + self._sent >= MOST_UNANSWERED

    def allows(self, to: Address, *, has_spoken: bool) -> bool:
        """Whether the next packet may be sent there; it is counted."""
        if has_spoken:
            if self._sent:
                self._leave(is_answered=to == self._to)
            return True
        if to != self._to:
            self._leave(is_answered=False)
            self._to = to
        if self.is_spent:
            return False
        self._sent += 1
        return True

    def _leave(self, *, is_answered: bool) -> None:
        if not is_answered:
            self._before += self._sent
        self._sent = 0
