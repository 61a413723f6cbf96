"""What a carrier plays before somebody answers: ringing of its own, or that nobody can be reached there."""

from collections import deque

from worker.lines.rtp.media import Media
from worker.lines.rtp.ringback import Ringback
from worker.lines.rtp.sockets import Sockets
from worker.lines.rtp.stream import RtpStream

_MOST_KEPT = 10
"""Frames; nobody needs to hear an announcement that is late."""


class EarlyMedia:
    """Frames of 20 ms, int16 mono. A ringing tone of ours until something comes."""

    def __init__(self, media: Media, sockets: Sockets) -> None:
        self._sockets = sockets
        self._stream = RtpStream(media, sockets.send, sockets.send_report)
        self.rate = self._stream.rate
        self._ringback = Ringback(self.rate)
        self._frames: deque[bytes] = deque(maxlen=_MOST_KEPT)
        sockets.open(self._stream.received, self._stream.reported)

    def next(self) -> bytes | None:
        """The next one; to be asked for on a clock."""
        self._stream.say(None)  # carriers behind NAT send to where they hear something from
        self._frames.extend(self._stream.hears())
        if not self._stream.has_heard:
            return self._ringback.next()
        return self._frames.popleft() if self._frames else None

    def close(self) -> None:
        """Read no more. Twice does no harm."""
        self._sockets.close()
