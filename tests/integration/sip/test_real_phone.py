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
    acts = [(0.4, "hold"), (1.1, "resume"), (1.8, "hang_up")]
    async with pjsip({"phone": {"rings": 0.3, "then": acts}}) as phone:
        (port,) = phone.all("port")
        for transport in ("", ";transport=tcp"):
            uri = f"sip:phone@127.0.0.1:{port}{transport}"
            headers = [("X-Foo", "bar")]
            ear = Ear(engine.invite(uri, OFFER, caller="sip:us@127.0.0.1", headers=headers))
            answered = await ear.hear(Answered)
            assert b"m=audio" in answered.body
            assert [event.code for event in ear.all(Progress)] == [180]
            for nth, direction in enumerate(("sendonly", "sendrecv"), 1):
                offer = await ear.hear(Offer, nth=nth)
                assert direction.encode() in offer.body
                answer = "recvonly" if direction == "sendonly" else "sendrecv"
                offer.accept(body=sdp(answer, nth).encode())
            ended = await ear.hear(Ended)
            assert (ended.by, ended.code) == ("far", 200)
        await phone.until(lambda: phone.all("state").count("DISCONNECTED") == 2)
    invites = phone.all("invite")
    assert len(invites) == 2
    assert all("X-Foo: bar" in invite for invite in invites)
    assert phone.all("state").count("CONFIRMED") == 2
