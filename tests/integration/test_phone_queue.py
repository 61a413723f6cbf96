"""Callers for whom no line is free stand in a queue; over real SIP and RTP, exchange and shards are processes."""

import asyncio
import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator

import numpy as np
import pytest

from pipelines.phrases import Phrase, phrase
from tests.support.fake_providers import SECONDS_A_LETTER
from tests.support.speech import words
from tests.support.telephone import Telephone
from tests.support.telephony import NUMBER, Caller, Stage, calling, refused, sockets, staged
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]

HOURS = {"heard": ("What are your hours?",) * 4, "answers": {"What are your hours?": "Nine to five."}}
GREETING = ("agent", "Hello, how may I help?")
VOICE = 4000
"""Above this a frame is the voice, whose tone is louder than the music."""


def sentences(phone: Telephone) -> list[float]:
    """How long each was that a caller heard to its end, in seconds."""
    frames = phone.sound().astype(float)
    frames = frames[: len(frames) // 160 * 160].reshape(-1, 160)
    loud = np.sqrt((frames**2).mean(axis=1)) > VOICE
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(int), [0]])))
    runs = [(b - a) * 0.02 for a, b in zip(edges[::2], edges[1::2], strict=True)]
    return [round(one, 1) for one in (runs[:-1] if len(loud) and loud[-1] else runs) if one > 0.5]


def lasts(name: Phrase, number: str = "") -> float:
    """How long a sentence is in this voice."""
    return len(phrase(name, "en").format(place=number)) * SECONDS_A_LETTER


def was_told(phone: Telephone, name: Phrase, number: str = "") -> bool:
    return any(abs(one - lasts(name, number)) < 0.15 for one in sentences(phone))


def is_music(phone: Telephone) -> bool:
    """Something softer than the voice plays now."""
    last = phone.sound()[-4000:].astype(float)
    return len(last) == 4000 and 100 < np.sqrt((last**2).mean()) < VOICE


@contextlib.asynccontextmanager
async def waiting(stage: Stage, carrier: sip.Engine, call_id: str, place: int) -> AsyncIterator[Caller]:
    """Call while no line is free, and be answered with a place in the queue."""
    async with calling(stage, carrier) as caller:
        await stage.until(lambda: stage.places(call_id) == [place])
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
        await stage.until(lambda: was_told(third.phone, "queue_place", "2"))
        await stage.until(lambda: was_told(fourth.phone, "queue_place", "3"))
        assert is_music(second.phone)

        await third.dialog.hang_up()
        await stage.until(lambda: stage.places("c4") == [3, 2])
        ended = (await stage.until(lambda: (e := stage.events("c3")) and e[-1].kind == "call_ended" and e))[
            -1
        ]
        assert (ended.status, ended.reason) == ("ended", "queue_abandoned")
        assert [one.kind for one in stage.events("c3")] == ["media", "call_ended"], "it never began"
        await stage.until(lambda: was_told(fourth.phone, "queue_place", "2"))

        second.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: not second.phone.is_talking)
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
