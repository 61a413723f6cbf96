"""One telephone call as the exchange knows it: its dialog, its sockets, and the shard that talks.

inbound   INVITE ─► admitted ─► offer read ─► api: whose? ─► 180 ─► 200 ─► a shard takes it ─┐
outbound  Dial ─► INVITE ─► 180 … ─► 200 ─► answer read ────────────► a shard takes it ─┤
                              └─ refused: the api is told why                              │
                      over ◄── BYE, or the agent's end ◄── hold, new address, keys ◄──┘
"""

import asyncio
import contextlib
import logging
import random
import re
import socket
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import unquote

from pipelines.contract.phones import SipTrunk
from worker.exchange import sdp, sip
from worker.exchange.dialogs import Dialogs, Kept
from worker.exchange.frames import Changed, FromExchange, Key, Over, Placed, Take
from worker.exchange.ports import Ports
from worker.lines.rtp.media import Media, OurDirection

logger = logging.getLogger(__name__)

_SIGNAL = re.compile(rb"Signal\s*=\s*([0-9*#A-D])")


MOST_NATIONAL_DIGITS = 10
"""A number of more digits, and no zero before them, has its country code."""
ELSEWHERE = "192.0.2.1"
"""Nobody's address (RFC 5737), and on the way that most take."""
FORGOTTEN = (408, 481)
"""What a request inside of a call is answered with that the other side knows nothing of any more."""


class Talker(Protocol):
    """A shard, as a call knows it."""

    def tell(self, frame: FromExchange, sockets: tuple[socket.socket, ...] = ()) -> None:
        """Tell it something of one of its calls."""


@dataclass
class PhoneCall:
    """One call. Whoever makes it runs `talk` until it is over."""

    call_id: str
    dialog: sip.Dialog
    trunk: SipTrunk
    sockets: tuple[socket.socket, socket.socket]
    ours: sdp.Ours
    media: Media
    dialogs: Dialogs
    is_outbound: bool = False
    apart: str = ""
    """Only calls with the same word may share its shard; empty: any that have none."""
    talker: Talker | None = None
    is_forwarded: bool = False
    """No agent has a part in it: it is put through to somebody else."""
    number: str = ""
    """Which number was called, of one that may wait."""
    waits_since: float = 0.0
    """When it entered the queue for a line (`time.time()`); 0: it does not wait."""
    place: int = 0
    """In that queue; 0: it has a line."""
    taken: int = 0
    """How many shards have had it."""
    ended: sip.Ended | None = None
    is_transferring: bool = False
    is_overheard: bool = False
    """What is said is kept once it is put through."""
    is_leg: bool = False
    """Somebody who was called for another call's other side."""
    bridged_with: str = ""
    bridged_until: float = 0.0
    wish: OurDirection = "sendrecv"
    """What our side wants of the sound (`exchange.holds`); `media.ours` is what was agreed on."""
    agreeing: asyncio.Lock = field(default_factory=asyncio.Lock)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    _notified: "asyncio.Queue[sip.Notified]" = field(default_factory=lambda: asyncio.Queue(16))

    @property
    def is_over(self) -> bool:
        """Its dialog has ended."""
        return self.over.is_set() or self.dialog.is_over

    # ── who talks ────────────────────────────────────────────────────────────────────────────────
    def hand_to(self, talker: Talker, attempt: int = 0) -> None:
        """Let a shard talk; the sockets go along, what came meanwhile waits in them."""
        self.taken += 1
        self.talker = talker
        talker.tell(
            Take(
                call_id=self.call_id,
                job_id=f"phone-{self.call_id}-{attempt or self.taken}",
                media=self.media,
                attempt=attempt,
                is_ours=self.is_outbound,
                wish=self.wish,
                place=self.place,
            ),
            self.sockets,
        )
        self.keep()

    def keep(self) -> None:
        """Write down what another exchange needs to go on with it."""
        if not self.dialog.is_answered:
            return  # that somebody calls is written down already (`Dialogs.coming`)
        try:
            snapshot = self.dialog.snapshot()
        except sip.SipError:
            return  # over
        self.dialogs.keep(
            Kept(
                call_id=self.call_id,
                trunk_id=self.trunk.trunk_id,
                is_outbound=self.is_outbound,
                snapshot=snapshot,
                media=self.media,
                address=self.ours.address,
                session_id=self.ours.session_id,
                version=self.ours.version,
                codec=self.media.codec,
                taken=self.taken,
                is_leg=self.is_leg,
                bridged_with=self.bridged_with,
                bridged_until=self.bridged_until,
                wish=self.wish,
                apart=self.apart,
                is_forwarded=self.is_forwarded,
                is_overheard=self.is_overheard,
                number=self.number,
                waits_since=self.waits_since,
            )
        )

    # ── what happens once it is answered ─────────────────────────────────────────────────────────
    async def talk(self) -> sip.Ended | None:
        """Follow the dialog until it is over."""
        async for event in self.dialog.events():
            await self.happened(event)
        return self.ended

    async def happened(self, event: sip.Event) -> None:
        """Something happened in the dialog."""
        match event:
            case sip.Confirmed():
                self.keep()
            case sip.Offer():
                self._offered(event)
            case sip.Info():
                event.accept(content_type="")
                if (found := _SIGNAL.search(event.body[:200])) is not None:
                    self._tell(Key(call_id=self.call_id, key=found[1].decode()))
            case sip.Referred():
                event.refuse(603)  # we are not told by the other side whom to talk to
            case sip.Notified():
                with contextlib.suppress(asyncio.QueueFull):
                    self._notified.put_nowait(event)
            case sip.Ended():
                self.ended = event
                self.over.set()
                is_hung_up = event.by in ("far", "us") and event.code not in FORGOTTEN
                cause = "user_hangup" if is_hung_up else "line_lost"
                detail = "" if is_hung_up else f"sip_{event.code}: {event.reason}"[:200]
                self._tell(Over(call_id=self.call_id, cause=cause, detail=detail))
                self.close()

    def _offered(self, request: sip.Offer) -> None:
        self.ours = self.ours.next()
        if not request.body:
            request.accept(body=self.ours.offer_again(self.media, self.wish))
            return
        try:
            offer = sdp.read(request.body)
            sdp.check_address(offer.remote, self.media.remote[0], self.ours.sockets)
            answer, media = self.ours.answer(offer, keep=self.media.codec, direction=self.wish)
        except (sdp.BadSdp, sdp.NoCodec, sdp.ForbiddenAddress):
            request.refuse(488)
            return
        request.accept(body=answer)
        self.agreed_on(media)

    def agreed_on(self, media: Media) -> None:
        """Both sides agreed on something else."""
        self.media = media
        self._tell(Changed(call_id=self.call_id, media=media))
        self.keep()

    async def refer(self, target: str) -> tuple[bool, str]:
        """Ask the carrier to hand the other side on; whether it refused to, and why it was not done.

        Once it is done, nobody of ours is needed any more: whoever asked hangs up.
        """
        try:
            reply = await self.dialog.refer(target)
            if not reply.is_from_wire:
                return False, "The carrier does not answer"
            if not reply.is_success:
                return True, f"The carrier refused the transfer: {reply.code} {reply.reason}"[:200]
            while (told := await self._notified.get()).code is None or told.code < 200:
                pass
        except sip.SipError as error:
            return False, str(error)
        return False, "" if told.code < 300 else f"Nobody could be reached there: {told.code}"

    def _tell(self, frame: FromExchange) -> None:
        if self.talker is not None:
            self.talker.tell(frame)

    def tell_place(self) -> None:
        """Have the caller told where they stand in the queue now."""
        self._tell(Placed(call_id=self.call_id, place=self.place))

    async def hang_up(self) -> None:
        """End it. Whoever was never answered is told that nobody could, as any carrier does."""
        if not self.dialog.is_answered and self.dialog.direction == "inbound":
            self.dialog.reject(486)
        else:
            await self.dialog.hang_up()

    def close(self) -> None:
        """The call is over: give its sockets back, and forget it."""
        for one in self.sockets:
            one.close()
        self.dialogs.forget(self.call_id)


def opened(ports: Ports, host: str) -> tuple[tuple[socket.socket, socket.socket], sdp.Ours]:
    """Sockets for a call and our side of its description. Raises `Unavailable`."""
    sockets = ports.open()
    address = (host, sockets[0].getsockname()[1])
    return sockets, sdp.Ours(address, random.getrandbits(31))


def local_host(towards: str, fallback: str) -> str:
    """The address of this machine that another one sees, by what the routes say; nothing is sent.

    `towards` is a number, or empty for most of the world: a name would be looked up, and everybody waits.
    """
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((towards or ELSEWHERE, 9))
        return str(probe.getsockname()[0])
    return fallback


def number_in(uri: str) -> str:
    """Whom a URI means: the user, without parameters. Bounded; whatever is in it, nothing is raised."""
    found = re.search(r"sips?:([^@;>\s]{1,100})@|tel:([^;>\s]{1,100})", uri[:500])
    return unquote(found[1] or found[2]) if found is not None else ""


def name_in(header: str) -> str:
    """The display name of a From header."""
    return header[:300].partition("<")[0].strip().strip('"')[:200] if "<" in header else ""


def international(number: str) -> str:
    """As it was dialled; one that is all digits and has a country code may come without its plus.

    No country code begins with a zero: what does is of a country that the api knows.
    """
    if not number.isdigit() or len(number) <= MOST_NATIONAL_DIGITS:
        return number
    if number.startswith("00"):
        return f"+{number[2:]}"
    return number if number.startswith("0") else f"+{number}"
