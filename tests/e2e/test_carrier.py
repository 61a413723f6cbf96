"""Calls with a real telephone through a real carrier, and what dies meanwhile.

What the agent said is what was understood of the telephone's own recording.
"""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from tests.integration.test_phone_holds import is_music
from tests.support import baresip
from tests.support.carrier import CREDENTIAL, DID, FORK
from tests.support.carrier_house import House, carrier_house, refusing
from tests.support.far_call import FarCall
from tests.support.pjsip import RATE, Pjsip, longest_silence, silent, written
from tests.support.speech import understood, words
from tests.support.stack import process_of, service_of
from tests.unit.test_answering import GREETING, tone
from worker.lines.phone import NO_MEDIA_SECONDS

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.phones,
    pytest.mark.timeout(300),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(sys.platform != "linux", reason="pjsua2-python has wheels for Linux only"),
]

PERSON, MACHINE, DESK = "+14155550123", "+14155550199", "+14155550150"
REFUSALS = {
    "+14155550161": (486, "busy"),
    "+14155550162": (480, "no_answer"),
    "+14155550163": (603, "failed"),
    "+14155550164": (404, "failed"),
}
SATURDAY, CLOSES = "What are your opening hours on Saturday?", re.compile(r"\b(1|one) ?p\.? ?m")
"""Only the knowledge base knows."""
EXCHANGE = ("-m", "worker", "exchange")
SERVICES = "Which services do you offer?"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    """Everything, once for all that is here."""
    folder = tmp_path_factory.mktemp("carrier")
    machine = np.concatenate([words(GREETING), silent(0.5), tone(1000.0, 0.4)])
    lines: dict[str, dict[str, Any]] = {
        PERSON: {"rings": 3.0},
        FORK: {"rings": 1.0, "then": [(2.0, "hang_up")]},
        MACHINE: {"rings": 0.5, "plays": written(folder / "machine.wav", machine)},
        DESK: {"rings": 0.5},
    }
    async with carrier_house(folder / "home", lines) as house:
        yield house


async def test_a_caller_is_answered_from_knowledge_holds_and_outlives_two_processes(house: House) -> None:
    phone = house.phone
    call, call_id = await house.rings()
    assert "hours, prices" in await phone.hears(call)
    assert CLOSES.search(await house.asks(call, SATURDAY))
    phone.do("hold", call)
    await phone.until(lambda: phone.all("sounds", call)[-1] is False)
    await asyncio.sleep(1.5)
    phone.do("resume", call)
    await phone.until(lambda: phone.all("sounds", call)[-1] is True)
    # A shard dies in the middle of a sentence.
    killed_at = await _interrupted(house, call)
    (await process_of(call_id)).kill()
    # Longer than what is allowed below, or the rest of the sentence counts as all that was said.
    assert "cut off" in await phone.hears(call, killed_at, quiet=2.0)
    assert longest_silence(phone.heard(call)[killed_at - RATE // 4 :]) < 1.5
    assert CLOSES.search(await house.asks(call, SATURDAY))
    # The exchange dies while the agent speaks: the sound goes on.
    killed_at = await _interrupted(house, call)
    exchange = await service_of(house.stack.home, *EXCHANGE)
    exchange.kill()
    exchange.wait(5)
    await service_of(house.stack.home, *EXCHANGE)
    await house.registered()
    await phone.hears(call, killed_at)
    assert longest_silence(phone.heard(call)[killed_at - RATE // 4 :][: 2 * RATE]) < 1.0
    assert CLOSES.search(await house.asks(call, SATURDAY))
    phone.do("hang_up", call)
    over = await house.stack.ended(call_id)
    assert (over["call_status"], over["disconnection_reason"]) == ("completed", "user_hangup")
    assert (over["from_number"], over["to_number"], over["attempt"]) == (PERSON, DID, 2)


async def _interrupted(house: House, call: int) -> int:
    """A place of the recording where the agent is in the middle of a long answer."""
    at = len(house.phone.heard(call))
    await asyncio.sleep(house.phone.say(words(SERVICES), call))
    await house.phone.until(lambda: _speaks(house.phone, call, at))
    await asyncio.sleep(1.0)
    return len(house.phone.heard(call))


def _speaks(phone: Pjsip, call: int, since: int) -> bool:
    sound = phone.heard(call)[since:]
    return bool(len(sound)) and bool((np.abs(sound.astype(np.int32)) > 500).any())


async def test_a_hold_of_either_side_may_last_longer_than_a_lost_line(house: House) -> None:
    """Two calls at once: one is held at the telephone, the other one by us."""
    phone = house.phone
    theirs, their_id = await house.rings()
    await phone.hears(theirs)
    phone.do("hold", theirs)
    await phone.until(lambda: phone.all("sounds", theirs)[-1] is False)
    held_at = time.monotonic()
    ours, our_id = await house.rings()
    await phone.hears(ours)
    await house.stack.post(f"/v1/calls/{our_id}/hold", {"sound": "music"})
    since = len(phone.heard(ours))
    await asyncio.sleep(NO_MEDIA_SECONDS + 3)
    assert is_music(phone.heard(ours)[since + RATE : since + RATE * 20])
    phone.do("resume", theirs)
    await phone.until(lambda: phone.all("sounds", theirs)[-1] is True)
    assert time.monotonic() - held_at > NO_MEDIA_SECONDS
    await house.stack.post(f"/v1/calls/{our_id}/resume")
    answers = await asyncio.gather(*(house.asks(call, SATURDAY) for call in (theirs, ours)))
    assert all(CLOSES.search(answer) for answer in answers), answers
    for call, call_id, by in ((theirs, their_id, "caller"), (ours, our_id, "order")):
        phone.do("hang_up", call)
        over = await house.stack.ended(call_id)
        assert (over["call_status"], over["disconnection_reason"]) == ("completed", "user_hangup")
        (held,) = over["holds"]
        assert held["by"] == by
        assert over["duration_ms"] > NO_MEDIA_SECONDS * 1000


async def _outrung(call: FarCall) -> None:
    """Rings until somebody else has answered."""
    call.reply(180, "Ringing")
    if await call.until(lambda: bool(call.of("CANCEL")), 20):
        call.reply(487, "Request Terminated")


async def test_calls_out_end_as_the_far_side_says_even_when_every_tenth_packet_is_lost(house: House) -> None:
    phone, far = house.phone, house.trunk.far
    message = {"voicemail_action": "leave_message", "voicemail_message": "Please call us back."}
    await house.change(voicemail_detection_enabled=True, **message)
    for number, (code, _) in REFUSALS.items():
        far.on(number, refusing(code))
    far.on(FORK, _outrung)
    house.trunk.relay.loss = 0.1
    try:
        calls = {number: await house.dials(number) for number in (PERSON, FORK, MACHINE, *REFUSALS)}
        person = await house.called(PERSON)
        await phone.talks(person)
        assert "hours, prices" in await phone.hears(person)
        phone.do("hang_up", person)
        ended = {number: await house.stack.ended(call_id, timeout=60) for number, call_id in calls.items()}
    finally:
        house.trunk.relay.loss = 0.0
    assert house.trunk.relay.lost > 5
    for number, (code, status) in REFUSALS.items():
        assert (ended[number]["call_status"], ended[number]["sip_code"]) == (status, code), number
    assert ended[PERSON]["call_status"] == ended[FORK]["call_status"] == "completed"
    told = ended[MACHINE]["call_status"], ended[MACHINE]["disconnection_reason"]
    assert told == ("completed", "voicemail_message_left")
    assert "call us back" in await phone.hears(await house.called(MACHINE), quiet=0)
    (fork,) = [call for call in far.calls if call.invite.user == FORK]
    assert fork.of("CANCEL"), "whoever answers second is not waited for"


async def test_another_makers_telephone_is_answered_too(house: House, tmp_path: Path) -> None:
    await house.change(begin_message="Hello.")
    said = np.concatenate([silent(4.0), words(SATURDAY), silent(10.0)])
    proxy = f"127.0.0.1:{house.trunk.inner}"
    heard = await baresip.call(tmp_path, proxy, "+14155550300", CREDENTIAL.password, DID, said)
    assert CLOSES.search(understood(heard.repeat(2), 16_000))
    call = (await house.stack.get("/v1/calls"))["calls"][0]
    assert (call["from_number"], call["to_number"]) == ("+14155550300", DID)


async def test_a_caller_is_handed_to_the_desk_by_the_carrier(house: House) -> None:
    phone = house.phone
    desk = {"name": "Front desk", "type": "phone", "value": DESK}
    await house.change(transfer_targets=[desk])
    call, call_id = await house.rings()
    await phone.hears(call)
    await house.stack.post(f"/v1/calls/{call_id}/transfer", {"target": "Front desk"})
    over = await house.stack.ended(call_id, timeout=30)
    assert over["call_status"] == "transferred"
    assert DESK in phone.all("referred", call)[0]
    await phone.talks(await house.called(DESK))
    await phone.until(lambda: "DISCONNECTED" in phone.all("state", call))
