"""Somebody in the room of a call: hears each track apart, and has a microphone that can be opened."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import numpy as np
from livekit import api, rtc

from tests.support.rehearsal import KEY, SECRET

RATE = 48_000
FRAME = RATE // 100


def token_for(room: str, identity: str) -> str:
    """As the api makes one."""
    grants = api.VideoGrants(room_join=True, room=room, can_publish=True, can_subscribe=True)
    made = api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(grants)
    return made.with_ttl(timedelta(minutes=5)).to_jwt()


class Listener:
    """`heard` is what came of each track by its name, int16 mono at 48 kHz."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.heard: dict[str, list[np.ndarray]] = {}
        self.voice: Callable[[int], np.ndarray] = lambda n: np.zeros(FRAME, np.int16)
        """What the microphone has, 10 ms at a time, by number."""
        self._tasks: set[asyncio.Task[None]] = set()

    def sound(self, name: str, seconds: float) -> np.ndarray:
        """The last seconds of a track."""
        frames = self.heard.get(name, [])
        return np.concatenate(frames[-round(seconds * 50) :]) if frames else np.zeros(0, np.int16)

    async def open_microphone(self) -> None:
        """Publish it."""
        source = rtc.AudioSource(RATE, 1, queue_size_ms=100)
        track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        await self.room.local_participant.publish_track(track, options)
        self._hold(self._speak(source))

    def say(self, pcm: np.ndarray) -> None:
        """Once, from now on."""
        padded = np.pad(pcm, (0, -len(pcm) % FRAME)).reshape(-1, FRAME)
        first: list[int] = []

        def voice(number: int) -> np.ndarray:
            first[1:] = []
            if not first:
                first.append(number)
            at = number - first[0]
            return padded[at] if at < len(padded) else np.zeros(FRAME, np.int16)

        self.voice = voice

    def _hold(self, work: "asyncio._CoroutineLike[None]") -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _speak(self, source: rtc.AudioSource) -> None:
        number = 0
        while True:
            await source.capture_frame(rtc.AudioFrame(self.voice(number).tobytes(), RATE, 1, FRAME))
            number += 1

    def _came(self, track: rtc.Track, publication: rtc.TrackPublication, *_: object) -> None:
        self._hold(self._listen(track, publication.name))

    async def _listen(self, track: rtc.Track, name: str) -> None:
        frames = self.heard.setdefault(name, [])
        async for event in rtc.AudioStream(track, sample_rate=RATE, num_channels=1, frame_size_ms=20):
            frames.append(np.frombuffer(event.frame.data, np.int16).copy())


@contextlib.asynccontextmanager
async def listening(url: str, token: str) -> AsyncIterator[Listener]:
    """Join, and leave at the end."""
    listener = Listener()
    listener.room.on("track_subscribed", listener._came)
    await listener.room.connect(url, token)
    try:
        yield listener
    finally:
        for task in list(listener._tasks):
            task.cancel()
        await asyncio.gather(*listener._tasks, return_exceptions=True)
        await listener.room.disconnect()
