"""A caller who waits for somebody to be free: where they stand, and what they are told over the music."""

import asyncio


class Place:
    """In the queue; 1 is the next, and 0 does not wait."""

    def __init__(self, at: int = 0) -> None:
        self.at = at
        self.has_waited = at > 0
        """Their line begins with music, also where it is their turn a moment later."""
        self._moved = asyncio.Event()

    def move(self, to: int) -> None:
        """They stand somewhere else now. A place that was left is never taken again."""
        if self.at:
            self.at = to
            self._moved.set()

    async def other_than(self, place: int) -> int:
        """Return their place once it is another one."""
        while self.at == place:
            self._moved.clear()
            await self._moved.wait()
        return self.at


class Announcement:
    """Words in the place of the music: one at a time, int16 mono."""

    def __init__(self) -> None:
        self._pcm = b""
        self._at = 0
        self._over = asyncio.Event()

    async def say(self, pcm: bytes) -> None:
        """Return once all of it was sent. Cancelled, the rest is not."""
        self._pcm, self._at = pcm, 0
        self._over.clear()
        try:
            await self._over.wait()
        finally:
            self._pcm = b""

    def next(self, samples: int) -> bytes | None:
        """So many samples; None where nothing is to be said."""
        if not self._pcm:
            return None
        size = 2 * samples
        piece = self._pcm[self._at : self._at + size]
        self._at += size
        if self._at >= len(self._pcm):
            self._pcm = b""
            self._over.set()
        return piece.ljust(size, b"\0")
