"""What a telephone says and hears, frame by frame: who is heard in the place of whom."""

import asyncio
import time
from collections.abc import Callable

from pipelines.background import Background
from pipelines.contract.actions import HoldSound
from worker.lines.line import AudioTap
from worker.lines.listening import LineListeners, ListeningRooms
from worker.lines.microphone import Microphone
from worker.lines.mixing import Other
from worker.lines.music import Music
from worker.lines.playout import Kept
from worker.lines.queueing import Announcement
from worker.lines.rtp.answering import Answering
from worker.lines.rtp.early import EarlyMedia
from worker.lines.rtp.media import FRAME_SECONDS, Media
from worker.lines.rtp.ringback import Ringback
from worker.lines.rtp.sockets import Sockets
from worker.lines.rtp.stream import RtpStream

MOST_BEHIND = 5
"""Frames that are still sent after a standstill of our own; of a longer one nobody wants to hear the end."""
_MOST_CAUGHT_UP = 100


class PhoneSound:
    """Of one line, whose clock asks it to `hear` and to `say`. Nothing here waits."""

    def __init__(
        self,
        media: Media,
        sockets: Sockets,
        on_key: Callable[[str], None],
        *,
        is_ours: bool,
        rooms: ListeningRooms | None,
    ) -> None:
        """`is_ours`: we have called them, and a machine may answer."""
        self.media = media
        self.stream = RtpStream(media, sockets.send, sockets.send_report, on_key=on_key)
        self.rate = self.stream.rate
        self._samples = int(self.rate * FRAME_SECONDS)
        self.answering = Answering(self.rate) if is_ours else None
        self.screened: AudioTap | None = None
        """Told of what is heard before the session starts."""
        self.input = Microphone(self.rate)
        self.output = Kept(self.rate, FRAME_SECONDS, "Phone")
        self.listeners = LineListeners(rooms, self.rate)
        self.announcement = Announcement()
        self.held: HoldSound | None = None
        self._music = Music(self.rate)
        self._rendering: asyncio.Task[None] | None = None
        self._background: Background | None = None
        self._preparing: asyncio.Task[None] | None = None
        self._ringback: Ringback | EarlyMedia | None = None
        self._joined: PhoneSound | None = None
        self._other = Other()
        """Of the line that it is `_joined` with."""
        sockets.expect(self.stream.received, self.stream.reported)

    def talk_over(self, background: Background) -> None:
        """Let this be heard behind the voice."""
        self._background = background
        self._preparing = asyncio.create_task(background.prepare(self.rate))

    def wait(self, sound: HoldSound | None) -> None:
        """Let the voice wait behind music, or none; None lets it go on."""
        if sound == "music" and self.held != "music":
            self._music.begin()
            self._rendering = asyncio.create_task(self._music.prepare())
        self.held = sound
        self.output.hold(is_on=sound is not None or self.media.is_held_by_them)

    def change(self, media: Media) -> bool:
        """Both sides agreed on something else; whether we are held now and were not, or the reverse."""
        was_held = self.media.is_held_by_them
        self.stream.change(media)
        self.media = media
        if was_held == media.is_held_by_them:
            return False
        self.output.hold(is_on=self.held is not None or media.is_held_by_them)
        return True

    def rings(self, sound: Ringback | EarlyMedia | None) -> None:
        """A telephone rings for the other side, who hears this; None: it does not ring any more."""
        if sound is not None and (self.held is not None or isinstance(self._ringback, type(sound))):
            sound.close()  # whoever waits hears music; and it rings already
            return
        if self._ringback is not None:
            self._ringback.close()
        self._ringback = sound

    def join(self, other: "PhoneSound") -> None:
        """Let both other sides hear each other."""
        if other.rate == self.rate:
            self._joined, other._joined = other, self

    def _part(self) -> None:
        if self._joined is not None:
            self._joined._joined = None
            self._joined = None

    async def aclose(self) -> None:
        """Nobody hears anything of it any more."""
        tasks = [task for task in (self._preparing, self._rendering) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.listeners.aclose()
        self._part()
        self.rings(None)

    # ── a frame ──────────────────────────────────────────────────────────────────────────────────
    def hear(self, behind: int) -> None:
        """What has come, of a frame and of those that were missed."""
        for _ in range(min(behind, _MOST_CAUGHT_UP) + 1):
            for pcm in self.stream.hears():
                if self.answering is not None:
                    self.answering.hear(pcm)
                if self.screened is not None:
                    self.screened.caller(pcm, self.rate, time.time() - FRAME_SECONDS)
                self.listeners.caller(pcm)
                if self._joined is not None:
                    self._joined._other.push(pcm)
                # Music on hold is nobody's words.
                is_deaf = self.held is not None or self.media.is_on_hold
                self.input.feed(bytes(len(pcm)) if is_deaf else pcm)

    def say(self, behind: int) -> None:
        """What is due, unless it is late."""
        if behind > MOST_BEHIND:
            self.stream.skip(behind)
            behind = 0
        for _ in range(behind + 1):
            self._say()

    def _say(self) -> None:
        frame = None if self.stream.is_pressing else self.output.next()
        if not self.media.they_listen:
            self.stream.skip(1)  # the agent waits, in the middle of a word if need be
            return
        if self.stream.is_pressing:
            self.stream.say(None)
            return
        if self.held is not None:
            music = self._music.next(self._samples) if self.held == "music" else None
            self.stream.say(self.announcement.next(self._samples) or music)
            return
        is_quiet, rings = frame is None, self._ringback.next() if self._ringback is not None else None
        if self._background is not None:
            frame = self._background.under(frame, self.rate, self._samples)
        pcm = bytes(frame.data) if frame is not None else None
        if is_quiet:
            pcm = rings or pcm
        pcm = self.listeners.heard_instead(pcm)
        self.stream.say(self._other.over(pcm) if self._joined is not None else pcm)
