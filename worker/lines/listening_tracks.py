"""Tracks of a room in which a call is listened to: those that it offers, and what comes of another's."""

import asyncio
import contextlib

from livekit import rtc

QUEUE_MS = 100
STATS_SECONDS = 1.0
_MOST_UNSENT = 10


class SentTrack:
    """One side's sound on its way into the room. What does not fit is lost, never waited for."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self.source = rtc.AudioSource(rate, 1, queue_size_ms=QUEUE_MS)
        self._unsent: asyncio.Queue[bytes] = asyncio.Queue(_MOST_UNSENT)
        self._sending = asyncio.create_task(self._send(), name="a track that is listened to")

    def push(self, pcm: bytes) -> None:
        """The next piece."""
        if self._unsent.full():
            self._unsent.get_nowait()
        self._unsent.put_nowait(pcm)

    async def _send(self) -> None:
        while True:
            pcm = await self._unsent.get()
            await self.source.capture_frame(rtc.AudioFrame(pcm, self._rate, 1, len(pcm) // 2))

    async def aclose(self) -> None:
        """Send nothing more."""
        self._sending.cancel()
        await asyncio.gather(self._sending, return_exceptions=True)
        await self.source.aclose()


async def packets(track: rtc.Track) -> int | None:
    """How many have come of it, where that is known."""
    with contextlib.suppress(Exception):
        async with asyncio.timeout(STATS_SECONDS):
            told = await track.get_stats()
        counts = [one.inbound_rtp.received.packets_received for one in told if one.HasField("inbound_rtp")]
        return sum(counts) if counts else None
    return None
