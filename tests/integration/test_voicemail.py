"""Machines that answer calls of ours, over real SIP and RTP."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from typing import Any

import av
import numpy as np
import pytest

from tests.support.speech import words
from tests.support.telephone import Telephone, telephone
from tests.support.telephony import Stage, sockets, staged
from tests.unit.test_answering import GREETING, tone
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]


@contextlib.asynccontextmanager
async def answering(**voicemail: Any) -> AsyncIterator[tuple[Stage, Telephone, sip.Dialog]]:
    """Somebody or something has answered our call."""
    async with staged(voicemail={"detection": True, **voicemail}) as (stage, carrier):
        stage.dial()
        dialog = await asyncio.wait_for(anext(carrier.invitations()), 10)
        assert dialog.invitation is not None
        mine, address = sockets()
        answer, media = sdp.Ours(address, 3).answer(sdp.read(dialog.invitation.body))
        dialog.answer(answer)
        async with telephone(mine, media.remote) as phone:
            yield stage, phone, dialog
            await dialog.hang_up()


async def end(stage: Stage) -> tuple[str, str]:
    events = await stage.until(lambda: (e := stage.events("o1")) and e[-1].kind == "call_ended" and e, 30)
    return events[-1].status, events[-1].reason


def loud_seconds(stage: Stage) -> tuple[float, float]:
    """How long each side is heard in the recording."""
    with av.open(str(stage.home / "spool" / "o1.1.ogg")) as recording:
        sides = np.concatenate([frame.to_ndarray() for frame in recording.decode()], axis=1)
    size = 48_000 // 50
    blocks = np.abs(sides[:, : sides.shape[1] // size * size]).reshape(2, -1, size).max(axis=2)
    caller, agent = (blocks > 0.02).sum(axis=1) * 0.02
    return float(caller), float(agent)


async def test_nobody_talks_to_a_machine() -> None:
    async with answering() as (stage, phone, dialog):
        began = time.time()
        phone.say(words(GREETING))
        assert await end(stage) == ("ended", "voicemail")
        assert time.time() - began < 4
        assert phone.first_sound(0.0) is None, "the agent has not said a word"
        await stage.until(lambda: dialog.is_over)


async def test_a_message_is_left_after_the_beep() -> None:
    async with answering(action="leave_message", message="Please call us back.") as (stage, phone, dialog):
        greeting = words(GREETING)
        phone.say(np.concatenate([greeting, np.zeros(4000, np.int16), tone(1000.0, 0.4)]))
        await stage.until(lambda: not phone.is_talking)
        beeped_at = phone.spoke_until
        assert await end(stage) == ("completed", "voicemail_message_left")
        first = phone.first_sound(0.0)
        assert first is not None
        assert 0 < first - beeped_at < 2.5
        assert stage.said("o1") == [("agent", "Please call us back.")]
        machine, agent = loud_seconds(stage)
        assert machine > len(greeting) / 8000 / 2, "from the answer on"
        assert agent > 0.5
        await stage.until(lambda: dialog.is_over)


async def test_a_person_hears_the_agent_and_what_was_played_before_is_nobodys_answer() -> None:
    # Else the announcement, which waits at the socket, is heard as a machine with the first packets.
    async with staged(voicemail={"detection": True}) as (stage, carrier):
        stage.dial()
        async with announced(carrier) as (phone, dialog, answer):
            phone.say(words(GREETING))
            await stage.until(lambda: not phone.is_talking)
            assert stage.briefs == {}, "nobody has answered"
            dialog.answer(answer)
            await asyncio.sleep(0.5)
            phone.say(words("Hello?"))
            await stage.until(lambda: len(stage.said("o1")) == 1, 30)
            assert stage.said("o1")[0][1] == "Hello, how may I help?"
            assert phone.first_sound(0.0)
            assert not dialog.is_over
            await dialog.hang_up()
        assert await end(stage) == ("completed", "user_hangup")
        hello, agent = loud_seconds(stage)
        assert hello > 0.1, "a person's first word is recorded"
        assert hello < len(words("Hello?")) / 8000 + 0.2, "and no announcement before the answer"
        assert agent > 0.5
        # "The number you have dialled is not in service", and no answer ever.
        stage.dial(call_id="o2")
        async with announced(carrier) as (phone, dialog, _):
            phone.say(words(GREETING))
            await stage.until(lambda: not phone.is_talking)
            dialog.reject(404)
            ended = await stage.until(lambda: stage.end_of("o2"))
            assert (ended.sip_code, stage.states("o2")) == (404, ["ringing", "ended"])
            assert "o2" not in stage.briefs, "no agent was asked for"


@contextlib.asynccontextmanager
async def announced(carrier: sip.Engine) -> AsyncIterator[tuple[Telephone, sip.Dialog, bytes]]:
    """Somebody whose carrier plays something while it rings; what it would be answered with."""
    dialog = await asyncio.wait_for(anext(carrier.invitations()), 10)
    assert dialog.invitation is not None
    mine, address = sockets()
    answer, media = sdp.Ours(address, 3).answer(sdp.read(dialog.invitation.body))
    dialog.ring(body=answer)
    async with telephone(mine, media.remote) as phone:
        yield phone, dialog, answer
