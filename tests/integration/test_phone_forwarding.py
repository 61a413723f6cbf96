"""A call that no agent takes is forwarded to a telephone that rings: over real SIP and RTP, by PJSIP."""

import asyncio
import signal
import sys

import pytest

from tests.support.pjsip import Pjsip, pjsip
from tests.support.speech import words
from tests.support.telephony import NUMBER, Stage, staged

pytestmark = [
    pytest.mark.phones,
    pytest.mark.timeout(120),
    pytest.mark.skipif(sys.platform != "linux", reason="pjsua2-python has wheels for Linux only"),
]

DESK, BUSY, SLOW = "+14155550177", "+14155550178", "+14155550179"
LINES = {DESK: {"rings": 1.0}, BUSY: {"answers": 486}, SLOW: {"rings": 60.0}}


async def over_this_telephone(stage: Stage, phone: Pjsip) -> None:
    """The trunk leads there from now on."""
    (port,) = phone.all("port")
    stage.trunk = stage.trunk.model_copy(update={"server": f"127.0.0.1:{port}"})
    stage.is_trunk_told = False
    await stage.until(lambda: stage.is_trunk_told)
    await asyncio.sleep(0.3)


def dials(stage: Stage, caller: Pjsip) -> None:
    caller.do("dial", value=f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}")


async def test_a_call_without_a_process_for_it_rings_at_the_number_that_is_named() -> None:
    async with staged(shards=1) as (stage, _), pjsip(LINES) as desk, pjsip({"+14155550100": {}}) as caller:
        await over_this_telephone(stage, desk)
        stage.processes["shard-1"].send_signal(signal.SIGKILL)
        await stage.processes["shard-1"].wait()
        await stage.until(lambda: stage.shards_met() == 0)
        stage.forward = {"to_number": DESK}
        dials(stage, caller)
        (invite,) = await desk.until(lambda: desk.all("invite"))
        assert f"Diversion: <sip:{NUMBER}@" in invite
        assert NUMBER in next(line for line in invite.splitlines() if line.startswith("From:"))
        await caller.until(lambda: "EARLY" in caller.all("state"))
        assert "CONFIRMED" not in caller.all("state"), "nobody has answered yet"
        await asyncio.gather(desk.talks(), caller.talks())
        await stage.until(lambda: stage.states("c1") == ["answered"])
        assert [(one.is_busy, one.is_unheld) for one in stage.rang] == [(True, True)]
        caller.say(words("What are your opening hours?"))
        assert "opening hours" in await desk.hears()
        # The exchange dies: the two talk on, and the next one still knows who they are.
        stage.processes["exchange"].send_signal(signal.SIGKILL)
        await stage.processes["exchange"].wait()
        await stage.start("exchange")
        await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.bridged == ("c1",), 30)
        since = len(caller.heard())
        desk.say(words("We are open from nine to five."))
        assert "we are open" in await caller.hears(since=since)
        caller.do("hang_up")
        await desk.until(lambda: "DISCONNECTED" in desk.all("state"))
        end = await stage.until(lambda: stage.end_of("c1"))
        assert end.sip_code == 200

        # Busy there; and a caller who does not wait for a telephone that rings on.
        await over_this_telephone(stage, desk)
        stage.forward = {"to_number": BUSY}
        dials(stage, caller)
        end = await stage.until(lambda: stage.end_of("c2"))
        assert end.sip_code == 486
        await caller.until(lambda: 486 in caller.all("code", 1))
        stage.forward = {"to_number": SLOW}
        dials(stage, caller)
        await desk.until(lambda: "EARLY" in desk.all("state", 2))
        caller.do("hang_up", 2)
        await desk.until(lambda: "DISCONNECTED" in desk.all("state", 2))
        end = await stage.until(lambda: stage.end_of("c3"))
        assert end.sip_code == 487
        await stage.until(lambda: stage.descriptors(stage.processes["exchange"].pid) == 1)
        assert not list((stage.home / "run" / "dialogs").iterdir())
