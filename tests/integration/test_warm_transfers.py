"""A person is told who calls and takes the call or not, over real SIP and RTP; the caller waits meanwhile."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from pipelines.contract.actions import Transfer
from pipelines.contract.events import CallEnded, TransferTried, UtteranceHeard
from pipelines.contract.websocket import Order
from tests.integration.test_phone_call import words
from tests.integration.test_phone_transfers import (
    PERSON,
    Person,
    asks_for_somebody,
    called,
    is_clean,
    loudness,
    picks_up,
)
from tests.support.rtp import key_packets
from tests.support.telephone import Telephone
from tests.support.telephony import Caller, Stage, calling, staged
from tests.unit.test_answering import GREETING, tone
from worker.exchange import sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(240)]

NEXT = "Yes, thank you very much."
"""Whoever speaks after the caller has asked for somebody is heard to say this: a person who accepts, or the
caller who is back with the agent."""
BOTH = "Ann, this is Bob, who would like to know what was agreed on for his next visit with you."
CALLERS, PERSONS, VOICE = 1300.0, 900.0, 500.0
"""Hertz of what the two say while they are introduced, and of the agent."""
TALK = {
    "heard": ("A human please.", NEXT),
    "answers": {
        "A human please.": {"name": "transfer_call", "arguments": {"target": "Billing"}},
        NEXT: "Nine to five.",
    },
}


SAID = (
    "Hello?",
    "Yes, thank you very much.",
    "Then please tell me your opening hours.",
    "Hello, is somebody there?",
    GREETING,
)


@contextlib.asynccontextmanager
async def house(**target: Any) -> AsyncIterator[tuple[Stage, sip.Engine]]:
    billing = {"name": "Billing", "kind": "phone", "value": PERSON, "mode": "warm", "accept_timeout_ms": 5000}
    agent = {"engine": {"builtin_functions": ["transfer_call"]}, "transfer_targets": [billing | target]}
    for text in SAID:
        words(text)  # made before: a telephone that stood still for it would rush afterwards
    async with staged(**TALK, **agent) as (stage, carrier):
        yield stage, carrier


@contextlib.asynccontextmanager
async def asked(
    stage: Stage, carrier: sip.Engine, *, is_ordered: bool = False
) -> AsyncIterator[tuple[Caller, Person, str]]:
    """A caller asks for somebody, or it is ordered from outside; a telephone rings."""
    async with calling(stage, carrier) as caller:
        call_id = f"c{len(stage.rang)}"
        if is_ordered:
            await stage.until(lambda: len(stage.said(call_id)) == 1)
            wish = Order(order_id="o-1", call_id=call_id, action=Transfer(target="Billing"))
            assert stage.liveness.order(wish)
        else:
            await asks_for_somebody(stage, caller, call_id)
        async with called(carrier) as person:
            yield caller, person, call_id


def of(stage: Stage, call_id: str, kind: type[Any]) -> Any:
    return next((event for event in stage.events(call_id) if isinstance(event, kind)), None)


def mixed(phone: Telephone, ssrc: int, hertz: float) -> float:
    """How loud a tone is at the most in what came of our own stream, in half seconds of late."""
    sound = phone.sound(time.time() - 3.0, ssrc)
    return max((loudness(sound[at : at + 4000], hertz) for at in range(0, len(sound), 2000)), default=0.0)


async def is_told(stage: Stage, phone: Telephone) -> None:
    """They hear what it is about, and the question."""
    phone.say(words("Hello?"))
    await stage.until(lambda: phone.first_sound(0.0), 30)
    # The voice of the tests is one tone; between two texts it is silent for a moment, then for long.
    await stage.until(lambda: time.time() - (phone.last_sound() or 0) > 1.5, 60)


async def goes_on(stage: Stage, caller: Caller, call_id: str, why: str) -> None:
    """The caller hears why, and the talk goes on with everything said before."""
    told = await stage.until(lambda: of(stage, call_id, TransferTried), 60)
    at = told.at.timestamp()
    assert (told.outcome, told.why_not, told.mode) == ("failed", why, "warm")
    await stage.until(lambda: any(why in text for role, text in stage.said(call_id) if role == "agent"), 30)
    assert caller.phone.first_sound(at), "the agent is heard again"
    caller.phone.say(words("Then please tell me your opening hours."))
    await stage.until(lambda: ("agent", "Nine to five.") in stage.said(call_id), 30)
    assert caller.end is None
    assert of(stage, call_id, CallEnded) is None


async def talk_to_each_other(stage: Stage, one: Telephone, another: Telephone) -> None:
    await asyncio.sleep(0.3)  # what was on its way
    for speaker, listener in ((one, another), (another, one)):
        began = time.time()
        speaker.say(words("Hello, is somebody there?"))
        heard_at = await stage.until(lambda other=listener, at=began: other.first_sound(at))
        assert heard_at - began < 1.0
        ssrcs = {packet.ssrc for at, packet in listener.heard if at > began}
        assert ssrcs == {speaker.sender.ssrc}, "the agent's voice has left the line"


async def is_over(stage: Stage, call_id: str) -> None:
    ended = await stage.until(lambda: of(stage, call_id, CallEnded))
    assert (ended.status, ended.reason, ended.is_bridged) == ("transferred", "transferred", True)


async def test_whoever_takes_the_call_has_the_caller() -> None:
    async with house(three_way=True, public_message=BOTH) as (stage, carrier):
        async with asked(stage, carrier) as (caller, person, call_id):
            rings = time.time()
            await stage.until(lambda: caller.phone.first_sound(rings))
            async with picks_up(person) as phone:
                await is_told(stage, phone)
                assert caller.end is None
                phone.say(words("Yes, thank you very much."))
                answered_at = time.time()
                ours = phone.heard[-1][1].ssrc, caller.phone.heard[-1][1].ssrc
                await stage.until(lambda: not phone.is_talking)
                phone.say(tone(PERSONS, 20.0))
                caller.phone.say(tone(CALLERS, 20.0))
                for one, ssrc, theirs, own in (
                    (phone, ours[0], CALLERS, PERSONS),
                    (caller.phone, ours[1], PERSONS, CALLERS),
                ):
                    await stage.until(lambda o=one, s=ssrc, hz=theirs: mixed(o, s, hz) > 500, 20)
                    assert mixed(one, ssrc, VOICE) > 500, "the agent is heard with them"
                    assert mixed(one, ssrc, own) < 100, "and nobody hears themselves"
                phone.hush()
                caller.phone.hush()
                told = await stage.until(lambda: of(stage, call_id, TransferTried), 30)
                assert (told.outcome, told.target, told.to, told.mode) == (
                    "bridged",
                    "Billing",
                    PERSON,
                    "warm",
                )
                assert told.duration_ms > 3000
                for one in (caller.phone, phone):
                    assert one.first_sound(answered_at + 1.0), "they were introduced"
                assert ("agent", BOTH) in stage.said(call_id)
                assert not any("waiting to talk" in text for _, text in stage.said(call_id))
                await talk_to_each_other(stage, caller.phone, phone)
                await is_over(stage, call_id)
                assert stage.end_of(call_id) is None, "it goes on"
                await person.dialog.hang_up()
                assert (await stage.until(lambda: caller.end)).by == "far"
            await stage.until(lambda: stage.end_of(call_id))
        async with asked(stage, carrier) as (caller, person, call_id):
            async with picks_up(person) as phone:
                phone.say(words("Hello?"))
                await stage.until(lambda: phone.first_sound(0.0), 30)
                phone.press(key_packets(phone.sender, 1))
                await is_over(stage, call_id)
                await talk_to_each_other(stage, caller.phone, phone)
                await caller.dialog.hang_up()
                assert (await stage.until(lambda: person.end)).by == "far"
            await stage.until(lambda: stage.end_of(call_id))
        await is_clean(stage)


async def test_a_caller_whom_nobody_takes_talks_to_the_agent_again() -> None:
    async with house() as (stage, carrier):
        # Declined by key; a machine; hung up while they are told; nothing said at all.
        async with asked(stage, carrier) as (caller, person, call_id), picks_up(person) as phone:
            await is_told(stage, phone)
            phone.press(key_packets(phone.sender, 2))
            assert (await stage.until(lambda: person.end)).by == "far"
            await goes_on(stage, caller, call_id, "They cannot take the call now")
        async with asked(stage, carrier) as (caller, person, call_id), picks_up(person) as phone:
            phone.say(words(GREETING))
            await stage.until(lambda: person.end)
            assert phone.first_sound(0.0) is None, "nothing is said to a machine"
            await goes_on(stage, caller, call_id, "A machine answered there")
        async with asked(stage, carrier) as (caller, person, call_id), picks_up(person) as phone:
            phone.say(words("Hello?"))
            await stage.until(lambda: phone.first_sound(0.0), 30)
            await person.dialog.hang_up()
            await goes_on(stage, caller, call_id, "They have hung up")
        async with asked(stage, carrier, is_ordered=True) as (caller, person, call_id):
            answer = await stage.until(lambda: next((o for o in stage.obeyed if o.order_id == "o-1"), None))
            assert answer.outcome == "done", "it is under way"
            person.dialog.reject(486)
            told = await stage.until(lambda: of(stage, call_id, TransferTried))
            assert (told.outcome, told.why_not) == ("failed", "The line is busy there")
            await stage.until(lambda: any("nobody could take" in text for _, text in stage.said(call_id)))
        async with asked(stage, carrier) as (caller, person, call_id), picks_up(person) as phone:
            await stage.until(lambda: person.end, 60)
            await goes_on(stage, caller, call_id, "They did not say whether they take the call")
        await is_clean(stage)


async def test_kills_leave_no_caller_alone() -> None:
    async with house() as (stage, carrier):
        # The shard, while they are told: they are let go, the caller has the agent again.
        async with asked(stage, carrier) as (caller, person, call_id), picks_up(person) as phone:
            phone.say(words("Hello?"))
            await stage.until(lambda: phone.first_sound(0.0), 30)
            victim = stage.shard_of(call_id)
            next(one for one in stage.processes.values() if one.pid == victim).kill()
            await stage.until(lambda: stage.lost)
            assert (await stage.until(lambda: person.end)).by == "far"
            said = [e.utterance for e in stage.events(call_id) if isinstance(e, UtteranceHeard)]
            told = [one.model_dump(mode="json") for one in said]
            stage.take_up(call_id, 2, transcript=told, started_at=datetime.now(UTC).isoformat())
            # What the caller asked for is still to be done.
            async with called(carrier) as again:
                await stage.until(lambda: len(stage.said(call_id, 2)) > 0, 30)
                assert caller.end is None
                await caller.dialog.hang_up()
                assert (await stage.until(lambda: again.end)).by == "far"
        await stage.start("shard-3")
        # The exchange, while they are told: the same.
        async with asked(stage, carrier) as (caller, person, call_id), picks_up(person) as phone:
            phone.say(words("Hello?"))
            await stage.until(lambda: phone.first_sound(0.0), 30)
            await restarted(stage)
            assert (await stage.until(lambda: person.end, 30)).by == "far"
            await goes_on(stage, caller, call_id, "The line to them was lost")
        # The exchange, while they talk: they go on.
        async with asked(stage, carrier) as (caller, person, call_id):
            async with picks_up(person) as phone:
                phone.say(words("Hello?"))
                await stage.until(lambda: phone.first_sound(0.0), 30)
                phone.press(key_packets(phone.sender, 1))
                await is_over(stage, call_id)
                await stage.until(lambda: stage.liveness.exchange.bridged == (call_id,))  # type: ignore[union-attr]
                await stage.until(lambda: call_id not in stage.liveness.calls)
                await restarted(stage)
                await stage.until(lambda: stage.liveness.exchange.bridged == (call_id,))  # type: ignore[union-attr]
                await talk_to_each_other(stage, caller.phone, phone)
                assert caller.end is None
                assert stage.end_of(call_id) is None
                await person.dialog.hang_up()
                assert (await stage.until(lambda: caller.end)).by == "far"
            await stage.until(lambda: stage.end_of(call_id))
        await is_clean(stage)


async def restarted(stage: Stage) -> None:
    stage.processes["exchange"].kill()
    await stage.processes["exchange"].wait()
    await stage.start("exchange")
    await stage.until(lambda: (e := stage.liveness.exchange) is not None and not e.why_not, 60)


async def test_who_gives_up_takes_the_person_along_and_busy_is_told() -> None:
    async with house() as (stage, carrier):
        for is_answered in (False, True):
            async with (
                asked(stage, carrier) as (caller, person, call_id),
                contextlib.AsyncExitStack() as stack,
            ):
                if is_answered:
                    phone = await stack.enter_async_context(picks_up(person))
                    phone.say(words("Hello?"))
                    await stage.until(lambda phone=phone: phone.first_sound(0.0), 30)
                await caller.dialog.hang_up()
                assert (await stage.until(lambda person=person: person.end)).by == "far"
                ended = await stage.until(lambda call_id=call_id: of(stage, call_id, CallEnded))
                assert (ended.status, ended.reason) == ("completed", "user_hangup")
        async with calling(stage, carrier) as caller:
            await asks_for_somebody(stage, caller, "c3")
            (await asyncio.wait_for(anext(carrier.invitations()), 15)).reject(486)
            await goes_on(stage, caller, "c3", "The line is busy there")
        await is_clean(stage)
