"""Keys as packets of their own (RFC 4733), both ways; as two tones to a side that has no such packets.

out   ┌ start ┬ 20 ms later, longer ┬ … ┬ end, end, end ┐ pause ┐     all with the start's timestamp
in    └ told at the first packet that comes of it: all but one may be lost
"""

from collections import deque
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from aiortp import DtmfEvent, RtpPacket

from worker.lines.keys import KEY_CODES
from worker.lines.rtp.media import FRAME_SECONDS, FRAME_UNITS

TONE_FRAMES = 6
PAUSE_FRAMES = 4
WAIT_FRAMES = 25
"""What a `w` waits; a comma waits four times as long."""
END_PACKETS = 3
MOST_QUEUED = 128
SHORTEST_SECONDS = 0.04
"""Between two keys; a person needs more, and a flood is not worth keeping."""
_VOLUME = 10
_KEYS = {code: key for key, code in KEY_CODES.items()}
_LOW, _HIGH = (697, 770, 852, 941), (1209, 1336, 1477, 1633)
_PAD = ("123A", "456B", "789C", "*0#D")
_PEAK = 7000


@dataclass(frozen=True)
class Event:
    """One packet's content. `offset` is the timestamp, in units before now."""

    payload: bytes
    is_first: bool
    offset: int


class DigitsIn:
    """Tells each key once."""

    def __init__(self) -> None:
        self._event: int | None = None
        self._timestamp = 0
        self._duration = 0
        self._is_over = False
        self._told_at = float("-inf")
        self.dropped = 0

    def take(self, packet: RtpPacket, now: float) -> str | None:
        """The key that begins with this packet."""
        try:
            heard = DtmfEvent.parse(packet.payload)
        except ValueError:
            return None
        if (key := _KEYS.get(heard.event)) is None or not self._is_news(heard, packet.timestamp):
            return None
        self._event, self._timestamp, self._duration = heard.event, packet.timestamp, heard.duration
        self._is_over = heard.end
        if now - self._told_at < SHORTEST_SECONDS:
            self.dropped += 1
            return None
        self._told_at = now
        return key

    def _is_news(self, heard: DtmfEvent, timestamp: int) -> bool:
        if self._event is None:
            return True
        step = (timestamp - self._timestamp) & 0xFFFFFFFF
        if step == 0 and heard.event == self._event:
            # Some send every key with one timestamp: it is another when it begins anew after an end.
            is_again = self._is_over and not heard.end and heard.duration < self._duration
            if not is_again:
                self._is_over |= heard.end
                self._duration = max(self._duration, heard.duration)
            return is_again
        return step < 0x80000000  # a late packet of a key before this one is no news


class DigitsOut:
    """Keys to press, one after the other on the sender's clock."""

    def __init__(self) -> None:
        self._queue: deque[str] = deque()
        self._key = ""
        self._frame = 0

    @property
    def is_busy(self) -> bool:
        """While there is something to press, or it was pressed just now."""
        return bool(self._queue or self._key)

    def press(self, keys: str) -> None:
        """Press these, after those that wait."""
        for key in keys[: MOST_QUEUED - len(self._queue)]:
            if key in KEY_CODES or key in "w,":
                self._queue.append(key)

    def tick(self) -> tuple[str, list[Event]] | None:
        """20 ms: the key that sounds now, and its packets; an empty key is a pause, None is nothing to do."""
        if not self._key:
            if not self._queue:
                return None
            self._key, self._frame = self._queue.popleft(), 0
        key, frame = self._key, self._frame
        self._frame += 1
        if key in "w,":
            if self._frame >= WAIT_FRAMES * (4 if key == "," else 1):
                self._key = ""
            return "", []
        if frame < TONE_FRAMES:
            return key, [_event(key, frame, is_end=False)]
        if frame == TONE_FRAMES:
            return "", [_event(key, frame - 1, is_end=True, past=frame)] * END_PACKETS
        if frame >= TONE_FRAMES + PAUSE_FRAMES:
            self._key = ""
        return "", []


def _event(key: str, frame: int, *, is_end: bool, past: int | None = None) -> Event:
    duration = (frame + 1) * FRAME_UNITS
    event = DtmfEvent(event=KEY_CODES[key], end=is_end, volume=_VOLUME, duration=duration)
    return Event(
        event.serialize(), frame == 0 and not is_end, (frame if past is None else past) * FRAME_UNITS
    )


def tone(key: str, frame: int, rate: int) -> bytes:
    """20 ms of a key as two tones, int16 mono; `frame` is which 20 ms of it."""
    size = int(rate * FRAME_SECONDS)
    return _tones(key, rate)[frame * size * 2 : (frame + 1) * size * 2]


@lru_cache(maxsize=32)
def _tones(key: str, rate: int) -> bytes:
    row = next(number for number, keys in enumerate(_PAD) if key in keys)
    at = np.arange(int(rate * FRAME_SECONDS) * TONE_FRAMES) / rate
    low, high = _LOW[row], _HIGH[_PAD[row].index(key)]
    return ((np.sin(2 * np.pi * low * at) + np.sin(2 * np.pi * high * at)) * _PEAK).astype(np.int16).tobytes()
