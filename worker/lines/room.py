"""A line that is a LiveKit room."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from livekit import rtc
from livekit.agents import Agent, AgentSession, JobContext
from livekit.agents.llm import ChatMessage
from livekit.agents.voice.room_io import (
    AudioInputOptions,
    RoomIO,
    RoomOptions,
    TextInputEvent,
    TextOutputOptions,
)

from pipelines.agent import SpokenAgent
from pipelines.agent_config import TransferTarget
from pipelines.contract.actions import HoldSound
from pipelines.contract.events import LIVE_TOPIC, MediaQuality
from pipelines.noise import take_noise_out
from pipelines.tools.call_control import Ability, CannotDo
from worker.conversation import TYPED
from worker.lines.heard import HeardInput, HeardOutput
from worker.lines.keys import KEY_CODES, Keys
from worker.lines.line import AudioTap, LineClosed, NobodyCame
from worker.lines.listening import ListeningRooms
from worker.lines.playout import FRAME_SECONDS, Playout
from worker.lines.room_listening import RoomListeners
from worker.lines.starting import started

logger = logging.getLogger(__name__)

NOBODY_SECONDS = 20.0
BACK_SECONDS = 12.0
"""A browser that lost its network and reconnects is back within this time, or gone."""
TELL_SECONDS = 2.0
MAX_TYPED = 2_000
VOICE_RATE = 24_000

_LEFT_FOR_GOOD = frozenset(
    {
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
        rtc.DisconnectReason.ROOM_CLOSED,
        rtc.DisconnectReason.USER_REJECTED,
    }
)


Transfer = Callable[[str, str, TransferTarget], Awaitable[None]]
"""Hands a telephone on: the room, who is in it, and to whom. Raises `CannotDo`."""


class RoomLine:
    """The room of a LiveKit job. `connected` is the task that joins it; it may still be under way."""

    def __init__(
        self,
        context: JobContext,
        connected: "asyncio.Task[None]",
        transfer: Transfer | None,
        rooms: ListeningRooms | None,
        identity: str,
    ) -> None:
        self._context = context
        self._room = context.room
        self._connected = connected
        self._identity, self._transfer = identity, transfer
        self._io: RoomIO | None = None
        self._playout: Playout | None = None
        self._came = asyncio.Event()
        self._closed: asyncio.Future[LineClosed] = asyncio.get_running_loop().create_future()
        self._waiting_for_return: asyncio.TimerHandle | None = None
        self._is_hung_up = self._is_put_out = False
        self._room.on("participant_connected", self._participant_came)
        self._room.on("participant_disconnected", self._participant_left)
        self._room.on("disconnected", self._room_lost)
        self.warn: Callable[[str, str], None] = lambda code, message: None
        self.on_held: Callable[[bool], None] = lambda is_on: None
        self._held: HoldSound | None = None
        self.listeners = RoomListeners(rooms, VOICE_RATE, FRAME_SECONDS, self._microphone, self._listened_to)
        self._keys = Keys()
        self._room.on("sip_dtmf_received", lambda event: self._keys.pressed(event.digit))

    async def start(self, session: AgentSession[Any], agent: Agent, tap: AudioTap | None) -> None:
        """Wait for the participant and start the session on the room's sound."""
        options = RoomOptions(
            # The detector and the recognisers take 16 kHz: one resampling less for each of them.
            audio_input=AudioInputOptions(
                sample_rate=16_000,
                # One window of theirs: what is said waits for nothing to be made whole.
                frame_size_ms=32,
                noise_cancellation=None,
                auto_gain_control=False,
                pre_connect_audio=True,
            ),
            # Ours, below: LiveKit's own keeps a queue, and encodes silence for as long as the call lasts.
            audio_output=False,
            text_output=TextOutputOptions(sync_transcription=True),
            # Who is gone, and when, is decided here: a lost network is not a hang-up.
            close_on_disconnect=False,
        )
        # It asks who we are in the room, so the room must know.
        await self._connected
        source = rtc.AudioSource(VOICE_RATE, 1, queue_size_ms=0)
        self._playout = Playout(
            source.capture_frame,
            VOICE_RATE,
            asyncio.ensure_future(self._publish(source)),
            agent.background if isinstance(agent, SpokenAgent) else None,
            self.listeners,
        )
        self._playout.begin()
        self._playout.wait(self._held)
        # Where there is one already, RoomIO keeps captions in step with it.
        session.output.audio = self._playout
        self._io = RoomIO(session, self._room, participant=self._identity or None, options=options)
        await self._io.start()
        self._io.register_text_input(_typed)
        if tap is not None and session.input.audio is not None and session.output.audio is not None:
            self.listeners.tap = tap
            session.input.audio = HeardInput(session.input.audio, tap)
            session.output.audio = HeardOutput(session.output.audio, tap)
        take_noise_out(session, agent)
        for participant in self._room.remote_participants.values():
            self._participant_came(participant)
        try:
            await asyncio.wait_for(self._came.wait(), NOBODY_SECONDS)
        except TimeoutError:
            raise NobodyCame from None
        await started(session, agent)

    async def closed(self) -> LineClosed:
        """Return when the participant has left for good, or has been away for too long."""
        return await asyncio.shield(self._closed)

    async def tell(self, message: dict[str, Any]) -> None:
        """Send a message to the room's pages. Never raises: a page is not the call."""
        try:
            async with asyncio.timeout(TELL_SECONDS):
                await self._connected
                await self._room.local_participant.publish_data(
                    json.dumps(message), reliable=True, topic=LIVE_TOPIC
                )
        except Exception as error:  # noqa: BLE001 - whatever it is, the call goes on
            logger.debug("the page was not told", extra={"error": type(error).__name__})

    @property
    def abilities(self) -> frozenset[Ability]:
        """Keys come from phones and from pages that send them; only a telephone can be handed on."""
        can: tuple[Ability, ...] = ("hold", "send_digits", "collect_digits")
        return frozenset((*can, "transfer") if self._telephone() else can)

    async def digit(self) -> str:
        """The next key that somebody in the room presses."""
        return await self._keys.next()

    async def send_digits(self, digits: str) -> None:
        """Send tones, one after the other as a menu hears them."""
        for digit in digits:
            if (code := KEY_CODES.get(digit)) is not None:
                await self._room.local_participant.publish_dtmf(code=code, digit=digit)
            await asyncio.sleep(0.5 if digit == "w" else 0.3)

    async def hold(self, *, is_on: bool, sound: HoldSound = "music") -> None:
        """Let music be heard in the place of the voice, and tell the page."""
        if (wanted := sound if is_on else None) == self._held:
            return
        self._held = wanted
        if self._playout is not None:
            self._playout.wait(wanted)
        await self.tell({"kind": "hold", "is_on": is_on})

    async def transfer(self, target: TransferTarget, *, seconds: float) -> bool:
        """Hand a telephone on; a page stays."""
        if (identity := self._telephone()) is None or self._transfer is None:
            raise CannotDo("Nobody can be transferred out of this room")
        await self._transfer(self._room.name, identity, target)
        return False

    def measured(self) -> MediaQuality | None:
        """LiveKit's server measures rooms."""
        return None

    async def hang_up(self, *, for_everybody: bool = True) -> None:
        """Delete the room, which puts everybody out of it; unless we were put out of it, or only leave."""
        if self._is_hung_up:
            return
        self._is_hung_up = True
        if self._waiting_for_return is not None:
            self._waiting_for_return.cancel()
        if self._io is not None:
            with contextlib.suppress(Exception):
                await asyncio.wait_for(self._io.aclose(), TELL_SECONDS)
        await self.listeners.aclose()
        if self._playout is not None:
            await self._playout.aclose()
        if for_everybody and not self._is_put_out:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._context.delete_room(), 5.0)

    async def _publish(self, source: rtc.AudioSource) -> None:
        """Offer the agent's voice; returns once somebody listens to it."""
        track = rtc.LocalAudioTrack.create_audio_track("agent", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        publication = await self._room.local_participant.publish_track(track, options)
        await publication.wait_for_subscription()

    def _listened_to(self) -> None:
        if self._playout is not None:
            self._playout.attend()

    def _microphone(self) -> rtc.Track | None:
        """Of the other side, where it is open."""
        people = self._room.remote_participants.values() if self._room.isconnected() else ()
        offered = (
            one for person in people if self._is_ours(person) for one in person.track_publications.values()
        )
        microphone = rtc.TrackSource.SOURCE_MICROPHONE
        return next(
            (one.track for one in offered if one.source == microphone and one.track is not None), None
        )

    def _telephone(self) -> str | None:
        """Identity of the other side, where that is a telephone."""
        people = self._room.remote_participants.values() if self._room.isconnected() else ()
        sip = rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        return next((one.identity for one in people if self._is_ours(one) and one.kind == sip), None)

    def _is_ours(self, participant: rtc.RemoteParticipant) -> bool:
        if self._identity:
            return participant.identity == self._identity
        return participant.kind != rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

    def _participant_came(self, participant: rtc.RemoteParticipant) -> None:
        if self._is_ours(participant):
            self._came.set()
            if self._waiting_for_return is not None:
                self._waiting_for_return.cancel()
                self._waiting_for_return = None

    def _participant_left(self, participant: rtc.RemoteParticipant) -> None:
        if not self._is_ours(participant):
            return
        if participant.disconnect_reason in _LEFT_FOR_GOOD:
            self._close(LineClosed("user_hangup"))
        elif self._waiting_for_return is None:
            self._waiting_for_return = asyncio.get_running_loop().call_later(
                BACK_SECONDS, self._close, LineClosed("line_lost", "the participant did not come back")
            )

    def _room_lost(self, reason: object = None) -> None:
        # Another attempt at the call has the room then.
        self._is_put_out = reason == rtc.DisconnectReason.PARTICIPANT_REMOVED
        self._close(LineClosed("line_lost", "the room is gone"))

    def _close(self, closed: LineClosed) -> None:
        if not self._closed.done():
            self._closed.set_result(closed)


async def _typed(session: AgentSession[Any], event: TextInputEvent) -> None:
    if text := event.text.strip()[:MAX_TYPED]:
        await session.interrupt()
        session.generate_reply(user_input=ChatMessage(role="user", content=[text], extra={TYPED: True}))
