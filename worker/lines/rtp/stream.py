"""The two directions of one call's RTP: told of packets, asked for frames, sending on somebody's clock."""

import functools
import random
import time
from collections.abc import Callable

import numpy as np
from aiortp import RtpPacket, is_rtcp, parse_cn_payload

from pipelines.contract.events import MediaQuality
from worker.lines.rtp.codecs import codec_of
from worker.lines.rtp.digits import DigitsIn, DigitsOut, Event, tone
from worker.lines.rtp.ear import Ear
from worker.lines.rtp.jitter import Gap, JitterBuffer
from worker.lines.rtp.latch import Latch
from worker.lines.rtp.media import (
    FRAME_SECONDS,
    FRAME_UNITS,
    MOST_BYTES,
    Address,
    CodecName,
    Media,
)
from worker.lines.rtp.pace import of_reports, of_sound
from worker.lines.rtp.quality import Reception, mos
from worker.lines.rtp.reports import Reports
from worker.lines.rtp.unanswered import Unanswered

Send = Callable[[bytes, Address], None]

_NOISE_RMS = 8.0
"""Of a line on which nobody speaks: 72 dB below full scale, so that it does not sound dead."""
_NOISE_FRAMES = 64


class RtpStream:
    """One call. `send` and `send_report` take a packet and an address, and never wait."""

    def __init__(
        self,
        media: Media,
        send: Send,
        send_report: Send,
        *,
        on_key: Callable[[str], None] = lambda key: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._media, self._send, self._clock = media, send, clock
        self._on_key = on_key
        self._codec = codec_of(media.codec)
        self.rate = self._codec.rate
        """Of the sound both ways, int16 mono."""
        self._latch = Latch(media.remote)
        self._ssrc_heard: int | None = None
        self._jitter, self._ear, self._heard = JitterBuffer(), Ear(self._codec), Reception()
        self._late = self._too_many = 0
        self._pace, self._pace_of_reports = of_sound(), of_reports()
        self._keys_in, self._keys_out = DigitsIn(), DigitsOut()
        self._ssrc = random.getrandbits(32)
        self._sequence, self._timestamp = random.getrandbits(16), random.getrandbits(32)
        self._is_resumed = True
        self._tone_frame = 0
        self._noise = _noise_of(media.codec)
        self._noise_at = 0
        self._reports = Reports(self._ssrc, send_report)
        self._began_at = clock()
        self._packet_at: float | None = None
        self._unanswered = Unanswered()
        self.packets_sent = 0

    @property
    def has_heard(self) -> bool:
        """Whether the other side was heard at all."""
        return self._latch.is_locked

    @property
    def is_pressing(self) -> bool:
        """While keys are being sent."""
        return self._keys_out.is_busy

    @property
    def silent_seconds(self) -> float:
        """Since the last packet of the other side, of whatever kind."""
        return self._clock() - max(self._began_at, self._packet_at or self._began_at)

    def listen(self) -> None:
        """Whatever silence there was before counts no more."""
        self._began_at = self._clock()

    def change(self, media: Media) -> None:
        """Both sides agreed on something else; a codec stays as long as it is the same."""
        if media.codec != self._media.codec:
            raise ValueError("another codec needs another stream")
        self._latch.signalled(media.remote)
        self._media = media
        self._packet_at = self._clock()

    # ── from the other side ──────────────────────────────────────────────────────────────────────
    def received(self, data: bytes, source: Address, age: float = 0.0) -> None:
        """A datagram came, so many seconds ago. Whatever is in it, nothing is raised."""
        if len(data) > MOST_BYTES or is_rtcp(data):
            return
        try:
            packet = RtpPacket.parse(data)
        except (ValueError, IndexError):
            return
        now = self._clock() - age
        for one in self._latch.take(packet, source, now):
            if self._pace.allows(now):
                self._take(one, now)
            else:
                self._too_many += 1

    def reported(self, data: bytes, source: Address) -> None:
        """A report came."""
        now = self._clock()
        is_theirs = len(data) <= MOST_BYTES and source[0] == self._latch.remote[0]
        if is_theirs and self._pace_of_reports.allows(now) and self._reports.take(data, time.time()):
            self._packet_at = now

    def _take(self, packet: RtpPacket, now: float) -> None:
        if packet.ssrc != self._ssrc_heard:
            if self._ssrc_heard is not None:
                self._late += self._jitter.late
                self._jitter = JitterBuffer()
                self._heard.begin_again()
            self._ssrc_heard = packet.ssrc
        self._packet_at = now
        media, type_ = self._media, packet.payload_type
        is_sound = type_ == media.payload_type
        if not is_sound and type_ != media.noise_payload_type and not media.are_digits(type_):
            return  # not what was agreed on
        self._heard.add(packet.sequence_number, packet.timestamp, now, is_sound=is_sound)
        if is_sound:
            self._jitter.measure(packet.timestamp, now)
        elif media.are_digits(type_):
            if (key := self._keys_in.take(packet, now)) is not None:
                self._on_key(key)
        else:
            self._ear.quiet(parse_cn_payload(packet.payload))
        self._hear(self._jitter.push(packet.sequence_number, packet.payload if is_sound else b"", now))

    def _hear(self, items: list[bytes | Gap]) -> None:
        if items:
            self._ear.hear(items)

    def hears(self) -> list[bytes]:
        """20 ms have passed: frames of what the other side says."""
        self._hear(self._jitter.due(self._clock()))
        return self._ear.tick(self._jitter.wait_seconds)

    # ── to the other side ────────────────────────────────────────────────────────────────────────
    def press(self, keys: str) -> None:
        """Send keys; meanwhile the agent is not heard."""
        self._keys_out.press(keys)

    def skip(self, frames: int) -> None:
        """So many frames were not sent in time; what follows stands where it belongs."""
        self._timestamp = (self._timestamp + frames * FRAME_UNITS) & 0xFFFFFFFF
        self._is_resumed = True

    def say(self, pcm: bytes | None) -> None:
        """Send the next 20 ms: sound, or the noise of a line on which nobody speaks."""
        if (keys := self._keys_out.tick()) is not None:
            key, events = keys
            if self._media.digits_payload_type is None:
                pcm = tone(key, self._tone_frame, self.rate) if key else None
                self._tone_frame = self._tone_frame + 1 if key else 0
            else:
                pcm = None
                for event in events:
                    self._send_event(self._media.digits_payload_type, event)
                if key or events:
                    self._timestamp = (self._timestamp + FRAME_UNITS) & 0xFFFFFFFF
                    self._is_resumed = True
                    return
        if pcm is None:
            said = self._noise[self._noise_at]
            self._noise_at = (self._noise_at + 1) % len(self._noise)
        payload = said if pcm is None and not self._codec.has_memory else self._codec.encode(pcm or said)
        self._packet(self._media.payload_type, payload, self._timestamp, self._is_resumed)
        self._is_resumed = False
        self._timestamp = (self._timestamp + FRAME_UNITS) & 0xFFFFFFFF

    def _send_event(self, type_: int, event: Event) -> None:
        self._packet(type_, event.payload, (self._timestamp - event.offset) & 0xFFFFFFFF, event.is_first)

    def _packet(self, type_: int, payload: bytes, timestamp: int, marker: bool) -> None:
        header = bytes((0x80, (0x80 if marker else 0) | type_)) + self._sequence.to_bytes(2, "big")
        packet = header + timestamp.to_bytes(4, "big") + self._ssrc.to_bytes(4, "big") + payload
        self._sequence = (self._sequence + 1) & 0xFFFF
        self.packets_sent += 1
        self._reports.sent(timestamp, len(payload))
        latch = self._latch
        if self._unanswered.allows(latch.remote, has_spoken=latch.is_locked):
            self._send(packet, latch.remote)

    def report(self) -> None:
        """Tell the other side how it is heard; every few seconds."""
        remote = self._latch.remote
        if not self._latch.is_locked and self._unanswered.is_spent:
            return
        told = self._media.remote_rtcp if remote == self._media.remote else None
        self._reports.tell(told or (remote[0], remote[1] + 1), self._ssrc_heard, self._heard, time.time())

    def measured(self) -> MediaQuality:
        """The call so far."""
        heard, told = self._heard, self._reports
        loss = (heard.lost + self._late + self._jitter.late) / max(1, heard.expected)
        round_trip = told.round_trip_seconds
        delay = (round_trip or 0.0) / 2 + self._jitter.wait_seconds + FRAME_SECONDS
        return MediaQuality(
            codec=self._media.codec,
            packets_received=heard.received,
            packets_lost=heard.lost,
            packets_late=self._late + self._jitter.late,
            packets_dropped=self._latch.dropped + self._too_many,
            packets_sent=self.packets_sent,
            jitter_ms=round(heard.jitter_seconds * 1000, 1),
            mos=round(mos(min(1.0, loss), delay), 2) if heard.received else 1.0,
            remote_lost_percent=told.remote_lost_percent,
            remote_jitter_ms=told.remote_jitter_ms,
            round_trip_ms=None if round_trip is None else round(round_trip * 1000, 1),
        )


@functools.cache
def _noise_of(codec: CodecName) -> tuple[bytes, ...]:
    """A second and more of very soft noise, in frames: coded already, since most of a call is this.

    As PCM where the codec has a memory: the other side's would part from ours.
    """
    coder = codec_of(codec)
    made = np.random.default_rng(1).normal(0, _NOISE_RMS, (_NOISE_FRAMES, int(coder.rate * FRAME_SECONDS)))
    frames = (frame.tobytes() for frame in made.astype(np.int16))
    return tuple(frame if coder.has_memory else coder.encode(frame) for frame in frames)
