"""Two who were put through are listened to and joined: a real exchange, livekit-server, and LiveKit's SDK."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import psutil
import pytest

from pipelines.contract.actions import Action, GiveBack, Listen, Say, TakeOver, Whisper
from tests.integration.test_phone_transfers import (
    AGENT,
    TALK,
    asks_for_somebody,
    called,
    is_clean,
    is_transferred,
    picks_up,
    referred,
)
from tests.support.listener import (
    ANN,
    HUM,
    LOUD,
    NOTICED_SECONDS,
    RATE,
    ROOM,
    Listener,
    hears,
    hum,
    listening,
    loudness,
    now_heard,
    token_for,
)
from tests.support.rtp import key_packets, tone
from tests.support.telephone import Telephone
from tests.support.telephony import Caller, Stage, calling, staged
from worker.exchange import sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(150)]

CALLERS, PERSONS = 900, 2100
"""Hertz of what the two say."""
PAUSE_SECONDS = 0.4
"""That nobody at a telephone hears more of: 0.03 on an idle machine, and a busy one is late itself."""


@contextlib.asynccontextmanager
async def put_through(stage: Stage, carrier: sip.Engine) -> AsyncIterator[tuple[Caller, Telephone]]:
    """The agent has handed its caller to a person, and is gone."""
    async with calling(stage, carrier) as caller:
        await asks_for_somebody(stage, caller)
        (await referred(stage, caller)).refuse(603)
        async with called(carrier) as person, picks_up(person) as phone:
            await is_transferred(stage)
            here = stage.liveness
            await stage.until(lambda: here.exchange is not None and here.exchange.bridged == ("c1",))
            caller.phone.say(tone(120.0, CALLERS))
            phone.say(tone(120.0, PERSONS))
            await stage.until(lambda: len(phone.heard) > 50 and len(caller.phone.heard) > 50)
            yield caller, phone
        assert not stage.overheard, "nothing is kept unless their agent says so"
    await is_clean(stage)


def streams(phone: Telephone, since: int) -> list[tuple[int, list[int]]]:
    """What came, as runs of one source each, with their packets' numbers."""
    packets = [packet for _, packet in phone.heard[since:]]
    runs = itertools.groupby(packets, key=lambda one: one.ssrc)
    return [(ssrc, [one.sequence_number for one in run]) for ssrc, run in runs]


def is_relayed(one: Telephone, other: Telephone) -> bool:
    """What comes now is what the other sends."""
    return one.heard[-1][1].ssrc == other.sender.ssrc


def longest_pause(phone: Telephone, since: int) -> float:
    """Seconds without a packet."""
    moments = [at for at, _ in phone.heard[since:]]
    return max(later - sooner for sooner, later in itertools.pairwise(moments))


def steered(stage: Stage) -> list[Action | None]:
    """What the api was told of."""
    return [told.action for _, told in stage.told if told.state == "steered"]


def attending(stage: Stage) -> asyncio.subprocess.Process:
    """The shard in which somebody listens: it alone has connections to livekit-server."""
    port = int(stage.livekit_url.rsplit(":", 1)[1])
    for process in stage.processes.values():
        met = psutil.Process(process.pid).net_connections("tcp")
        if any(one.raddr and one.raddr.port == port for one in met):
            return process
    raise AssertionError("no shard is there")


def keys(phone: Telephone, since: int) -> int:
    """How many keys came."""
    events = [packet for _, packet in phone.heard[since:] if packet.payload_type == 101]
    return len({(one.ssrc, one.timestamp) for one in events})


async def presses(stage: Stage, phone: Telephone) -> None:
    """A key, from its first packet to the last."""
    phone.press(key_packets(phone.sender, 5))
    await stage.until(lambda: not phone._keys)
    await asyncio.sleep(0.1)


async def done(stage: Stage, action: Listen | TakeOver | GiveBack) -> None:
    obeyed = await stage.order("c1", action)
    assert (obeyed.outcome, obeyed.message) == ("done", "")


async def refused(stage: Stage, action: Say | Whisper | TakeOver | GiveBack) -> str:
    obeyed = await stage.order("c1", action)
    assert obeyed.outcome == "refused"
    return obeyed.message


async def heard(stage: Stage, ann: Listener) -> None:
    """Each of the two on a track of their own."""

    def is_heard(name: str, hertz: int, not_hertz: int) -> bool:
        sound = ann.sound(name, 0.5)
        return loudness(sound, hertz, RATE) > LOUD > 4 * loudness(sound, not_hertz, RATE)

    await stage.until(lambda: is_heard("caller", CALLERS, PERSONS), 30)
    await stage.until(lambda: is_heard("person", PERSONS, CALLERS), 30)


async def test_two_who_were_put_through_are_listened_to_and_joined() -> None:
    async with (
        staged(**TALK, **AGENT, has_rooms=True) as (stage, carrier),
        put_through(stage, carrier) as (caller, phone),
    ):
        phones = (caller.phone, phone)
        assert "nobody to whisper to" in await refused(stage, Whisper(text="Be kind."))
        assert "has left this call" in await refused(stage, Say(text="Hello."))
        assert "ask to listen first" in await refused(stage, TakeOver(identity=ANN))

        began = [len(one.heard) for one in phones]
        await done(stage, Listen(room_name=ROOM, identity=ANN, name="Ann"))
        async with listening(stage.livekit_url, token_for(ROOM, ANN)) as ann:
            await heard(stage, ann)
            await hears(phone, CALLERS)
            for one, other, since in zip(phones, phones[::-1], began, strict=True):
                ((ssrc, numbers),) = streams(one, since)
                assert ssrc == other.sender.ssrc, "who listens is no source of sound"
                expected = range(numbers[0], numbers[0] + len(numbers))
                assert numbers == [number & 0xFFFF for number in expected], "and nothing is missing"
            await presses(stage, caller.phone)
            await stage.until(lambda: keys(phone, began[1]) == 1)

            assert "two talk with each other" in await refused(stage, GiveBack())
            ann.voice = hum
            await ann.open_microphone()
            began = [len(one.heard) for one in phones]
            await done(stage, TakeOver(identity=ANN, name="Ann"))
            for one, hertz in zip(phones, (PERSONS, CALLERS), strict=True):
                await hears(one, HUM)
                await hears(one, hertz)
            await presses(stage, caller.phone)
            await stage.until(lambda: keys(phone, began[1]) == 1)
            await heard(stage, ann)
            await done(stage, GiveBack(identity=ANN))
            for one, other in zip(phones, phones[::-1], strict=True):
                await stage.until(lambda one=one, other=other: is_relayed(one, other))
            for one, other, since in zip(phones, phones[::-1], began, strict=True):
                relayed, mixed, again = streams(one, since)
                assert relayed[0] == again[0] == other.sender.ssrc != mixed[0]
                assert longest_pause(one, since) < PAUSE_SECONDS
            assert keys(phone, began[1]) == 1
            await done(stage, TakeOver(identity=ANN, name="Ann"))
            await hears(phone, HUM)
            began = [len(one.heard) for one in phones]
            stage.livekit().kill()
            await stage.until(lambda: len(steered(stage)) == 5, NOTICED_SECONDS)
            for one, other, since in zip(phones, phones[::-1], began, strict=True):
                await stage.until(lambda one=one, other=other: is_relayed(one, other))
                assert longest_pause(one, since) < PAUSE_SECONDS
        assert steered(stage) == [
            Listen(room_name=ROOM, identity=ANN, name="Ann"),
            TakeOver(identity=ANN, name="Ann"),
            GiveBack(identity=ANN),
            TakeOver(identity=ANN, name="Ann"),
            GiveBack(identity=ANN, name="Ann", has_left=True),
        ]


async def test_whatever_dies_the_two_talk_on() -> None:
    async with (
        staged(**TALK, **AGENT, shards=3, has_rooms=True) as (stage, carrier),
        put_through(stage, carrier) as (caller, phone),
    ):
        phones = (caller.phone, phone)
        await done(stage, Listen(room_name=ROOM, identity=ANN, name="Ann"))
        async with listening(stage.livekit_url, token_for(ROOM, ANN)) as ann:
            ann.voice = hum
            await ann.open_microphone()
            await done(stage, TakeOver(identity=ANN, name="Ann"))
            for one in phones:
                await hears(one, HUM)

            began = [len(one.heard) for one in phones]
            attending(stage).kill()
            for one, hertz in zip(phones, (PERSONS, CALLERS), strict=True):
                await hears(one, hertz)
                await stage.until(lambda one=one: now_heard(one, HUM) < 100)
            for one, since in zip(phones, began, strict=True):
                assert longest_pause(one, since) < PAUSE_SECONDS
                assert len(streams(one, since)) == 2

            await done(stage, Listen(room_name=ROOM, identity=ANN, name="Ann"))
            await done(stage, TakeOver(identity=ANN, name="Ann"))
            for one in phones:
                await hears(one, HUM)
            await heard(stage, ann)

            stage.processes["exchange"].kill()
            await stage.processes["exchange"].wait()
            await stage.start("exchange")
            for one, hertz in zip(phones, (PERSONS, CALLERS), strict=True):
                await hears(one, HUM)
                await hears(one, hertz)
            await heard(stage, ann)
        for one, other in zip(phones, phones[::-1], strict=True):
            await stage.until(lambda one=one, other=other: is_relayed(one, other))
        left = GiveBack(identity=ANN, name="Ann", has_left=True)
        await stage.until(lambda: steered(stage)[-1] == left)

        await done(stage, Listen(room_name=ROOM, identity=ANN))
        async with listening(stage.livekit_url, token_for(ROOM, ANN)) as ann:
            await ann.open_microphone()
            await done(stage, TakeOver(identity=ANN, when_left="end"))
        assert (await stage.until(lambda: caller.end)).by == "far"
        await stage.until(lambda: stage.end_of("c1"))
