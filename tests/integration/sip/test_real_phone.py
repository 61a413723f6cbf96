"""A real telephone at the other end: PJSIP."""

import sys

import pytest

from tests.integration.sip.conftest import OFFER
from tests.support.ear import Ear
from tests.support.pjsip import pjsip
from tests.support.sip_messages import sdp
from worker.exchange.sip import Answered, Ended, Engine, Offer, Progress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pjsua2-python has wheels for Linux only")


async def test_a_telephone_answers_holds_resumes_and_hangs_up(engine: Engine) -> None:
    async with pjsip({"phone": {"rings": 0.3}}) as phone:
        (port,) = phone.all("port")
        for call, transport in enumerate(("", ";transport=tcp")):
            uri = f"sip:phone@127.0.0.1:{port}{transport}"
            headers = [("X-Foo", "bar")]
            ear = Ear(engine.invite(uri, OFFER, caller="sip:us@127.0.0.1", headers=headers))
            answered = await ear.hear(Answered)
            assert b"m=audio" in answered.body
            assert [event.code for event in ear.all(Progress)] == [180]
            await phone.talks(call)
            for nth, (action, direction) in enumerate((("hold", "sendonly"), ("resume", "sendrecv")), 1):
                phone.do(action, call)
                offer = await ear.hear(Offer, nth=nth)
                assert direction.encode() in offer.body
                answer = "recvonly" if direction == "sendonly" else "sendrecv"
                offer.accept(body=sdp(answer, nth).encode())
                # It asks for nothing more before it knows the answer.
                is_on = direction == "sendrecv"
                await phone.until(lambda c=call, is_on=is_on: phone.all("sounds", c)[-1] is is_on)
            phone.do("hang_up", call)
            ended = await ear.hear(Ended)
            assert (ended.by, ended.code) == ("far", 200)
        await phone.until(lambda: phone.all("state").count("DISCONNECTED") == 2)
    invites = phone.all("invite")
    assert len(invites) == 2
    assert all("X-Foo: bar" in invite for invite in invites)
    assert phone.all("state").count("CONFIRMED") == 2
