"""A line that is RTP: sound straight into the session, on a clock of our own.

socket ──► latch ──► order ──► codec ──┐ 20 ms  ┌──► session ──► words, voice ──┐
                                       ├─ tick ─┤                               │
socket ◄── RTP ◄── codec ◄── keys ◄────┘        └◄── what is left of the voice ◄┘
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import Any, Protocol

from livekit.agents import Agent, AgentSession
from livekit.agents.voice.transcription import TranscriptSynchronizer

from pipelines.agent import SpokenAgent
from pipelines.agent_config import TransferTarget
from pipelines.contract.actions import HoldSound
from pipelines.contract.events import MediaQuality
from pipelines.noise import take_noise_out
from pipelines.tools.call_control import Ability
from worker.lines.captions import in_step
from worker.lines.heard import HeardInput, HeardOutput
from worker.lines.keys import Keys
from worker.lines.line import AudioTap, Leg, LineClosed
from worker.lines.listening import ListeningRooms
from worker.lines.phone_sound import PhoneSound
from worker.lines.queueing import Place
from worker.lines.rtp.answering import AnsweredBy
from worker.lines.rtp.clock import Clock
from worker.lines.rtp.early import EarlyMedia
from worker.lines.rtp.media import FRAME_SECONDS, Media, OurDirection
from worker.lines.rtp.reports import EVERY_SECONDS
from worker.lines.rtp.ringback import Ringback
from worker.lines.rtp.sockets import Sockets
from worker.lines.starting import started

logger = logging.getLogger(__name__)

UNHEARD_SECONDS = 6.0
"""Nothing at all heard for so long from the beginning is worth a word in the call's record."""
NO_MEDIA_SECONDS = 20.0
LISTENS_SECONDS = 3.0
"""A machine that has said all and never beeps."""
AFTER_BEEP_SECONDS = 0.2
_REPORT_TICKS = round(EVERY_SECONDS / FRAME_SECONDS)
_LOOK_TICKS = round(1 / FRAME_SECONDS)


class Signalling(Protocol):
    """What SIP does for a line."""

    is_overheard: bool
    """What is said once the other side is put through is kept."""

    @property
    def can_transfer(self) -> bool:
        """Whether the other side could be handed on now."""

    async def ended(self) -> LineClosed:
        """Return when the other side has hung up."""

    async def hold(self, wish: OurDirection) -> str:
        """Have the other side agree to wait, or to go on: within a moment, and why it did not."""

    async def transfer(self, target: TransferTarget, seconds: float) -> bool:
        """Hand the other side on; whether their sound passes us. Raises `CannotDo`; the line stays then."""

    async def consult(self, target: TransferTarget) -> "PhoneLine":
        """Call somebody for the other side, and talk to them first. Raises `CannotDo`."""

    async def put_through(self, seconds: float) -> None:
        """Let the other side and whoever was called hear each other. Raises `CannotDo`."""

    async def hang_up(self) -> None:
        """End the call. Twice does no harm."""


class PhoneLine:
    """A telephone, answered already. Its sound flows from the moment this is made."""

    def __init__(
        self,
        signalling: Signalling,
        media: Media,
        sockets: Sockets,
        *,
        is_ours: bool = False,
        rooms: ListeningRooms | None = None,
        wish: OurDirection = "sendrecv",
        place: int = 0,
        clock: Clock | None = None,
    ) -> None:
        """`wish` is how another process has left it: on hold, or not. More than 0 is a `place` in the queue.
        `clock` may be of many lines.
        """
        self._signalling, self._sockets = signalling, sockets
        self._loop = asyncio.get_running_loop()
        self._keys = Keys()
        self.is_ours = is_ours
        self.warn: Callable[[str, str], None] = lambda code, message: None
        self._sound = PhoneSound(media, sockets, self._keys.pressed, is_ours=is_ours, rooms=rooms)
        self.listeners = self._sound.listeners
        self.on_held: Callable[[bool], None] = lambda is_on: None
        self.place = Place(place)
        held: HoldSound | None = "music" if place else None
        self._sound.wait({"sendrecv": held, "sendonly": "music", "inactive": "none"}[wish])
        self._captions: TranscriptSynchronizer | None = None
        self._closed: asyncio.Future[LineClosed] = self._loop.create_future()
        self._ticks = 0
        self._is_hung_up = self._has_warned = False
        self._clock = clock or Clock()
        self._clock.join(self._tick)
        self._ending = asyncio.create_task(self._follow(), name="the far side's end")

    async def start(self, session: AgentSession[Any], agent: Agent, tap: AudioTap | None) -> None:
        """Put the session on the line."""
        self._sound.answering, self._sound.screened, self.listeners.tap = None, None, tap
        if self._sound.media.is_held_by_them:
            self.on_held(True)
        if isinstance(agent, SpokenAgent) and agent.background is not None:
            self._sound.talk_over(agent.background)
        self._captions = in_step(self._sound.output)
        audio, microphone = self._captions.audio_output, self._sound.input
        session.input.audio = HeardInput(microphone, tap) if tap is not None else microphone
        session.output.audio = HeardOutput(audio, tap) if tap is not None else audio
        session.output.transcription = self._captions.text_output
        take_noise_out(session, agent)
        await started(session, agent)

    async def answered_by(self, timeout_seconds: float, tap: AudioTap | None = None) -> AnsweredBy:
        """A person or a machine."""
        self._sound.screened = tap
        until = self._loop.time() + timeout_seconds
        while (heard := self._sound.answering) is not None and self._loop.time() < until:
            if heard.answered_by is not None:
                return heard.answered_by
            await asyncio.sleep(FRAME_SECONDS)
        return "nobody"

    async def beep(self, timeout_seconds: float) -> bool:
        """Return once a machine listens."""
        until = self._loop.time() + timeout_seconds
        while (heard := self._sound.answering) is not None and self._loop.time() < until:
            is_silent = heard.quiet_seconds >= LISTENS_SECONDS
            if is_silent or (heard.has_beeped and heard.quiet_seconds >= AFTER_BEEP_SECONDS):
                return True
            await asyncio.sleep(FRAME_SECONDS)
        return False

    async def closed(self) -> LineClosed:
        """Return when the other side has hung up, or nothing comes of it any more."""
        return await asyncio.shield(self._closed)

    async def tell(self, message: dict[str, Any]) -> None:
        """A telephone shows nothing."""

    @property
    def abilities(self) -> frozenset[Ability]:
        """Keys go both ways; whether the other side can be handed on, SIP knows."""
        can: tuple[Ability, ...] = ("hold", "send_digits", "collect_digits")
        return frozenset((*can, "transfer") if self._signalling.can_transfer else can)

    async def digit(self) -> str:
        """The next key that the other side presses."""
        return await self._keys.next()

    async def send_digits(self, digits: str) -> None:
        """Press keys; returns when the last was pressed."""
        self._sound.stream.press(digits)
        while self._sound.stream.is_pressing and not self._is_hung_up:  # noqa: ASYNC110 - it is a clock's work
            await asyncio.sleep(FRAME_SECONDS)

    async def hold(self, *, is_on: bool, sound: HoldSound = "music") -> None:
        """Play music in the place of the voice and hear nothing, whether or not the other side agrees."""
        if is_on:
            self._sound.wait(sound)
            await self._signalling.hold("inactive" if sound == "none" else "sendonly")
        elif self._sound.held is not None:
            # It is silent until it has agreed: music, meanwhile, is better than a voice that hears nobody.
            await self._signalling.hold("sendrecv")
            self._sound.wait(None)

    async def announce(self, pcm: bytes) -> None:
        """Say this in the place of the music."""
        await self._sound.announcement.say(pcm)

    def go_on(self) -> None:
        """Whoever waited in the queue talks with somebody from now on."""
        self._sound.stream.listen()
        self._sound.wait(None)

    async def transfer(self, target: TransferTarget, *, seconds: float) -> bool:
        """Hand the other side on."""
        try:
            is_bridged = await self._signalling.transfer(target, seconds)
        finally:
            self.rings(None)
        # Somebody else has the sound from now on: what we still sent would be heard in between.
        self._sockets.close()
        return is_bridged

    async def consult(self, target: TransferTarget) -> "PhoneLine":
        """Call somebody for the other side, and talk to them first."""
        try:
            return await self._signalling.consult(target)
        finally:
            self.rings(None)

    def join(self, leg: Leg) -> None:
        """Let both other sides hear each other, and the agent of each line as before."""
        if isinstance(leg, PhoneLine):
            self._sound.join(leg._sound)

    async def put_through(self, leg: Leg, *, seconds: float) -> None:
        """Let the other side and whoever was called hear each other."""
        await self._signalling.put_through(seconds)
        self._sockets.close()
        await leg.hang_up(for_everybody=False)

    def rings(self, sound: Ringback | EarlyMedia | None) -> None:
        """A telephone rings for the other side, who hears this; None: it does not ring any more."""
        self._sound.rings(sound)

    @property
    def is_overheard(self) -> bool:
        """What the other side says once it is put through is kept."""
        return self._signalling.is_overheard

    @is_overheard.setter
    def is_overheard(self, is_overheard: bool) -> None:
        self._signalling.is_overheard = is_overheard

    @property
    def rate(self) -> int:
        """Of its sound, both ways."""
        return self._sound.stream.rate

    def change(self, media: Media) -> None:
        """Both sides agreed on something else: hold, or another address."""
        if self._sound.change(media):
            self.on_held(media.is_held_by_them)

    def pressed(self, key: str) -> None:
        """The other side pressed a key, and said so by SIP."""
        self._keys.pressed(key)

    def measured(self) -> MediaQuality | None:
        """How well the two sides could hear each other."""
        return self._sound.stream.measured()

    async def hang_up(self, *, for_everybody: bool = True) -> None:
        """Stop the sound, and end the call unless it is only left."""
        if self._is_hung_up:
            return
        self._is_hung_up = True
        self._clock.leave(self._tick)
        self._ending.cancel()
        await asyncio.gather(self._ending, return_exceptions=True)
        if self._captions is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._captions.aclose(), 2.0)
        await self._sound.aclose()
        self._sockets.close()
        if for_everybody:
            await self._signalling.hang_up()

    # ── the clock ────────────────────────────────────────────────────────────────────────────────
    def _tick(self, behind: int) -> None:
        try:
            self._sockets.read()
            self._sound.hear(behind)
            self._sound.say(behind)
            self._ticks += 1
            if self._ticks % _REPORT_TICKS == 0:
                self._sound.stream.report()
            if self._ticks % _LOOK_TICKS == 0:
                self._look()
        except Exception:
            logger.exception("a tick of a phone line failed")

    def _look(self) -> None:
        silent = self._sound.stream.silent_seconds
        if self._sound.media.is_on_hold or self.place.at:  # many send nothing before they are answered
            return
        if not self._sound.stream.has_heard and silent >= UNHEARD_SECONDS and not self._has_warned:
            self._has_warned = True
            self.warn("one_way_audio", "No sound of the other side arrives: see the firewall and NAT page.")
        if silent >= NO_MEDIA_SECONDS:
            self._close(LineClosed("line_lost", f"no media for {NO_MEDIA_SECONDS:.0f} s"))

    async def _follow(self) -> None:
        self._close(await self._signalling.ended())

    def _close(self, closed: LineClosed) -> None:
        if not self._closed.done():
            self._closed.set_result(closed)
