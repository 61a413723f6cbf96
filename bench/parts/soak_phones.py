"""The carrier's side of a soak: people who call and are called, and each call by the carrier's clock."""

import asyncio
import contextlib
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from aiortp.codecs import PcmuCodec

from bench.parts.soak_voices import LOWEST_HERTZ, PITCHES, STEP_HERTZ, TONE_SECONDS
from tests.support.speech import words
from tests.support.telephone import LOUD, Telephone, bound, telephone
from worker.exchange import sdp, sip
from worker.lines.rtp.media import Address

NUMBER = "+905331112233"
FRAME_SECONDS = 0.02
ANSWER_SECONDS = 30.0
_SAID = "What are your opening hours?"


@dataclass
class CarrierCall:
    """One call as the carrier saw it. Moments are `time.time()`."""

    number: str
    """Who called us, or whom we called: there once."""
    is_ours: bool
    """We called."""
    invited_at: float
    sip_call_id: str = ""
    answered_at: float = 0.0
    ended_at: float = 0.0
    ended_by: str = ""
    code: int = 0
    heard: list[tuple[float, int]] = field(default_factory=list)
    """Answers that were heard whole: until when, and their number by its pitch."""

    @property
    def seconds(self) -> float:
        return self.ended_at - self.answered_at if self.answered_at else 0.0


class Carrier:
    """Everybody's telephones."""

    def __init__(self, engine: sip.Engine, sip_port: int, chance: random.Random) -> None:
        self._engine, self._port, self._chance = engine, sip_port, chance
        self._tasks: set[asyncio.Task[None]] = set()
        self.calls: list[CarrierCall] = []
        self.invited: Counter[str] = Counter()
        """How often each number was called."""
        self.failures: list[str] = []
        self._last = 0

    def fresh(self) -> str:
        """A number that nobody has yet."""
        self._last += 1
        return f"+1415556{self._last:04d}"

    async def call(self) -> None:
        """Somebody calls us, talks, and hangs up when they like."""
        one = CarrierCall(self.fresh(), is_ours=False, invited_at=time.time())
        self.calls.append(one)
        patience = self._chance.choice([0.3, 2.0, 40.0, 40.0, 40.0, 40.0])
        mine = bound()
        ours = sdp.Ours(mine.getsockname(), 7)
        dialog = self._engine.invite(
            f"sip:{NUMBER}@127.0.0.1:{self._port}", ours.offer(), caller=f"sip:{one.number}@carrier"
        )
        one.sip_call_id = dialog.call_id

        def remote(event: sip.Answered | sip.Confirmed) -> Address:
            return ours.agreed(sdp.read(event.body)).remote

        await self._through(one, dialog, remote, mine, patience, self._chance.uniform(2, 45))

    async def answer_all(self) -> None:
        """Whoever is called answers, is busy, or does not come."""
        async for dialog in self._engine.invitations():
            assert dialog.invitation is not None
            number = dialog.invitation.uri.split(":", 1)[1].split("@", 1)[0]
            one = CarrierCall(number, is_ours=True, invited_at=time.time(), sip_call_id=dialog.call_id)
            self.calls.append(one)
            self.invited[number] += 1
            self._hold(self._answer(one, dialog))

    async def _answer(self, one: CarrierCall, dialog: sip.Dialog) -> None:
        mood = self._chance.random()
        with contextlib.suppress(sip.NotNow):
            dialog.ring()
            await asyncio.sleep(self._chance.uniform(0.2, 4))
            if mood < 0.2:
                dialog.reject(486 if mood < 0.1 else 480)
        mine = bound()
        assert dialog.invitation is not None
        body, media = sdp.Ours(mine.getsockname(), 7).answer(sdp.read(dialog.invitation.body))
        if mood >= 0.2:
            with contextlib.suppress(sip.NotNow):
                dialog.answer(body)

        def remote(event: sip.Answered | sip.Confirmed) -> Address:
            return media.remote

        await self._through(one, dialog, remote, mine, ANSWER_SECONDS, self._chance.uniform(3, 25))

    async def _through(
        self,
        one: CarrierCall,
        dialog: sip.Dialog,
        remote: Callable[[sip.Answered | sip.Confirmed], Address],
        mine: socket.socket,
        patience: float,
        talk: float,
    ) -> None:
        """From the INVITE to the end of it; `patience` is how long it may ring."""
        leaving = asyncio.get_running_loop().call_later(patience, self._leave, one, dialog)
        phone: Telephone | None = None
        async with contextlib.AsyncExitStack() as parts:
            parts.callback(mine.close)
            async for event in dialog.events():
                if isinstance(event, sip.Answered | sip.Confirmed) and not one.ended_by:
                    one.answered_at = time.time()
                    leaving.cancel()
                    leaving = asyncio.get_running_loop().call_later(talk, self._leave, one, dialog)
                    phone = await parts.enter_async_context(telephone(mine, remote(event)))
                    talking = asyncio.ensure_future(self._talk(phone))
                    parts.callback(talking.cancel)
                elif isinstance(event, sip.Offer):
                    event.refuse(488)
                elif isinstance(event, sip.Ended):
                    one.code = event.code
                    one.ended_by = one.ended_by or f"us ({event.by} {event.code} {event.reason})"
                    one.ended_at = one.ended_at or time.time()
            leaving.cancel()
        if phone is not None:
            one.heard = await asyncio.to_thread(answers_in, phone)
            phone.heard.clear()

    def _leave(self, one: CarrierCall, dialog: sip.Dialog) -> None:
        one.ended_by, one.ended_at = "them", time.time()
        self._hold(dialog.hang_up())

    async def _talk(self, phone: Telephone) -> None:
        said = await asyncio.to_thread(words, _SAID)
        while True:
            await asyncio.sleep(self._chance.uniform(1, 6))
            if not phone.is_talking:
                phone.say(said)

    def _hold(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.append(repr(error))

    def begin(self) -> None:
        """One more who calls, beside whatever else goes on."""
        self._hold(self.call())

    @property
    def going_on(self) -> int:
        return len(self._tasks)


def answers_in(phone: Telephone) -> list[tuple[float, int]]:
    """Each whole answer that was heard: until when, and its number modulo `PITCHES`."""
    codec, found, at = PcmuCodec(), [], 0
    packets = [(moment, packet) for moment, packet in phone.heard if packet.payload_type == 0]
    frames = [np.frombuffer(codec.decode(packet.payload), np.int16) for _, packet in packets]
    loud = [bool(np.abs(frame).max(initial=0) > LOUD) for frame in frames]
    while at < len(frames):
        end = at
        while end < len(frames) and loud[end]:
            end += 1
        if (end - at) * FRAME_SECONDS >= 0.95 * TONE_SECONDS:
            sound = np.concatenate(frames[at:end]).astype(float)
            spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
            hertz = float(np.argmax(spectrum)) * 8000 / len(sound)
            number = round((hertz - LOWEST_HERTZ) / STEP_HERTZ)
            is_near = abs(hertz - LOWEST_HERTZ - STEP_HERTZ * number) < STEP_HERTZ / 4
            if 0 <= number < PITCHES and is_near:
                found.append((packets[end - 1][0], number))
        at = max(end, at + 1)
    return found
