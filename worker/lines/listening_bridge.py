"""Two telephones that were put through, as a room hears them; and whoever there talks with both.

caller ══► exchange ══► person       listened to: the exchange relays, and we get a copy of each packet
              ├─ copies ─► caller ──► track "caller"
              └─ copies ─► person ──► track "person"
caller ◄── the person + whoever talks ──┐
person ◄── the caller + whoever talks ◄─┴─ taken over: what we send is heard in the place of what is relayed

Whoever listens changes nothing for the two, and when we die they are relayed as before.
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from worker.lines.line import AudioTap
from worker.lines.listening import LineListeners, ListeningRooms
from worker.lines.listening_room import WITH_PERSON
from worker.lines.mixing import Other
from worker.lines.rtp.clock import Clock
from worker.lines.rtp.media import FRAME_SECONDS, MOST_BYTES, RELAY_AGAIN, Address, Media
from worker.lines.rtp.sockets import MOST_A_WAKE
from worker.lines.rtp.stream import RtpStream

logger = logging.getLogger(__name__)

_RELAY: Address = ("relay", 0)
"""The exchange knows where each side is."""
_FIRST_KEPT = 2
"""Frames of the other side that are there before the first is sent: what is relayed until then has no gap."""
_MOST_BEHIND = 5
"""Frames that are still sent after a standstill of our own; the exchange has relayed meanwhile."""
_MOST_CAUGHT_UP = 100
_KEYS_SECONDS = 3.0
"""For keys that were pressed while somebody talked to be sent on."""


class _Side:
    """One of the two."""

    def __init__(self, media: Media) -> None:
        self.other = Other()
        """What the other side says, on its way to this one."""
        self.pressed: Callable[[str], None] = lambda key: None
        self.stream = RtpStream(_heard_of(media), self._send, self._send_report, on_key=self._press)
        self.listens = media.they_listen
        self._socket: socket.socket | None = None

    def connect(self) -> socket.socket:
        """The exchange's end of a new way to it."""
        self.close()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        return theirs

    def change(self, media: Media) -> None:
        """Something else was agreed on."""
        with contextlib.suppress(ValueError):
            self.stream.change(_heard_of(media))
        self.listens = media.they_listen

    def read(self) -> None:
        """Take what came since."""
        if self._socket is None:
            return
        for _ in range(MOST_A_WAKE):
            try:
                packet = self._socket.recv(MOST_BYTES)
            except OSError:  # nothing more, or no exchange for now
                return
            if not packet:
                return
            self.stream.received(packet, _RELAY)

    def done(self) -> None:
        """Let the exchange relay again, at once."""
        self._send(RELAY_AGAIN, _RELAY)

    def close(self) -> None:
        """Hear and say nothing more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _press(self, key: str) -> None:
        self.pressed(key)

    def _send(self, packet: bytes, to: Address) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):  # the exchange is behind, or gone: as lost as on the way
                self._socket.send(packet)

    def _send_report(self, packet: bytes, to: Address) -> None:
        """Each side gets the reports of the other."""


class Overhears(AudioTap, Protocol):
    """Who keeps what two say. Its `agent` is told what the caller hears: the person, and a third."""

    def person(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """Whom the caller was put through to said this."""

    def supervisor(self, pcm: bytes, sample_rate: int, at: float) -> None:
        """Whoever talks with both said this."""


class BridgedLine:
    """Both sides, for as long as somebody listens. `on_over` is told when nobody does any more."""

    def __init__(self, media: tuple[Media, Media], rooms: ListeningRooms, clock: Clock) -> None:
        caller, person = self._sides = (_Side(media[0]), _Side(media[1]))
        caller.pressed, person.pressed = person.stream.press, caller.stream.press
        self.listeners = LineListeners(rooms, caller.stream.rate, sides=WITH_PERSON)
        self._clock = clock
        self.on_over: Callable[[], None] = lambda: None
        self.tap: Overhears | None = None
        """Told what is said, whether or not somebody listens."""
        self.is_open = False
        """Whether an exchange was given its ends."""
        self._was_attended = False
        self._waits = 0
        self._mixes = False

    def connect(self) -> tuple[socket.socket, socket.socket]:
        """The exchange's ends, of an exchange that is new."""
        one, another = (side.connect() for side in self._sides)
        if not self.is_open:
            self.is_open = True
            self._clock.join(self._tick)
        return one, another

    def change(self, media: tuple[Media, Media]) -> None:
        """Something else was agreed on with either."""
        for side, agreed in zip(self._sides, media, strict=True):
            side.change(agreed)

    async def aclose(self) -> None:
        """Let the exchange go on alone, and leave the room. Twice does no harm."""
        self._clock.leave(self._tick)
        if self._mixes:
            self._stop_mixing()
        for side in self._sides:
            side.close()
        await self.listeners.aclose()

    async def give_back(self) -> None:
        """Whoever talks does not any more; keys that came meanwhile are sent on first."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_KEYS_SECONDS):
                while any(side.stream.is_pressing for side in self._sides):  # noqa: ASYNC110 - a clock's work
                    await asyncio.sleep(FRAME_SECONDS)
        await self.listeners.take_back()

    # ── the clock ────────────────────────────────────────────────────────────────────────────────
    def _tick(self, behind: int) -> None:
        try:
            self._hear(behind)
            if self.listeners.has_talker:
                self._talk(behind)
            elif self._mixes:
                self._stop_mixing()
            self._look()
        except Exception:
            logger.exception("a tick of two who were put through failed")

    def _hear(self, behind: int) -> None:
        caller, person = self._sides
        for side, other, tell in (
            (caller, person, self.listeners.caller),
            (person, caller, self.listeners.person),
        ):
            side.read()
            for _ in range(min(behind, _MOST_CAUGHT_UP) + 1):
                for pcm in side.stream.hears():
                    tell(pcm)
                    if side is caller:
                        self._tell_caller(pcm)
                    else:
                        self._tell_person(pcm)
                    if self.listeners.has_talker:
                        other.other.push(pcm)

    def _talk(self, behind: int) -> None:
        if not self._mixes:
            self._mixes, self._waits = True, _FIRST_KEPT
            for side in self._sides:
                side.other = Other()
        if self._waits:
            self._waits -= 1
            return
        for side in self._sides:
            if behind > _MOST_BEHIND:
                side.stream.skip(behind)
        for _ in range(behind + 1 if behind <= _MOST_BEHIND else 1):
            voice = self.listeners.voice()
            for side in self._sides:
                mixed = side.other.over(voice)
                if mixed is not None and side is self._sides[0]:
                    self._tell_mixed(mixed, voice)
                if side.listens:
                    side.stream.say(mixed)
                else:
                    side.stream.skip(1)

    def _tell_caller(self, pcm: bytes) -> None:
        if self.tap is not None:
            rate = self._sides[0].stream.rate
            self.tap.caller(pcm, rate, time.time() - len(pcm) / 2 / rate)

    def _tell_person(self, pcm: bytes) -> None:
        if self.tap is not None:
            rate = self._sides[1].stream.rate
            at = time.time() - len(pcm) / 2 / rate
            self.tap.person(pcm, rate, at)
            if not self._mixes:
                self.tap.agent(pcm, rate, at)

    def _tell_mixed(self, pcm: bytes, voice: bytes | None) -> None:
        if self.tap is not None:
            rate, at = self._sides[0].stream.rate, time.time()
            self.tap.agent(pcm, rate, at - len(pcm) / 2 / rate)
            if voice is not None:
                self.tap.supervisor(voice, rate, at - len(voice) / 2 / rate)

    def _stop_mixing(self) -> None:
        self._mixes = False
        for side in self._sides:
            side.done()

    def _look(self) -> None:
        """Nobody has been in the room for a while: there is nothing to be heard for."""
        if self.listeners.is_attended:
            self._was_attended = True
        elif self._was_attended:
            self._was_attended = False
            self.on_over()


def _heard_of(media: Media) -> Media:
    return replace(media, remote=_RELAY, remote_rtcp=None)
