"""Sound that is meant to harm: a flood beside a talk, and calls that are pointed at somebody else."""

import asyncio
import contextlib
import itertools
import socket
import time

import numpy as np
import psutil
import pytest
from aiortp import RtpPacket

from pipelines.contract.events import CallEvent, MediaMeasured
from tests.support.flood import flooded
from tests.support.speech import words
from tests.support.telephone import LOUD, bound
from tests.support.telephony import Caller, Stage, calling, staged
from worker.exchange import sdp

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]

HOURS = "What are your hours?"
A_SECOND, FLOOD_SECONDS = 20_000, 4.0
MOST = 50
SHARD = f"""
from worker.lines.rtp import unanswered
unanswered.MOST_UNANSWERED = {MOST}
from tests.support.instant_shard import main
main()
"""
"""A second of sound to somebody who never speaks, instead of ten."""


async def test_a_flood_at_one_call_is_not_heard_in_another() -> None:
    answers = {HOURS: "Nine to five."}
    async with (
        staged(shards=1, heard=(HOURS,) * 4, answers=answers) as (stage, carrier),
        calling(stage, carrier) as victim,
        calling(stage, carrier) as neighbour,
    ):
        await stage.until(lambda: len(stage.said("c1")) == len(stage.said("c2")) == 1)
        shard = psutil.Process(stage.shard_of("c1"))
        assert shard.pid == stage.shard_of("c2")
        cpu, began = sum(shard.cpu_times()[:2]), time.time()
        flooding = asyncio.create_task(flooded(victim.phone.remote[1], A_SECOND, FLOOD_SECONDS))
        await asyncio.sleep(0.5)
        assert await _asks(stage, neighbour, "c2") < 100, "frames until it is answered"
        sent = await flooding
        cpu, ended = sum(shard.cpu_times()[:2]) - cpu, time.time()
        await _asks(stage, victim, "c1")
        for caller in (victim, neighbour):
            await caller.dialog.hang_up()
        theirs, ours = [await _measured(stage, call_id) for call_id in ("c1", "c2")]
    assert sent > A_SECOND
    heard = [packet for at, packet in neighbour.phone.heard if began <= at < ended]
    steps = [(b.timestamp - a.timestamp) & 0xFFFFFFFF for a, b in itertools.pairwise(heard)]
    assert len(heard) > 0.9 * (ended - began) / 0.02
    assert steps.count(160) > 0.98 * len(steps), "no hole in what the neighbour hears"
    assert ours.quality.packets_lost + ours.quality.packets_late < 0.02 * ours.quality.packets_received
    assert theirs.quality.packets_dropped > sent / 20, "strangers are counted, and heard by nobody"
    assert cpu / sent < 100e-6, "with both talks in it"


async def _asks(stage: Stage, caller: Caller, call_id: str) -> int:
    """How many packets its phone hears between the end of a question and the beginning of the answer."""
    before, question = len(stage.said(call_id)), words("What are your opening hours?")
    caller.phone.say(question[: np.flatnonzero(np.abs(question.astype(int)) > LOUD)[-1]])
    await stage.until(lambda: not caller.phone.is_talking)
    ended = caller.phone.spoke_until
    answered = await stage.until(lambda: caller.phone.first_sound(ended))
    # On a machine with no time a question may be heard in two, and asked again.
    await stage.until(lambda: ("agent", "Nine to five.") in stage.said(call_id)[before:])
    return sum(ended <= at < answered for at, _ in caller.phone.heard)


async def _measured(stage: Stage, call_id: str) -> MediaMeasured:
    def ended() -> list[CallEvent]:
        events = stage.events(call_id)
        return events if events and events[-1].kind == "call_ended" else []

    (measured,) = [one for one in await stage.until(ended) if isinstance(one, MediaMeasured)]
    return measured


async def test_a_call_that_is_pointed_at_a_third_party_sends_it_a_moment_of_sound_in_all() -> None:
    async with staged(shards=1, shard=SHARD, heard=(HOURS,)) as (stage, carrier):
        with bound() as third:
            third.setblocking(False)
            here = third.getsockname()
            # From the beginning: nobody but the third party is named.
            dialog = carrier.invite(
                f"sip:+905331112233@127.0.0.1:{stage.sip_port}",
                sdp.Ours(here, 1).offer(),
                caller="sip:x@carrier",
            )
            got = await _heard(third, 3.0)
            assert _streams(got) == [MOST]
            await dialog.hang_up()
            await stage.until(lambda: stage.end_of("c1"))
        # In mid-call, again and again, by one who listens to us in between.
        async with calling(stage, carrier) as caller:
            await stage.until(lambda: caller.phone.first_sound(0.0))
            mine = caller.phone.socket.getsockname()
            with bound() as third:
                third.setblocking(False)
                got = []
                for _ in range(4):
                    caller.phone.is_sending = False
                    await _moved(caller, third.getsockname())
                    got += await _heard(third, 0.6)
                    await _moved(caller, mine)
                    caller.phone.is_sending, since = True, time.time()
                    await stage.until(lambda: any(at > since + 0.1 for at, _ in caller.phone.heard))  # noqa: B023
                got += await _heard(third, 0.3)
                assert 0 < len(got) <= MOST
                # A phone that goes on to speak keeps the sound, whomever it names.
                await _moved(caller, third.getsockname())
                since = time.time()
                await asyncio.sleep(1.0)
                assert len(await _heard(third, 0.1)) <= MOST - len(got)
                assert sum(at > since + 0.3 for at, _ in caller.phone.heard) > 20
            for forbidden in (caller.phone.remote, ("239.1.2.3", 4000), ("127.0.0.1", 22)):
                reply = await caller.dialog.reinvite(sdp.Ours(forbidden, 7, 99).offer())
                assert reply.code == 488, "our own socket, a group, a service"
            assert caller.end is None


async def _moved(caller: Caller, where: tuple[str, int]) -> None:
    reply = await caller.dialog.reinvite(sdp.Ours(where, 7, 2).offer())
    assert reply.is_success


async def _heard(listening: socket.socket, seconds: float) -> list[RtpPacket]:
    """What comes within so many seconds."""
    packets, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(BlockingIOError):
            while True:
                packets.append(RtpPacket.parse(listening.recv(2048)))
        await asyncio.sleep(0.02)
    return packets


def _streams(packets: list[RtpPacket]) -> list[int]:
    return [len(list(group)) for _, group in itertools.groupby(packets, lambda one: one.ssrc)]
