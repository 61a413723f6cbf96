"""Two telephones put through to each other: their sound passes the exchange, and no agent hears it.

one ◄══ RTP ══► relay ◄══ RTP ══► another          either hangs up ─► the other is hung up
                 │  └ payload types are each side's own; the codec is the same on both
                 └ copies ──► a shard, while somebody listens ──► packets in the place of what is relayed
                              or what they say is kept            (`exchange.taps`)
"""

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

from aiortp import RtpPacket, is_rtcp

from worker.exchange.calls import PhoneCall
from worker.exchange.frames import MOST_SECONDS, Changed, FromExchange, Over, Parted, Sides
from worker.exchange.shards import ConnectedShard
from worker.exchange.taps import Tap
from worker.lines.rtp.latch import Latch
from worker.lines.rtp.media import MOST_BYTES, Address
from worker.lines.rtp.pace import of_reports, of_sound
from worker.lines.rtp.sockets import Sockets
from worker.lines.rtp.unanswered import Unanswered

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
NO_MEDIA_SECONDS = 60.0
"""Nobody is there on a side that neither holds nor sends for so long, and whose BYE was lost."""


class _Side:
    """One of the two."""

    def __init__(self, call: PhoneCall) -> None:
        self.call = call
        self.sockets = Sockets(*(one.dup() for one in call.sockets))
        self.latch = Latch(call.media.remote)
        self.heard_at = time.monotonic()
        self.unanswered = Unanswered()
        self.pace, self.pace_of_reports = of_sound(), of_reports()
        self.tap: Tap | None = None
        """Who hears this side, and may say something to it in the other's place."""

    def types(self) -> tuple[int | None, ...]:
        """What was agreed on, in an order that is the same for both."""
        media = self.call.media
        return media.payload_type, media.digits_payload_type, media.noise_payload_type

    def say(self, packet: bytes) -> None:
        """Send it what the other side said, or somebody in its place."""
        if not self.call.media.they_listen:
            return
        if self.unanswered.allows(self.latch.remote, has_spoken=self.latch.is_locked):
            self.sockets.send(packet, self.latch.remote)

    @property
    def is_spoken_to(self) -> bool:
        """Whether somebody talks to it in the other side's place."""
        return self.tap is not None and self.tap.is_talking

    def part(self) -> None:
        """Nobody listens any more."""
        if self.tap is not None:
            self.tap.close()
            self.tap = None

    def report(self, data: bytes) -> None:
        """Send it the other side's report: streams keep their numbers on the way."""
        media, remote = self.call.media, self.latch.remote
        told = media.remote_rtcp if remote == media.remote else None
        if self.latch.is_locked:
            self.sockets.send_report(data, told or (remote[0], remote[1] + 1))


class Bridge:
    """Both calls are answered, and this is whom they talk to (`calls.Talker`) until either ends."""

    def __init__(
        self,
        one: PhoneCall,
        another: PhoneCall,
        spawn: Callable[[Coroutine[Any, Any, Any]], object],
        seconds: float = MOST_SECONDS,
    ) -> None:
        self._spawn = spawn
        self._seconds = min(seconds, MOST_SECONDS)
        self._sides = (_Side(one), _Side(another))
        self.shard: ConnectedShard | None = None
        """Where somebody listens, or is about to."""
        self.is_overheard = False
        """What they say is kept there."""
        self.overheard = 0
        """How many shards were asked to keep it."""
        self._began_at = time.monotonic()
        one.talker = another.talker = self
        for side, other in (self._sides, self._sides[::-1]):
            side.sockets.open(*self._ears(side, other))
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._look_later()

    def tell(self, frame: FromExchange, sockets: tuple[socket.socket, ...] = ()) -> None:
        """Something happened to one of the two."""
        for side in self._sides:
            if side.call.call_id != frame.call_id:
                continue
            if isinstance(frame, Changed):
                side.latch.signalled(frame.media.remote)
                side.heard_at = time.monotonic()
                if self.shard is not None:
                    self.shard.tell(self.sides)
            elif isinstance(frame, Over):
                self.end()

    @property
    def sides(self) -> Sides:
        """What was agreed on with each."""
        one, another = (side.call for side in self._sides)
        return Sides(call_id=one.call_id, one=one.media, another=another.media)

    @property
    def is_tapped(self) -> bool:
        """Whether somebody listens, in `shard`."""
        return all(side.tap is not None and side.tap.is_open for side in self._sides)

    def tap(self, shard: ConnectedShard, sockets: tuple[socket.socket, socket.socket]) -> None:
        """Let a shard hear both sides, each over a socket of its own, in the place of who did before."""
        self.shard = shard
        for side, one in zip(self._sides, sockets, strict=True):
            side.part()
            side.tap = Tap(one, side.say)
        shard.tell(self.sides)

    def part(self, shard: ConnectedShard) -> None:
        """This shard is gone: what it heard and said, the relay goes on with."""
        if self.shard is shard:
            self.shard, self.is_overheard = None, False
            for side in self._sides:
                side.part()

    def end(self) -> None:
        """Relay no more, and hang up whoever is left. Twice does no harm."""
        if self._timer is None:
            return
        self._timer.cancel()
        self._timer = None
        if self.shard is not None:
            self.shard.tell(Parted(call_id=self._sides[0].call.call_id))
            self.part(self.shard)
        for side in self._sides:
            side.sockets.close()
            self._spawn(side.call.dialog.hang_up())

    def _ears(
        self, side: _Side, other: _Side
    ) -> tuple[Callable[[bytes, Address], None], Callable[[bytes, Address], None]]:
        def heard(data: bytes, source: Address) -> None:
            if len(data) > MOST_BYTES or is_rtcp(data):
                return
            try:
                packet = RtpPacket.parse(data)
            except (ValueError, IndexError):
                return
            now = time.monotonic()
            for one in side.latch.take(packet, source, now):
                if not side.pace.allows(now):  # nobody is flooded by our means
                    continue
                side.heard_at = now
                if side.tap is not None and side.tap.takes(one, side.call.media, other.is_spoken_to):
                    continue
                types = dict(zip(side.types(), other.types(), strict=True))
                types.setdefault(side.call.media.offered_digits_type, other.call.media.digits_payload_type)
                if (type_ := types.get(one.payload_type)) is not None:
                    one.payload_type = type_
                    other.say(one.serialize())

        def reported(data: bytes, source: Address) -> None:
            is_theirs = side.latch.is_locked and source[0] == side.latch.remote[0]
            # A report of a stream that the other side does not get meanwhile says nothing to it.
            if not is_theirs or len(data) > MOST_BYTES or other.is_spoken_to:
                return
            if side.pace_of_reports.allows(time.monotonic()):
                other.report(data)

        return heard, reported

    def _look(self) -> None:
        now = time.monotonic()
        is_silent = any(
            now - side.heard_at > NO_MEDIA_SECONDS and not side.call.media.is_on_hold for side in self._sides
        )
        if is_silent or now - self._began_at >= self._seconds:
            logger.info("a bridged call was ended", extra={"is_silent": is_silent})
            self.end()
            return
        self._look_later()

    def _look_later(self) -> None:
        left = self._seconds - (time.monotonic() - self._began_at)
        self._timer = self._loop.call_later(min(LOOK_SECONDS, max(0.0, left)), self._look)
