"""Those who listen to a call that lives in a room, from another room: the caller's sees nothing of them."""

import asyncio
import contextlib
from collections.abc import Callable

from livekit import rtc

from worker.lines.listening import LineListeners, ListeningRooms

LOOK_SECONDS = 0.1
"""For the caller's microphone, while they have none: their page is reloading, or their network is gone."""


class RoomListeners(LineListeners):
    """The caller's microphone is heard once more for them: the session does not hear it all the time."""

    def __init__(
        self,
        rooms: ListeningRooms | None,
        rate: int,
        frame_seconds: float,
        microphone: Callable[[], rtc.Track | None],
        on_attended: Callable[[], None],
    ) -> None:
        """`microphone` is the caller's, where they have one now."""
        super().__init__(rooms, rate, frame_seconds)
        self._microphone, self._on_attended = microphone, on_attended
        self._hearing_caller: asyncio.Task[None] | None = None

    async def attend(self, room_name: str) -> None:
        """Let another room hear both sides. Raises `CannotDo`."""
        await super().attend(room_name)
        self._on_attended()
        if self._hearing_caller is None or self._hearing_caller.done():
            self._hearing_caller = asyncio.create_task(
                self._hear_caller(), name="a caller who is listened to"
            )

    async def aclose(self) -> None:
        """Leave the other room."""
        if self._hearing_caller is not None:
            self._hearing_caller.cancel()
            await asyncio.gather(self._hearing_caller, return_exceptions=True)
        await super().aclose()

    async def _hear_caller(self) -> None:
        while self.is_attended:
            if (track := self._microphone()) is not None:
                await self._hear_track(track)
            await asyncio.sleep(LOOK_SECONDS)

    async def _hear_track(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track, sample_rate=self._rate, num_channels=1, frame_size_ms=20, capacity=50)
        try:
            async for event in stream:
                if not self.is_attended or self._microphone() is not track:
                    return
                self.caller(bytes(event.frame.data))
        finally:
            with contextlib.suppress(Exception):
                await stream.aclose()
