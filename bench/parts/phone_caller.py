"""Somebody at a telephone who says the script, hears the answers and keeps the times: real SIP and RTP.

Frames leave on a clock and are coded beforehand; what comes is only looked at for loudness, so that many can
call from one process.
"""

import asyncio
import contextlib
import functools
import random
import socket
import time
from dataclasses import dataclass, field

import numpy as np
from aiortp.codecs import PcmuCodec

from bench.parts.onset import BARGED_IN, SCRIPT
from bench.parts.script import RATE, utterances
from worker.exchange import sdp, sip
from worker.lines.rtp.codecs import Resampler
from worker.lines.rtp.media import Address

FRAME_SECONDS = 0.02
LATE_SECONDS = 0.005
ANSWER_SECONDS = 6.0
BARGE_IN_AFTER_SECONDS = 0.7
QUIET_SECONDS = 0.6
_FRAME = 160
_LOUD = 1000
_SILENCE = b"\xff" * _FRAME

NUMBER = "+905331112233"


@functools.cache
def coded(name: str) -> tuple[bytes, ...]:
    """An utterance as G.711 frames of 20 ms; its last frame holds its last sound."""
    made = Resampler(RATE, 8000).push(utterances()[name].pcm.tobytes())
    frames = [made[at : at + 2 * _FRAME] for at in range(0, len(made), 2 * _FRAME)]
    return tuple(PcmuCodec().encode(frame.ljust(2 * _FRAME, b"\0")) for frame in frames)


@functools.cache
def _loudness() -> bytes:
    """For each G.711 code 1 when it is loud."""
    samples = np.frombuffer(PcmuCodec().decode(bytes(range(256))), np.int16).astype(np.int32)
    return bytes((np.abs(samples) > _LOUD).astype(np.uint8))


@dataclass
class Figures:
    """What one caller has seen. Milliseconds."""

    answered_in: float = 0.0
    waits: list[float] = field(default_factory=list)
    """From the last sound of a turn to the first packet of its answer."""
    stops: list[float] = field(default_factory=list)
    """From the first sound of an interruption to the last packet of what it interrupts."""
    unanswered: int = 0
    sent: int = 0
    late: int = 0


@dataclass(frozen=True)
class Impairment:
    """What a network does to packets: so many are lost, the others each up to so many seconds late."""

    loss: float
    jitter_seconds: float


class PhoneCaller:
    """One call. All moments are `time.monotonic()`."""

    def __init__(self, mine: socket.socket, remote: Address, impairment: Impairment | None = None) -> None:
        self._socket, self._remote, self._impairment = mine, remote, impairment
        self._chance = random.Random(1)  # noqa: S311 - the same losses each time
        self._loop = asyncio.get_running_loop()
        self._pending: list[bytes] = []
        self._head = bytes((0x80, 0)), random.getrandbits(32).to_bytes(4, "big")
        self._sequence = 0
        self._said: asyncio.Future[float] | None = None
        self.figures = Figures()
        self.sounds: list[tuple[float, float]] = []
        """Stretches of the agent's sound: first and last moment."""
        mine.setblocking(False)
        self._loop.add_reader(mine, self._hear)

    async def say(self, name: str) -> tuple[float, float]:
        """When its first and its last sound were said."""
        began = self._loop.create_future()
        self._said, frames = began, coded(name)
        self._pending = list(frames)
        ended = await began
        return ended - (len(frames) - 1) * FRAME_SECONDS - FRAME_SECONDS, ended

    async def talk(self, seconds: float) -> Figures:
        """The greeting, then the script from its beginning, until so long has passed."""
        await self.heard_after(0.0)
        until = time.monotonic() + seconds
        number = 0
        await self.quiet()
        while time.monotonic() < until:
            name = SCRIPT[number % len(SCRIPT)]
            number += 1
            onset, ended = await self.say(name)
            is_barge_in = name == "stop"
            heard = await self.heard_after(ended)
            if heard is None:
                self.figures.unanswered += 1
            elif not is_barge_in:
                self.figures.waits.append((heard - ended) * 1000)
            if is_barge_in:
                before = [end for start, end in self.sounds if start < onset]
                if before and before[-1] > onset:
                    self.figures.stops.append((before[-1] - onset) * 1000)
            if heard is not None and name == BARGED_IN:
                await asyncio.sleep(max(0.0, heard + BARGE_IN_AFTER_SECONDS - time.monotonic()))
            else:
                await self.quiet()
        return self.figures

    async def send(self) -> None:
        """A frame every 20 ms for ever."""
        due = time.monotonic()
        figures = self.figures
        while True:
            payload = self._pending.pop(0) if self._pending else _SILENCE
            self._sequence += 1
            number = (self._sequence & 0xFFFF).to_bytes(2, "big")
            at = ((self._sequence * _FRAME) & 0xFFFFFFFF).to_bytes(4, "big")
            self._leave(self._head[0] + number + at + self._head[1] + payload)
            now = time.monotonic()
            figures.sent += 1
            figures.late += now - due > LATE_SECONDS
            if not self._pending and self._said is not None:
                self._said.set_result(now)
                self._said = None
            due += FRAME_SECONDS
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _leave(self, packet: bytes) -> None:
        if (network := self._impairment) is None:
            self._send(packet)
        elif self._chance.random() >= network.loss:
            self._loop.call_later(self._chance.random() * network.jitter_seconds, self._send, packet)

    def _send(self, packet: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendto(packet, self._remote)

    def _hear(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                packet = self._socket.recv(2048)
                if packet[1] & 0x7F or packet[12:].translate(_loudness()).count(1) == 0:
                    continue
                now = time.monotonic()
                if self.sounds and now - self.sounds[-1][1] < 0.08:
                    self.sounds[-1] = self.sounds[-1][0], now
                else:
                    self.sounds.append((now, now))

    async def heard_after(self, moment: float) -> float | None:
        """When sound was heard that began after it."""
        until = time.monotonic() + ANSWER_SECONDS
        while time.monotonic() < until:
            if self.sounds and self.sounds[-1][0] > moment:
                return next(start for start, _ in self.sounds if start > moment)
            await asyncio.sleep(0.01)
        return None

    async def quiet(self) -> None:
        """Return once nothing was heard for a while."""
        while self.sounds and time.monotonic() - self.sounds[-1][1] < QUIET_SECONDS:  # noqa: ASYNC110
            await asyncio.sleep(0.02)

    def close(self) -> None:
        """Hear no more."""
        self._loop.remove_reader(self._socket)


async def call(
    carrier: sip.Engine,
    port: int,
    seconds: float,
    answered: asyncio.Semaphore,
    impairment: Impairment | None = None,
) -> Figures:
    """Call the exchange at this port and talk; `answered` is released once the phone is picked up."""
    mine = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    mine.bind(("127.0.0.1", 0))
    ours = sdp.Ours(mine.getsockname(), 7)
    began = time.monotonic()
    dialog = carrier.invite(f"sip:{NUMBER}@127.0.0.1:{port}", ours.offer(), caller="sip:+14155550100@carrier")
    with mine:
        async for event in dialog.events():
            if isinstance(event, sip.Answered):
                break
            if isinstance(event, sip.Ended):
                raise RuntimeError(f"the call failed: {event.code}")
        took = (time.monotonic() - began) * 1000
        answered.release()
        caller = PhoneCaller(mine, ours.agreed(sdp.read(event.body)).remote, impairment)
        sending = asyncio.create_task(caller.send())
        try:
            caller.figures.answered_in = took
            return await caller.talk(seconds)
        finally:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)
            caller.close()
            await dialog.hang_up()
