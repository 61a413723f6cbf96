"""Somebody in the room of a call: hears each track apart, and has a microphone that can be opened.

python -m tests.support.listener URL TOKEN    the same in a process that can be killed: hums, and stays; told
                                              to mute, is muted, and says that it is there as the page does
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import numpy as np
from aiortp.codecs import PcmuCodec
from livekit import api, rtc

from bench.parts.caller import Caller
from tests.support.rehearsal import KEY, SECRET
from tests.support.stack import ROOT
from tests.support.telephone import Telephone
from worker.lines.listening_signs import HERE_TOPIC

RATE = 48_000
FRAME = RATE // 100
ROOM, ANN = "listen_c1", "listener_ann"
LOUD = 500
LONG_SECONDS = 60.0
"""A busy machine takes long for what comes at once: what must not be heard before it is looked at instead."""
NOTICED_SECONDS = 25.0
"""Sooner than livekit-server and its SDK notice by themselves that somebody is gone: half a minute."""
AGENT, HUM = 500, 1300
"""Hertz: of the agent's voice, and of whoever talks in its place."""


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
        self._microphone: rtc.LocalAudioTrack | None = None

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
        self._microphone = track

    def mute(self) -> None:
        """Mute it, and say each second that somebody is there."""
        assert self._microphone is not None
        self._microphone.mute()
        self._hold(self._stay())

    async def _stay(self) -> None:
        while True:
            await self.room.local_participant.publish_data("here", reliable=False, topic=HERE_TOPIC)
            await asyncio.sleep(1)

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


def hum(number: int) -> np.ndarray:
    """A steady tone, 10 ms of it, by number."""
    at = (np.arange(FRAME) + number * FRAME) / RATE
    return (np.sin(2 * np.pi * HUM * at) * 8000).astype(np.int16)


def loudness(pcm: np.ndarray, hertz: int, rate: int) -> float:
    """Amplitude of one tone in a sound; 0 for too little of it."""
    if len(pcm) < rate // 4:
        return 0.0
    at = np.arange(len(pcm)) / rate
    return float(abs(np.mean(pcm * np.exp(-2j * np.pi * hertz * at))) * 2)


def now_heard(who: Telephone | Caller, hertz: int, since: int = 0) -> float:
    """How loud a tone is in the last 0.3 s of what came after so many pieces."""
    if isinstance(who, Caller):
        frames, rate = [pcm for _, pcm in who.heard.frames[since:][-15:]], RATE
    else:
        packets = [one for _, one in who.heard[since:][-15:] if one.payload_type == 0]
        frames, rate = [np.frombuffer(PcmuCodec().decode(one.payload), np.int16) for one in packets], 8000
    return loudness(np.concatenate(frames), hertz, rate) if frames else 0.0


async def hears(who: Telephone | Caller, hertz: int, seconds: float = LONG_SECONDS, never: int = 0) -> None:
    """A tone is heard from now on; another one must not be before it."""
    since = len(who.heard.frames if isinstance(who, Caller) else who.heard)
    async with asyncio.timeout(seconds):
        while now_heard(who, hertz, since) < LOUD:
            assert not never or now_heard(who, never, since) < LOUD
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def humming(url: str, token: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Somebody with an open microphone, in a process of their own."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.listener", url, token),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    try:
        assert process.stdout is not None
        assert await asyncio.wait_for(process.stdout.readline(), 30) == b"here\n"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _stay(url: str, token: str) -> None:
    async with listening(url, token) as listener:
        listener.voice = hum
        await listener.open_microphone()
        print("here", flush=True)  # noqa: T201 - whoever started this waits for it
        await asyncio.to_thread(sys.stdin.readline)
        listener.mute()
        print("muted", flush=True)  # noqa: T201
        await asyncio.sleep(300)


if __name__ == "__main__":
    asyncio.run(_stay(sys.argv[1], sys.argv[2]))
