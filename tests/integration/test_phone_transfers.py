"""A caller is handed to a person, over real SIP and RTP: by the carrier, else by us."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import numpy as np
import pytest

from tests.support.speech import words
from tests.support.telephone import Telephone, telephone
from tests.support.telephony import NUMBER, Caller, Stage, calling, sockets, staged
from tests.unit.test_answering import tone
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]

PERSON = "+14155550177"
TALK = {
    "heard": ("A human please.", "Then tell me the hours."),
    "answers": {
        "A human please.": {"name": "transfer_call", "arguments": {"target": "Billing"}},
        "Then tell me the hours.": "Nine to five.",
    },
}
AGENT = {
    "engine": {"builtin_functions": ["transfer_call"]},
    "transfer_targets": [{"name": "Billing", "kind": "phone", "value": PERSON}],
}


@pytest.fixture
async def house() -> AsyncIterator[tuple[Stage, sip.Engine]]:
    async with staged(**TALK, **AGENT) as (stage, carrier):
        yield stage, carrier


async def asks_for_somebody(stage: Stage, caller: Caller, call_id: str = "c1") -> None:
    """The agent is asked to hand the call on."""
    wish = words("I want to talk to a human please.")  # made before: a telephone that stood still would rush
    await stage.until(lambda: len(stage.said(call_id)) == 1)
    caller.phone.say(wish)


async def referred(stage: Stage, caller: Caller) -> sip.Referred:
    """The REFER, once it has come."""
    return await stage.until(lambda: next((e for e in caller.seen if isinstance(e, sip.Referred)), None))


async def goes_on(stage: Stage, caller: Caller, why: str) -> None:
    """The agent says why, and has not left."""
    await stage.until(lambda: any(why in text for role, text in stage.said("c1") if role == "agent"))
    caller.phone.say(words("Then please tell me your opening hours."))
    await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
    assert caller.end is None
    assert stage.events("c1")[-1].kind != "call_ended"


@dataclass
class Person:
    """Who was called for the caller, and what happened to their call."""

    dialog: sip.Dialog
    seen: list[sip.Event] = field(default_factory=list)
    phone: Telephone = field(init=False)

    @property
    def end(self) -> sip.Ended | None:
        return next((event for event in self.seen if isinstance(event, sip.Ended)), None)


async def _follow(person: Person) -> None:
    async for event in person.dialog.events():
        person.seen.append(event)


@contextlib.asynccontextmanager
async def called(carrier: sip.Engine, before: Callable[[], None] = lambda: None) -> AsyncIterator[Person]:
    """Somebody whose telephone rings; `before` it something happens."""
    person = Person(await asyncio.wait_for(anext(carrier.invitations()), 30))
    before()
    person.dialog.ring()
    following = asyncio.create_task(_follow(person))
    try:
        yield person
    finally:
        await person.dialog.hang_up()
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


@contextlib.asynccontextmanager
async def picks_up(
    person: Person, before: Callable[[Telephone], Awaitable[None]] | None = None
) -> AsyncIterator[Telephone]:
    """They answer; `before` it their carrier plays something."""
    assert person.dialog.invitation is not None
    mine, address = sockets()
    answer, media = sdp.Ours(address, 3).answer(sdp.read(person.dialog.invitation.body))
    if before is not None:
        person.dialog.ring(body=answer)
    else:
        person.dialog.answer(answer)
    async with telephone(mine, media.remote) as phone:
        if before is not None:
            await before(phone)
            person.dialog.answer(answer)
        yield phone


def loudness(sound: np.ndarray, hertz: float) -> float:
    """Amplitude of one tone in what was heard, int16 at 8 kHz."""
    turns = np.exp(-2j * np.pi * hertz * np.arange(len(sound)) / 8000)
    return float(abs(np.mean(sound * turns)) * 2) if len(sound) >= 2000 else 0.0


async def is_transferred(stage: Stage) -> None:
    """So the call's record says."""
    events = await stage.until(lambda: (e := stage.events("c1")) and e[-1].kind == "call_ended" and e)
    assert (events[-1].status, events[-1].reason) == ("transferred", "transferred")


async def is_clean(stage: Stage) -> None:
    """No socket and no dialog is left."""
    await stage.until(lambda: stage.descriptors(stage.processes["exchange"].pid) == 1)
    assert not list((stage.home / "run" / "dialogs").iterdir())


async def test_the_carrier_hands_the_caller_on(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    async with calling(stage, carrier) as caller:
        await asks_for_somebody(stage, caller)
        asked = await referred(stage, caller)
        assert asked.target == f"sip:{PERSON}@{stage.trunk.server}"
        asked.accept()
        await caller.dialog.notify(180)
        await caller.dialog.notify(200, is_last=True)
        end = await stage.until(lambda: caller.end)
        assert end.by == "far", "nobody of ours is needed any more"
        await is_transferred(stage)
    await is_clean(stage)


async def test_nobody_is_there_and_the_agent_goes_on(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    async with calling(stage, carrier) as caller:
        await asks_for_somebody(stage, caller)
        (await referred(stage, caller)).accept()
        await caller.dialog.notify(486, is_last=True)
        await goes_on(stage, caller, "Nobody could be reached there: 486")


@pytest.mark.parametrize(("code", "who_hangs_up"), [(603, "caller"), (405, "person")])
async def test_a_carrier_that_does_not_refer_is_made_up_for(
    house: tuple[Stage, sip.Engine], code: int, who_hangs_up: str
) -> None:
    stage, carrier = house
    stage.trunk = stage.trunk.model_copy(update={"asserts_identity": code == 603})
    await asyncio.sleep(3.5)  # it is asked for again
    async with calling(stage, carrier) as caller:
        await asks_for_somebody(stage, caller)
        (await referred(stage, caller)).refuse(code)
        async with called(carrier) as person:
            assert person.dialog.invitation is not None
            assert person.dialog.invitation.uri.startswith(f"sip:{PERSON}@")
            assert NUMBER in (person.dialog.invitation.headers.first("From") or "")
            asserted = person.dialog.invitation.headers.first("P-Asserted-Identity")
            assert asserted == (f"<sip:{NUMBER}@{stage.trunk.server}>" if code == 603 else None)
            rings_at = time.time()
            await stage.until(lambda: caller.phone.first_sound(rings_at))
            assert caller.end is None, "they hear that it rings"

            async def announced(phone: Telephone) -> None:
                """It is heard in the place of our ringing tone, and nothing was answered."""
                phone.say(tone(1300.0, 8.0))

                def heard(hertz: float) -> float:
                    return loudness(caller.phone.sound()[-4000:], hertz)

                await stage.until(lambda: heard(1300.0) > 1000 and heard(425.0) < 50)
                assert stage.events("c1")[-1].kind != "call_ended"
                phone.hush()

            async with picks_up(person, announced if code == 603 else None) as phone:
                await is_transferred(stage)
                await stage.until(lambda: len(phone.heard) > 50)
                for one, another in ((caller.phone, phone), (phone, caller.phone)):
                    began = time.time()
                    one.say(words("Hello, is somebody there?"))
                    heard_at = await stage.until(lambda other=another, at=began: other.first_sound(at))
                    assert heard_at - began < 1.0
                ssrcs = {packet.ssrc for at, packet in caller.phone.heard if at > began}
                assert ssrcs == {phone.sender.ssrc}, "the agent's voice has left the line"
                leaver, left = (caller, person) if who_hangs_up == "caller" else (person, caller)
                await leaver.dialog.hang_up()
                end = await stage.until(lambda: left.end)
                assert end.by == "far"
        await stage.until(lambda: stage.end_of("c1"))
    await is_clean(stage)


async def test_a_busy_person_is_not_waited_for(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    async with calling(stage, carrier) as caller:
        await asks_for_somebody(stage, caller)
        (await referred(stage, caller)).refuse(603)
        (await asyncio.wait_for(anext(carrier.invitations()), 15)).reject(486)
        await goes_on(stage, caller, "The line is busy there")


async def test_a_caller_who_gives_up_takes_the_ringing_along(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    async with calling(stage, carrier) as caller:
        await asks_for_somebody(stage, caller)
        (await referred(stage, caller)).refuse(603)
        async with called(carrier) as person:
            await caller.dialog.hang_up()
            end = await stage.until(lambda: person.end)
            assert end.by == "far"
    await is_clean(stage)


async def test_nobody_rings_on_for_an_exchange_that_died(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    async with calling(stage, carrier) as caller:
        await asks_for_somebody(stage, caller)
        (await referred(stage, caller)).refuse(603)
        async with called(carrier, stage.processes["exchange"].kill) as person:
            await stage.processes["exchange"].wait()
            await stage.start("exchange")
            end = await stage.until(lambda: person.end)
            assert (end.by, end.code) == ("far", 487), "it was cancelled"
        await goes_on(stage, caller, "Nobody could be reached there")
        assert {call_id for call_id, _ in stage.told} <= {"c1"}, "of whom was called the api knows nothing"
        assert stage.end_of("c1") is None
        await caller.dialog.hang_up()
        await stage.until(lambda: stage.end_of("c1"))
    await is_clean(stage)


async def test_nobody_is_dialled_who_must_not_be(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    stage.barred.add(PERSON)
    async with calling(stage, carrier) as caller:
        await asks_for_somebody(stage, caller)
        await goes_on(stage, caller, "Numbers of this country are not called from here")
        assert not any(isinstance(event, sip.Referred) for event in caller.seen)
    assert carrier.stats().dialogs == 0
