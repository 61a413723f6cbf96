"""A real telephone at the other end: PJSIP."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sip.conftest import OFFER
from tests.support.ear import Ear
from tests.support.far_end import sdp
from worker.exchange.sip import Answered, Ended, Engine, Offer, Progress

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pjsua2-python has wheels for Linux only")


async def test_a_telephone_answers_holds_resumes_and_hangs_up(engine: Engine) -> None:
    phone = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.pjsip_phone"),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    output = phone.stdout
    assert output is not None
    seen: list[dict[str, Any]] = []

    async def read() -> dict[str, Any]:
        # PJSIP says what it likes before it is told to be quiet.
        while not (text := await asyncio.wait_for(output.readline(), 20)).startswith(b"{"):
            assert text
        seen.append(json.loads(text))
        return seen[-1]

    port = (await read())["port"]
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
    await asyncio.wait_for(phone.wait(), 20)
    while text := await output.readline():
        if text.startswith(b"{"):
            seen.append(json.loads(text))
    assert phone.returncode == 0
    invites = [line["invite"] for line in seen if "invite" in line]
    assert len(invites) == 2
    assert all("X-Foo: bar" in invite for invite in invites)
    assert [line["state"] for line in seen if "state" in line].count("CONFIRMED") == 2
