"""Callers for whom no line is free stand in a queue; over real SIP and RTP, with real processes."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from pipelines.phrases import Phrase, phrase
from tests.support.fake_providers import SECONDS_A_LETTER
from tests.support.speech import words
from tests.support.stack import ROOT
from tests.support.telephone import Telephone
from tests.support.telephony import NUMBER, Caller, Stage, calling, refused, sockets, staged
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]

HOURS = {"heard": ("What are your hours?",) * 4, "answers": {"What are your hours?": "Nine to five."}}
GREETING = ("agent", "Hello, how may I help?")
PAUSE_FRAMES = 40
VOICE = 4000
"""Above this a frame is the voice, whose tone is louder than the music."""


def sentences(phone: "Telephone | RealPhone", *, is_over: bool = False) -> list[float]:
    """How long each was that a caller heard to its end, in seconds."""
    frames = phone.sound().astype(float)
    frames = frames[: len(frames) // 160 * 160].reshape(-1, 160)
    loud = np.sqrt((frames**2).mean(axis=1)) > VOICE
    ends = np.flatnonzero(loud)
    # A process that stood still for a moment goes on where it was: the pause is not the sentence's.
    pieces = np.split(ends, np.flatnonzero(np.diff(ends) > PAUSE_FRAMES) + 1)
    is_over |= len(ends) > 0 and len(loud) - ends[-1] > PAUSE_FRAMES
    return [len(one) * 0.02 for one in (pieces if is_over else pieces[:-1])]


def was_told(phone: "Telephone | RealPhone", *names: Phrase, number: str = "", is_over: bool = False) -> bool:
    """These words were said to a caller, by how long they are in this voice."""
    lasts = len(" ".join(phrase(name, "en").format(place=number) for name in names)) * SECONDS_A_LETTER
    return any(abs(one - lasts) < 0.2 for one in sentences(phone, is_over=is_over))


def is_music(phone: "Telephone | RealPhone") -> bool:
    """Something softer than the voice plays now."""
    last = phone.sound()[-4000:].astype(float)
    return len(last) == 4000 and 100 < np.sqrt((last**2).mean()) < VOICE


_NOTHING = np.zeros(0, np.int16)


class RealPhone:
    """PJSIP, which calls; what it hears before and after the answer is one recording."""

    def __init__(self, process: asyncio.subprocess.Process, heard: Path) -> None:
        self._process, self._heard = process, heard
        self.states: list[tuple[str, int]] = []

    async def follow(self) -> None:
        """Write down what it tells."""
        assert self._process.stdout is not None
        while text := await self._process.stdout.readline():
            told = json.loads(text) if text.startswith(b"{") else {}
            if "state" in told:
                self.states.append((told["state"], told["code"]))

    def sound(self) -> np.ndarray:
        """All of it, int16 at 8 kHz."""
        return np.frombuffer(self._heard.read_bytes()[44:], np.int16) if self._heard.exists() else _NOTHING

    def leave(self) -> None:
        """Hang up."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"leave\n")


@contextlib.asynccontextmanager
async def phoning(stage: Stage) -> AsyncIterator[RealPhone]:
    """A real telephone calls."""
    heard = stage.home / "heard.wav"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.pjsip_caller"),
        *(f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}", str(heard)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    phone = RealPhone(process, heard)
    following = asyncio.create_task(phone.follow())
    try:
        yield phone
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await asyncio.gather(following)


@contextlib.asynccontextmanager
async def waiting(stage: Stage, carrier: sip.Engine, call_id: str, place: int) -> AsyncIterator[Caller]:
    """Call while no line is free, and be answered with a place in the queue."""
    async with calling(stage, carrier) as caller:
        await stage.until(lambda: stage.places(call_id)[-1:] == [place])
        yield caller


async def test_callers_are_answered_in_the_order_in_which_they_came() -> None:
    async with staged(**HOURS, most_calls=1) as (stage, carrier), contextlib.AsyncExitStack() as calls:
        stage.queue = {}
        first = await calls.enter_async_context(calling(stage, carrier))
        await stage.until(lambda: GREETING in stage.said("c1"))
        second = await calls.enter_async_context(waiting(stage, carrier, "c2", 1))
        third = await calls.enter_async_context(waiting(stage, carrier, "c3", 2))
        fourth = await calls.enter_async_context(waiting(stage, carrier, "c4", 3))
        stage.dial()
        await stage.until(lambda: stage.obeyed)
        assert stage.obeyed[0].outcome == "refused", "whoever waits comes before anybody whom we call"
        await stage.until(lambda: was_told(second.phone, "queue_next"))
        await stage.until(lambda: was_told(third.phone, "queue_place", number="2"))
        await stage.until(lambda: was_told(fourth.phone, "queue_place", number="3"))
        assert is_music(second.phone)

        await third.dialog.hang_up()
        await stage.until(lambda: stage.places("c4") == [3, 2])
        ended = (await stage.until(lambda: (e := stage.events("c3")) and e[-1].kind == "call_ended" and e))[
            -1
        ]
        assert (ended.status, ended.reason) == ("ended", "queue_abandoned")
        assert [one.kind for one in stage.events("c3")] == ["media", "call_ended"], "it never began"
        await stage.until(lambda: was_told(fourth.phone, "queue_place", number="2"))

        second.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: not second.phone.is_talking)
        await asyncio.sleep(0.5)  # else the end of it is heard once it is their turn
        await first.dialog.hang_up()
        await stage.until(lambda: GREETING in stage.said("c2"))
        assert stage.places("c2") == [1, 0]
        assert stage.places("c4") == [3, 2, 1]
        assert stage.said("c2") == [GREETING], "nobody listens to a caller who waits"
        second.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c2"), 20)
        assert stage.said("c4") == []
        await second.dialog.hang_up()
        await stage.until(lambda: GREETING in stage.said("c4"))
        await stage.until(lambda: not is_music(fourth.phone))
        fourth.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c4"), 20)


def ended_as(stage: Stage, call_id: str, attempt: int = 1) -> str:
    """Why a call is over for its shard; empty while it is not."""
    events = stage.events(call_id, attempt)
    return events[-1].reason if events and events[-1].kind == "call_ended" else ""


async def test_a_real_telephone_waits_before_it_is_answered_and_the_queue_has_bounds() -> None:
    async with staged(**HOURS, most_calls=1) as (stage, carrier), contextlib.AsyncExitStack() as calls:
        stage.queue = {"is_answered": False, "most": 1}
        first = await calls.enter_async_context(calling(stage, carrier))
        await stage.until(lambda: GREETING in stage.said("c1"))
        async with phoning(stage) as phone:
            await stage.until(lambda: was_told(phone, "queue_next"), 25)
            assert [state for state, _ in phone.states] == ["CALLING", "EARLY"]
            await stage.until(lambda: is_music(phone))
            # It is full for a second one.
            mine, address = sockets()
            offer = sdp.Ours(address, 1).offer()
            assert (await refused(stage, carrier, offer)).code == 486
            assert len(stage.rang) == 2
            await first.dialog.hang_up()
            await stage.until(lambda: GREETING in stage.said("c2"))
            assert ("CONFIRMED", 200) in phone.states
            assert stage.places("c2") == [1, 0]
            # Too long a wait, before it is answered: busy. One that is answered hears so, and may press 1.
            stage.queue |= {"seconds": 1.0}
            end = await refused(stage, carrier, offer)
            assert end.code == 486
            await stage.until(lambda: ended_as(stage, "c3") == "queue_timeout")
            stage.queue = {"offers_callback": True}
            async with waiting(stage, carrier, "c4", 1) as caller:
                await stage.until(lambda: was_told(caller.phone, "queue_next", "queue_callback"))
                await caller.dialog.info(b"Signal=1\r\nDuration=160\r\n", "application/dtmf-relay")
                await stage.until(lambda: caller.end)
                assert was_told(caller.phone, "queue_noted", is_over=True)
            noted, over = stage.events("c4")[0], stage.events("c4")[-1]
            assert (noted.kind, noted.name) == ("function", "request_callback")
            assert (over.status, over.reason) == ("ended", "queue_callback")
            stage.queue = {"seconds": 0.5}
            async with waiting(stage, carrier, "c5", 1) as caller:
                await stage.until(lambda: caller.end)
                assert was_told(caller.phone, "queue_over", is_over=True)
            assert ended_as(stage, "c5") == "queue_timeout"
            phone.leave()
            await stage.until(lambda: stage.end_of("c2"))
        mine.close()


async def test_who_waits_goes_on_waiting_when_a_process_dies() -> None:
    async with staged(**HOURS, most_calls=1) as (stage, carrier), contextlib.AsyncExitStack() as calls:
        stage.queue = {}
        first = await calls.enter_async_context(calling(stage, carrier))
        await stage.until(lambda: GREETING in stage.said("c1"))
        second = await calls.enter_async_context(waiting(stage, carrier, "c2", 1))
        third = await calls.enter_async_context(waiting(stage, carrier, "c3", 2))
        stage.queue = {"is_answered": False}
        mine, address = sockets()
        early = carrier.invite(
            f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}", sdp.Ours(address, 9).offer(), caller="sip:+1415@c"
        )
        await stage.until(lambda: stage.places("c4") == [3])
        await stage.until(lambda: len(list((stage.home / "run" / "dialogs").glob("*.json"))) == 3)
        stage.processes["exchange"].send_signal(signal.SIGKILL)
        await stage.processes["exchange"].wait()
        await stage.until(lambda: is_music(second.phone))
        await stage.start("exchange")
        await stage.until(lambda: stage.places("c3") == [2, 2], 30)
        assert stage.places("c2") == [1, 1]
        await stage.until(lambda: ended_as(stage, "c4") == "line_lost"), "it was not answered yet"
        await stage.until(lambda: is_music(second.phone))
        await first.dialog.hang_up()
        await stage.until(lambda: GREETING in stage.said("c2"))
        await stage.until(lambda: stage.places("c3") == [2, 2, 1])
        # And its shard: another goes on, with whoever waits still in their place.
        os.kill(stage.shard_of("c3"), signal.SIGKILL)
        await stage.until(lambda: "c3" in {one.call_id for one in stage.lost})
        terms = stage.before["c3"]["queue"]
        stage.take_up("c3", 2, queue=terms)
        await stage.until(lambda: len(stage.briefs["c3"]) == 2)
        assert stage.places("c3") == [2, 2, 1]
        await second.dialog.hang_up()
        await stage.until(lambda: GREETING in stage.said("c3", 2))
        third.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c3", 2), 20)
        await early.hang_up()
        mine.close()
