"""Keys pressed on both sides of a carrier: at a real telephone, and on the payload 96 that another chose."""

import asyncio
import sys

import pytest

from pipelines.contract.events import FunctionCalled
from pipelines.contract.phones import SipTrunk
from tests.support.carrier import CREDENTIAL, DID, Carrier, carrier
from tests.support.far_call import FarCall
from tests.support.pjsip import pjsip
from tests.support.rtp import Sender, key_packets
from tests.support.sip_messages import Message, sdp
from tests.support.speech import words
from tests.support.telephone import Telephone, bound, telephone
from tests.support.telephony import Stage, staged
from worker.exchange import sdp as descriptions

pytestmark = [
    pytest.mark.phones,
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="pjsua2-python has wheels for Linux only"),
]

FAR = "+14155550900"
SENDS, COLLECTS = "Two please.", "My PIN."
SCRIPT = {
    "heard": (SENDS, COLLECTS),
    "answers": {
        SENDS: {"name": "send_digits", "arguments": {"digits": "2#"}},
        COLLECTS: {"name": "collect_digits", "arguments": {"count": 4}},
    },
    "engine": {"builtin_functions": ["send_digits", "collect_digits"]},
}


def _results(stage: Stage, call_id: str) -> list[str]:
    return [event.result for event in stage.events(call_id) if isinstance(event, FunctionCalled)]


async def _register(stage: Stage, trunk: Carrier) -> None:
    """The exchange is a customer of this carrier."""
    stage.trunk = SipTrunk(
        trunk_id="trunk_c",
        server=f"127.0.0.1:{trunk.proxy_port}",
        username=CREDENTIAL.username,
        password=CREDENTIAL.password,
        registers=True,
    )
    await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.trunks.get("trunk_c") == "")


async def test_keys_go_both_ways_through_a_carrier() -> None:
    async with (
        carrier() as trunk,
        staged(**SCRIPT) as (stage, _),
        pjsip({"+14155550123": {}}, f"127.0.0.1:{trunk.inner}") as phone,
    ):
        await _register(stage, trunk)
        phone.do("dial", value=f"sip:{DID}@127.0.0.1:{trunk.inner}")
        await phone.talks()
        await stage.until(lambda: len(stage.said("c1")) == 1)
        await asyncio.sleep(phone.say(words("I would like two of them please.")))
        await phone.until(lambda: phone.all("key") == ["2", "#"])
        await asyncio.sleep(phone.say(words("I would like to type my PIN.")))
        await stage.until(lambda: ("user", COLLECTS) in stage.said("c1"))
        await asyncio.sleep(0.3)
        phone.do("keys", value="1973")
        await stage.until(lambda: "The person typed 1 9 7 3." in _results(stage, "c1"))
        phone.do("hang_up")
        await stage.until(lambda: stage.end_of("c1"))
        await _on_payload_96(stage, trunk)


async def _on_payload_96(stage: Stage, trunk: Carrier) -> None:
    mine = bound()
    offered: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    wanted = sdp().replace("40000 RTP/AVP 0", f"{mine.getsockname()[1]} RTP/AVP 0 96")
    wanted = wanted.replace("a=sendrecv", "a=rtpmap:96 telephone-event/8000\r\na=fmtp:96 0-16\r\na=sendrecv")

    async def answer(call: FarCall) -> None:
        call.reply(180, "Ringing")
        await asyncio.sleep(3.0)
        call.reply(200, "OK", body=wanted)
        offered.set_result(call.invite)

    trunk.far.on(FAR, answer)
    stage.dial(FAR, call_id="o2")
    invite = await asyncio.wait_for(offered, 15)
    remote = descriptions.read(invite.body.encode()).remote
    async with telephone(mine, remote) as phone:
        await stage.until(lambda: len(stage.said("o2")) == 1)
        phone.say(words("I would like two of them please."))
        await stage.until(lambda: _keys(phone))
        await stage.until(lambda: "Sent 2#" in str(_results(stage, "o2")))
        phone.say(words("I would like to type my PIN."))
        await stage.until(lambda: ("user", COLLECTS) in stage.said("o2"))
        await asyncio.sleep(0.3)
        keys = Sender(ssrc=phone.sender.ssrc, sequence=phone.sender.sequence, timestamp=90_000)
        for code in (4, 5, 6, 7):
            phone.press(key_packets(keys, code, 96))
        await stage.until(lambda: "The person typed 4 5 6 7." in _results(stage, "o2"))
        await asyncio.sleep(0.2)
        assert _keys(phone) == [2, 11]
        assert await trunk.far.calls[0].request("BYE")
    await stage.until(lambda: stage.end_of("o2"))


def _keys(phone: Telephone) -> list[int]:
    """RFC 4733's numbers of the keys that were heard on the payload that was asked for."""
    starts = [one for _, one in phone.heard if one.payload_type == 96]
    by_time = {one.timestamp: one.payload[0] for one in starts}
    return list(by_time.values())
