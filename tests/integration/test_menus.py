"""Menus that answer calls of ours, over real SIP and RTP: keys on the payload asked for, and machines."""

import asyncio

import numpy as np
import pytest

from pipelines.contract.events import FunctionCalled
from tests.support.speech import words
from tests.support.telephone import Telephone, telephone
from tests.support.telephony import sockets, staged
from worker.exchange import sdp

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]

MENU, TONE = (
    "For appointments with one of our dentists please press 2.",
    "Please leave a message after the tone.",
)
MESSAGE = "Please call us back."
PRESSES = {"name": "press_keys", "arguments": {"digits": "2w#"}}
SCRIPT = {
    "heard": (MENU, TONE),
    "answers": {
        MENU: PRESSES,
        TONE: {"name": "machine_answered"},
    },
}


def _keys(phone: Telephone, payload_type: int) -> list[int]:
    """RFC 4733's numbers of the keys that came on it."""
    by_time = {one.timestamp: one.payload[0] for _, one in phone.heard if one.payload_type == payload_type}
    return list(by_time.values())


async def test_a_menu_is_answered_by_keys_and_a_machine_gets_its_message_instead_of_a_hang_up() -> None:
    voicemail = {"detection": True, "action": "leave_message", "message": MESSAGE}
    agent = {"ivr_navigation": {"goal": "the appointments desk"}, "voicemail": voicemail}
    async with staged(**SCRIPT, **agent) as (stage, carrier):
        stage.dial()
        dialog = await asyncio.wait_for(anext(carrier.invitations()), 10)
        assert dialog.invitation is not None
        mine, address = sockets()
        answer, media = sdp.Ours(address, 3).answer(sdp.read(dialog.invitation.body))
        dialog.answer(answer.replace(b" 101", b" 97").replace(b":101 ", b":97 "))
        async with telephone(mine, media.remote) as phone:
            phone.say(words(MENU))  # of which AMD would have made a machine
            await stage.until(lambda: len(_keys(phone, 97)) == 2, 30)
            assert _keys(phone, 97) == [2, 11]
            assert phone.first_sound(0.0) is None, "nobody talks to a menu"
            phone.hush()
            await asyncio.sleep(1.0)
            phone.say(np.concatenate([words(TONE), np.zeros(4000, np.int16)]))
            ended = await stage.until(
                lambda: (e := stage.events("o1")) and e[-1].kind == "call_ended" and e, 30
            )
            assert (ended[-1].status, ended[-1].reason) == ("completed", "voicemail_message_left")
            assert phone.first_sound(0.0) is not None
            ran = [(one.name, one.result) for one in ended if isinstance(one, FunctionCalled)]
            assert ran == [("press_keys", "Pressed 2w#"), ("ivr_navigation", "A machine answered.")]
            assert stage.said("o1") == [("user", MENU), ("user", TONE), ("agent", MESSAGE)]
        await dialog.hang_up()
