"""A call's sound in a room of its own, for as long as somebody listens there, or has taken the call over.

line  ── caller ─────────────► track "caller" ──┐
agent ── what is played ─────► track "agent" ───┴─► those who listen
line  ◄── voice() ◄── kept ◄── the microphone of whoever has the call
words ◄── recogniser ◄──────── the microphone of whoever whispers
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Literal

from livekit import rtc

from pipelines.tools.call_control import CannotDo
from worker.lines.line import Left
from worker.lines.listening_signs import BACK_SECONDS, Signs
from worker.lines.listening_tracks import SentTrack, packets
from worker.lines.rtp.media import FRAME_SECONDS

MICROPHONE_SECONDS = 3.0
"""For a microphone to be there of which we were told that it is open."""
EMPTY_SECONDS = 20.0
"""Nobody is in the room: it is left."""
UNHEARD_SECONDS = 2.0
"""No packet of an open microphone, of which one comes every 0.4 s also in silence: its network is gone."""
FIRST_KEPT_SECONDS, MOST_KEPT_SECONDS = 0.04, 0.24
"""Of a microphone: what is waited for before the first is sent on, and what may wait."""

_LEFT_FOR_GOOD = frozenset(
    {
        rtc.DisconnectReason.CLIENT_INITIATED,
        rtc.DisconnectReason.PARTICIPANT_REMOVED,
        rtc.DisconnectReason.ROOM_DELETED,
        rtc.DisconnectReason.ROOM_CLOSED,
        rtc.DisconnectReason.USER_REJECTED,
    }
)


Sides = tuple[Literal["caller"], Literal["agent", "person"]]
WITH_AGENT: Sides = ("caller", "agent")
WITH_PERSON: Sides = ("caller", "person")
"""They were put through, and no agent is in the call."""


class Listening:
    """One room of one line."""

    def __init__(
        self,
        rate: int,
        frame_seconds: float,
        on_left: Callable[[Left], None],
        sides: Sides = WITH_AGENT,
    ) -> None:
        """`frame_seconds` is how much of a voice the line takes at a time; `sides` name the tracks."""
        self._sides = sides
        self._rate, self._frame_seconds, self._on_left = rate, frame_seconds, on_left
        self._first_kept = round(FIRST_KEPT_SECONDS / frame_seconds)
        self._loop = asyncio.get_running_loop()
        self._room = rtc.Room()
        self._tracks: dict[str, SentTrack] = {}
        self._talker = ""
        """Identity of whoever has the call; empty: the agent has it."""
        self._voice: deque[bytes] = deque(maxlen=round(MOST_KEPT_SECONDS / frame_seconds))
        self._is_flowing = False
        self._hearing: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._empty_since: asyncio.TimerHandle | None = None
        self._signs = Signs(self._give_up)
        self._leaving: asyncio.Task[None] | None = None
        self.is_over = self.is_shaken = False
        """`is_shaken`: livekit-server is out of reach, for now."""

    async def join(self, url: str, token: str) -> None:
        """Enter the room and offer both sides."""
        self._room.on("participant_connected", lambda _: self._look())
        self._room.on("participant_disconnected", self._gone)
        self._room.on("connection_quality_changed", self._quality)
        self._room.on("data_received", self._signs.came)
        self._room.on("reconnecting", self._shaken)
        self._room.on("reconnected", self._steady)
        self._room.on("disconnected", lambda *_: self._lost())
        # Nobody's microphone is decoded before it is asked for.
        await self._room.connect(url, token, rtc.RoomOptions(auto_subscribe=False))
        for name in self._sides:
            self._tracks[name] = made = SentTrack(self._rate)
            track = rtc.LocalAudioTrack.create_audio_track(name, made.source)
            options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
            await self._room.local_participant.publish_track(track, options)
        self._look()

    @property
    def has_talker(self) -> bool:
        """Whether a person has the call."""
        return bool(self._talker)

    def caller(self, pcm: bytes) -> None:
        """The caller said this."""
        if (track := self._tracks.get("caller")) is not None:
            track.push(pcm)

    def agent(self, pcm: bytes) -> None:
        """The caller is sent this of the agent."""
        if (track := self._tracks.get("agent")) is not None:
            track.push(pcm)

    def person(self, pcm: bytes) -> None:
        """Whoever the caller was put through to said this."""
        if (track := self._tracks.get("person")) is not None:
            track.push(pcm)

    def voice(self) -> bytes | None:
        """The next frame of whoever has the call; None where nothing has come."""
        if not self._is_flowing and len(self._voice) < self._first_kept:
            return None
        self._is_flowing = bool(self._voice)
        return self._voice.popleft() if self._voice else None

    async def hand_to(self, identity: str) -> None:
        """Let this person talk in the agent's place. Raises `CannotDo` without a microphone of theirs."""
        if self._talker == identity:
            return
        if self._talker:
            raise CannotDo("Somebody else has this call")
        stream = await self.microphone(identity, self._rate)
        self._voice.clear()
        self._is_flowing = False
        self._talker = identity
        self._hearing = asyncio.create_task(self._hear(identity, stream), name="whoever has the call")
        self._watching = asyncio.create_task(self._watch(identity), name="whether they are still there")

    async def take_back(self) -> None:
        """Nobody talks in the agent's place any more."""
        self._talker = ""
        self._signs.forget()
        tasks = [task for task in (self._hearing, self._watching) if task is not None]
        self._hearing = self._watching = None
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._voice.clear()

    async def microphone(self, identity: str, rate: int) -> rtc.AudioStream:
        """What somebody in the room says, int16 mono at `rate`. Raises `CannotDo`."""
        try:
            async with asyncio.timeout(MICROPHONE_SECONDS):
                track = await self._track_of(identity)
        except TimeoutError:
            if identity not in self._room.remote_participants:
                raise CannotDo("They are not in the room: join it first") from None
            raise CannotDo("They have no open microphone in the room") from None
        frame_ms = round(self._frame_seconds * 1000)
        return rtc.AudioStream(
            track, sample_rate=rate, num_channels=1, frame_size_ms=frame_ms, capacity=1000 // frame_ms
        )

    async def aclose(self) -> None:
        """Leave. Twice does no harm."""
        if self.is_over:
            return
        self.is_over = True
        if self._empty_since is not None:
            self._empty_since.cancel()
        await self.take_back()
        for track in self._tracks.values():
            await track.aclose()
        self._tracks.clear()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._room.disconnect(), 2.0)

    # ── who is there ─────────────────────────────────────────────────────────────────────────────
    def _look(self) -> None:
        """Leave after a while, if nobody is there."""
        if self._room.remote_participants:
            if self._empty_since is not None:
                self._empty_since.cancel()
                self._empty_since = None
        elif self._empty_since is None and not self.is_over:
            self._empty_since = self._loop.call_later(EMPTY_SECONDS, self._leave)

    def _gone(self, person: rtc.RemoteParticipant) -> None:
        self._signs.left(person.identity)
        if person.identity != self._talker:
            self._on_left(Left(person.identity, had_the_call=False))
        elif person.disconnect_reason in _LEFT_FOR_GOOD:
            self._give_up()
        else:
            self._signs.miss("network")
        self._look()

    def _quality(self, person: rtc.Participant, quality: object) -> None:
        if person.identity == self._talker and self._talker:
            (self._signs.miss if quality == rtc.ConnectionQuality.QUALITY_LOST else self._signs.meet)(
                "network"
            )

    def _shaken(self) -> None:
        self.is_shaken = True
        if self._talker:
            self._signs.miss("ours")

    def _steady(self) -> None:
        self.is_shaken = False
        if self._talker in self._room.remote_participants:
            self._signs.meet("ours")

    def _give_up(self) -> None:
        """Whoever has the call does not come back to it."""
        if not self._talker:
            return
        identity, self._talker = self._talker, ""
        self._signs.forget()
        self._on_left(Left(identity, had_the_call=True))

    def _lost(self) -> None:
        self._give_up()
        self._leave()

    def _leave(self) -> None:
        if not self.is_over and self._leaving is None:
            self._leaving = asyncio.ensure_future(self.aclose())

    async def _watch(self, identity: str) -> None:
        """The server believes for half a minute in somebody whose browser is gone. Their packets are counted,
        and, since a muted microphone has none, a page says that it is there.
        """
        before, heard_at = -1, self._loop.time()
        while self._talker == identity:
            await asyncio.sleep(UNHEARD_SECONDS / 4)
            self._signs.look_for(identity)
            publication = self._offered(identity)
            # A muted microphone sends nothing. Of who never says that they are there, the server does.
            if publication is None or publication.track is None or publication.muted:
                heard_at = self._loop.time()
                self._signs.meet("packets")
                continue
            if (count := await packets(publication.track)) is None:
                continue
            if count != before:
                before, heard_at = count, self._loop.time()
                self._signs.meet("packets")
            elif self._loop.time() - heard_at >= UNHEARD_SECONDS:
                self._signs.miss("packets", BACK_SECONDS - UNHEARD_SECONDS)

    # ── microphones ──────────────────────────────────────────────────────────────────────────────
    async def _track_of(self, identity: str) -> rtc.Track:
        # Whoever has just joined may say so to us before the server does.
        while True:
            if (publication := self._offered(identity)) is not None:
                if publication.track is not None:
                    return publication.track
                publication.set_subscribed(True)
            await asyncio.sleep(FRAME_SECONDS)

    def _offered(self, identity: str) -> rtc.RemoteTrackPublication | None:
        person = self._room.remote_participants.get(identity)
        offered = person.track_publications.values() if person is not None else ()
        return next((one for one in offered if one.source == rtc.TrackSource.SOURCE_MICROPHONE), None)

    async def _hear(self, identity: str, stream: rtc.AudioStream | None) -> None:
        """Keep what they say; also of another track, when they come back with one."""
        while self._talker == identity:
            if stream is not None:
                try:
                    async for event in stream:
                        self._voice.append(bytes(event.frame.data))
                finally:
                    await stream.aclose()
            if self._talker == identity:
                self._signs.miss("track")
            stream = None
            with contextlib.suppress(CannotDo):
                stream = await self.microphone(identity, self._rate)
                self._signs.meet("network")
                self._signs.meet("track")
            await asyncio.sleep(FRAME_SECONDS)
