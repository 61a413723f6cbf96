"""Those who listen to a call, between the line's clock and the room where they are.

The room is joined when it is asked for, and left when nobody has been in it for a while: a call to which
nobody listens costs nothing.
"""

import asyncio
import datetime
import logging
import time
from collections.abc import Callable

from livekit import api, rtc

from pipelines.tools.call_control import CannotDo
from worker.lines.line import AudioTap, Left
from worker.lines.listening_room import WITH_AGENT, Listening, Sides
from worker.lines.rtp.media import FRAME_SECONDS
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

JOIN_SECONDS = 4.0
MOST_ROOMS = 8
"""Of one process: in LiveKit's SDK every room of a process costs every other one something."""
_IDENTITY = "line"


class ListeningRooms:
    """Joins rooms for the calls of one process."""

    def __init__(self, settings: WorkerSettings) -> None:
        self._settings = settings
        self._joined: set[Listening] = set()

    async def join(
        self,
        room_name: str,
        rate: int,
        frame_seconds: float,
        on_left: Callable[[Left], None],
        sides: Sides = WITH_AGENT,
    ) -> Listening:
        """Bring a line's sound, int16 mono at `rate`, into a room. Raises `CannotDo`."""
        self._joined = {one for one in self._joined if not one.is_over}
        if len(self._joined) >= MOST_ROOMS:
            raise CannotDo("Too many calls are being listened to here at once")
        listening = Listening(rate, frame_seconds, on_left, sides)
        self._joined.add(listening)
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                await listening.join(self._settings.livekit_url, self._token(room_name))
        except (rtc.ConnectError, TimeoutError, OSError, RuntimeError) as error:
            await listening.aclose()
            logger.warning("a room to listen in was not joined", extra={"error": type(error).__name__})
            raise CannotDo("livekit-server does not let us into a room") from None
        return listening

    def _token(self, room_name: str) -> str:
        token = api.AccessToken(self._settings.livekit_api_key, self._settings.livekit_api_secret)
        grants = api.VideoGrants(room_join=True, room=room_name, can_publish=True, can_subscribe=True)
        # Another attempt at the call puts out the one before, should that still be there.
        named = token.with_identity(_IDENTITY).with_name("Call").with_grants(grants)
        return named.with_ttl(datetime.timedelta(minutes=5)).to_jwt()


class LineListeners:
    """Those who listen to one line. Between its clock and a room, where there is one."""

    def __init__(
        self,
        rooms: ListeningRooms | None,
        rate: int,
        frame_seconds: float = FRAME_SECONDS,
        sides: Sides = WITH_AGENT,
    ) -> None:
        """`frame_seconds` is how much the line sends at a time; `sides` are what its two are called."""
        self._rooms, self._rate, self._frame_seconds, self._sides = rooms, rate, frame_seconds, sides
        self._silence = bytes(2 * round(rate * frame_seconds))
        self._listening: Listening | None = None
        self.on_left: Callable[[Left], None] = lambda left: None
        self.tap: AudioTap | None = None
        """Told of what is said while a person has the call; what the agent hears and says, others tell."""
        self.overheard: AudioTap | None = None
        """Told of the same, with silence where nothing has come of the person."""

    async def attend(self, room_name: str) -> None:
        """Let a room hear both sides. Raises `CannotDo`."""
        if (here := self._listening) is not None and not here.is_over:
            if here.has_talker or not here.is_shaken:
                return
            await here.aclose()  # a new connection shows at once whether there is a server
        if self._rooms is None:
            raise CannotDo("Nobody can listen to this line")
        self._listening = await self._rooms.join(
            room_name, self._rate, self._frame_seconds, self._somebody_left, self._sides
        )

    async def microphone(self, identity: str, rate: int) -> rtc.AudioStream:
        """What somebody there says. Raises `CannotDo`."""
        return await self._there().microphone(identity, rate)

    async def hand_to(self, identity: str) -> None:
        """Let somebody talk in the agent's place. Raises `CannotDo`."""
        await self._there().hand_to(identity)

    async def take_back(self) -> None:
        """Let the agent talk again."""
        if self._listening is not None:
            await self._listening.take_back()

    @property
    def is_attended(self) -> bool:
        """Whether there is a room where somebody may listen."""
        return self._listening is not None and not self._listening.is_over

    @property
    def has_talker(self) -> bool:
        """Whether a person has the call."""
        return self._listening is not None and self._listening.has_talker

    def caller(self, pcm: bytes) -> None:
        """The other side said this."""
        if self._listening is None:
            return
        self._listening.caller(pcm)
        if self._listening.has_talker:
            at = time.time() - len(pcm) / 2 / self._rate
            for tap in (self.tap, self.overheard):
                if tap is not None:
                    tap.caller(pcm, self._rate, at)

    def person(self, pcm: bytes) -> None:
        """Whoever the other side was put through to said this."""
        if self._listening is not None:
            self._listening.person(pcm)

    def voice(self) -> bytes | None:
        """The next frame of whoever has the call; None where nothing has come."""
        return self._listening.voice() if self._listening is not None else None

    def heard_instead(self, pcm: bytes | None) -> bytes | None:
        """What the other side is sent in the next frame, of what the agent would have said."""
        if (listening := self._listening) is None:
            return pcm
        if not listening.has_talker:
            if pcm is not None:
                listening.agent(pcm)
            return pcm
        voice = listening.voice()
        if voice is not None and self.tap is not None:
            self.tap.agent(voice, self._rate, time.time())
        if self.overheard is not None:
            self.overheard.agent(voice or self._silence, self._rate, time.time())
        return voice

    async def aclose(self) -> None:
        """Leave the room."""
        if self._listening is not None:
            await self._listening.aclose()

    def _somebody_left(self, left: Left) -> None:
        self.on_left(left)

    def _there(self) -> Listening:
        if self._listening is None or self._listening.is_over:
            raise CannotDo("Nobody listens to this call: ask to listen first")
        return self._listening
