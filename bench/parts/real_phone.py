"""A real telephone, PJSIP, that says the script; what it hears, and when, is read off its own recording.

    recording  ▁▁███████▁▁▁▁▁▁▁▁▁██████▁▁      both sides, mixed by PJSIP on its own clock
                 └ said ┘└ wait ┘└ reply

So the wait has all in it that a telephone adds: coding, its jitter buffer, its playout.
"""

import asyncio
import functools

import numpy as np
from numpy.typing import NDArray

from bench.parts.onset import BARGED_IN, SCRIPT
from bench.parts.phone_caller import ANSWER_SECONDS, BARGE_IN_AFTER_SECONDS, NUMBER, QUIET_SECONDS, Figures
from bench.parts.script import RATE, utterances
from tests.support.pjsip import RATE as PHONE_RATE
from tests.support.pjsip import Pjsip
from worker.lines.rtp.codecs import Resampler

_LOUD = 1000
_LOOK_SECONDS = 0.1
_HEAD_SECONDS = 1.5
"""Of an utterance, enough to find its place."""

Pcm = NDArray[np.int16]


@functools.cache
def _said(name: str) -> Pcm:
    """As the telephone plays it, to its last sound."""
    utterance = utterances()[name]
    made = np.frombuffer(Resampler(RATE, PHONE_RATE).push(utterance.pcm.tobytes()), np.int16)
    return made[: int(utterance.end * PHONE_RATE)]


def place(said: Pcm, recording: Pcm) -> int:
    """The sample of a recording at which something begins that was said into it."""
    head = said[: int(_HEAD_SECONDS * PHONE_RATE)].astype(np.float32)
    size = len(recording) + len(head)
    spectrum = np.fft.rfft(recording.astype(np.float32), size) * np.conj(np.fft.rfft(head, size))
    return int(np.fft.irfft(spectrum, size)[: len(recording)].argmax())


class RealPhone:
    """One call of a telephone that mixes what it records."""

    def __init__(self, phone: Pjsip) -> None:
        self._phone = phone
        self.figures = Figures()

    async def call(self, port: int, seconds: float) -> Figures:
        """Call the exchange at this port and talk."""
        self._phone.do("dial", value=f"sip:{NUMBER}@127.0.0.1:{port}")
        await self._phone.talks()
        await self._loud(0)
        await self._quiet()
        loop = asyncio.get_running_loop()
        until, number = loop.time() + seconds, 0
        while loop.time() < until:
            name = SCRIPT[number % len(SCRIPT)]
            number += 1
            await self._turn(name)
        self._phone.do("hang_up")
        return self.figures

    async def _turn(self, name: str) -> None:
        said, since = _said(name), len(self._phone.heard())
        await asyncio.sleep(self._phone.say(said) + _LOOK_SECONDS)
        if name == "stop":  # what it breaks into sounds on beneath its beginning
            await self._quiet()
            return
        while len(self._phone.heard()) < since + len(said) + PHONE_RATE // 2:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
        ended = since + place(said, self._phone.heard()[since:]) + len(said)
        heard = await self._loud(ended)
        if heard is None:
            self.figures.unanswered += 1
            return
        self.figures.waits.append((heard - ended) / PHONE_RATE * 1000)
        if name == BARGED_IN:
            await asyncio.sleep(BARGE_IN_AFTER_SECONDS)
        else:
            await self._quiet()

    async def _loud(self, since: int) -> int | None:
        """The sample of the first sound from a place on."""
        for _ in range(int(ANSWER_SECONDS / _LOOK_SECONDS)):
            loud = np.flatnonzero(np.abs(self._phone.heard()[since:].astype(np.int32)) > _LOUD)
            if len(loud):
                return since + int(loud[0])
            await asyncio.sleep(_LOOK_SECONDS)
        return None

    async def _quiet(self) -> None:
        """Return once nothing was heard for a while."""
        samples = int(QUIET_SECONDS * PHONE_RATE)
        while np.abs(self._phone.heard()[-samples:].astype(np.int32)).max() > _LOUD:  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
