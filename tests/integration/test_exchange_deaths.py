"""What becomes of calls over real SIP and RTP when a shard or the exchange dies; the carrier is the test."""

import asyncio
import contextlib
import functools
import json
import signal
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from pipelines.contract.websocket import HangUp
from tests.integration.sip.test_restored import challenged
from tests.support.far_call import FarCall
from tests.support.far_end import FarEnd
from tests.support.pjsip import pjsip
from tests.support.speech import words
from tests.support.telephone import telephone
from tests.support.telephony import NUMBER, Stage, calling, sockets, staged
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(180)]

HOURS = {"heard": ("What are your hours?",) * 4, "answers": {"What are your hours?": "Nine to five."}}


@pytest.fixture
async def house() -> AsyncIterator[tuple[Stage, sip.Engine]]:
    async with staged(**HOURS) as (stage, carrier):
        yield stage, carrier


async def test_the_caller_of_one_that_no_shard_takes_is_not_left_in_silence() -> None:
    """Its shard is full, as one may be that holds those who wait, too."""
    small = "from worker.exchange import shard; shard.MOST_CALLS = 1; "
    hasty = "from worker.exchange import exchange; exchange.ORPHAN_SECONDS = 1.0; "
    shard = f"{small}from tests.support.instant_shard import main; main()"
    exchange = f"{hasty}from worker.__main__ import main; main(['exchange'])"
    async with (
        staged(**HOURS, shards=1, shard=shard, exchange=exchange) as (stage, carrier),
        calling(stage, carrier) as first,
    ):
        await stage.until(lambda: len(stage.said("c1")) == 1)
        async with calling(stage, carrier) as second:
            await stage.until(lambda: second.end)
        assert (await stage.until(lambda: stage.end_of("c2"))).sip_code == 200
        assert (stage.events("c2"), stage.briefs.get("c2")) == ([], None)
        first.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
        assert first.end is None


async def test_a_shard_dies_and_the_caller_is_still_there(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    async with calling(stage, carrier) as caller:
        await stage.until(lambda: len(stage.said("c1")) == 1)
        first_ssrc = caller.phone.heard[-1][1].ssrc
        victim = stage.shard_of("c1")
        killed_at = time.time()
        next(one for one in stage.processes.values() if one.pid == victim).kill()
        await stage.until(lambda: stage.lost)
        said = [
            event.utterance.model_dump(mode="json")
            for event in stage.events("c1")
            if event.kind == "utterance"
        ]
        stage.take_up("c1", 2, transcript=said, started_at=datetime.now(UTC).isoformat())
        await stage.until(
            lambda: (
                caller.phone.heard[-1][0] > killed_at + 0.02 and caller.phone.heard[-1][1].ssrc != first_ssrc
            )
        )
        back_at = next(at for at, packet in caller.phone.heard if packet.ssrc != first_ssrc)
        word_at = await stage.until(lambda: caller.phone.first_sound(back_at))
        caller.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1", 2), 20)
        assert caller.end is None
        assert stage.shard_of("c1") != victim
    silent, wordless = back_at - killed_at, word_at - killed_at
    assert silent < 1.5, "a pause, no more"
    assert wordless < 2.5


async def test_the_exchange_dies_and_calls_go_on(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    stage.apart = "agent_1"  # it has functions of its own
    async with calling(stage, carrier) as caller:
        await stage.until(lambda: len(stage.said("c1")) == 1)
        stage.processes["exchange"].kill()
        await stage.processes["exchange"].wait()
        before = len(caller.phone.heard)
        await stage.start("exchange")
        await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.call_ids == ("c1",))
        assert len(caller.phone.heard) > before + 10, "the sound never stopped"
        stage.apart = ""
        async with calling(stage, carrier):
            await stage.until(lambda: "c2" in stage.liveness.calls)
            assert stage.shard_of("c2") != stage.shard_of("c1"), "it is still known whose process it shares"
        caller.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
        await caller.dialog.hang_up()
        events = await stage.until(lambda: (e := stage.events("c1")) and e[-1].kind == "call_ended" and e)
        assert events[-1].reason == "user_hangup"
        await stage.until(lambda: stage.end_of("c1"))


async def dies_unacknowledged(stage: Stage, far: FarEnd, call_id: str, offer: str) -> tuple[FarCall, int]:
    """Call and be answered, but for the ACK, by an exchange that dies; and how many answers came before."""
    begun = far.begin(stage.sip_port, NUMBER, body=offer)
    assert await begun.hears(200)
    stage.processes["exchange"].kill()
    await stage.processes["exchange"].wait()
    # What it was just writing does not count.
    kept = {path.name for path in (stage.home / "run" / "dialogs").iterdir() if path.suffix != ".new"}
    assert kept == {f"{call_id}.json" if offer else f"{call_id}.asks"}
    await asyncio.sleep(0.1)  # what was under way has come by then
    answers = begun.codes().count(200)
    await stage.start("exchange")
    assert await begun.until(lambda: begun.codes().count(200) > answers, 15)
    return begun, answers


async def test_who_was_answered_in_the_moment_of_death_is_answered_again() -> None:
    hasty = "from tests.support.hasty_exchange import main; main()"  # whoever sends no ACK has three seconds
    far, (mine, address) = FarEnd(), sockets()
    await far.start()
    async with staged(**HOURS, exchange=hasty) as (stage, _), contextlib.AsyncExitStack() as over:
        over.callback(far.close)
        over.callback(mine.close)
        offer = sdp.Ours(address, 7).offer().decode()
        begun, answers = await dies_unacknowledged(stage, far, "c1", offer)
        assert len({(one.tag("to"), one.body) for one in begun.responses if one.code == 200}) == 1
        begun.ack()
        await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.call_ids == ("c1",))
        media = sdp.read(begun.final.body.encode())
        async with telephone(mine, media.remote) as phone:
            await stage.until(lambda: len(stage.said("c1")) == 1)
            await stage.until(lambda: phone.first_sound(0.0))
            phone.say(words("What are your opening hours?"))
            await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
            assert begun.codes().count(200) > answers
            await begun.request("BYE")
            ended = await stage.until(lambda: (e := stage.events("c1")) and e[-1].kind == "call_ended" and e)
            assert ended[-1].reason == "user_hangup"
        # Who sends no ACK is hung up, as ever; and so is who has sent no offer, once there is one.
        silent, _ = await dies_unacknowledged(stage, far, "c2", offer)
        assert await silent.until(lambda: bool(silent.of("BYE")), 15)
        await stage.until(lambda: not list((stage.home / "run" / "dialogs").iterdir()))
        asked, _ = await dies_unacknowledged(stage, far, "c3", "")
        asked.ack(sdp.Ours(address, 7).answer(sdp.read(asked.final.body.encode()))[0].decode())
        assert await asked.until(lambda: bool(asked.of("BYE")), 15)
        ends = [(200, ""), (408, "No ACK"), (0, "the exchange was restarted")]
        for call_id, (code, reason) in zip(("c1", "c2", "c3"), ends, strict=True):
            end = await stage.until(functools.partial(stage.end_of, call_id))
            assert (end.sip_code, end.sip_reason) == (code, reason)
        await stage.until(lambda: not list((stage.home / "run" / "dialogs").iterdir()))
        assert [stage.states(call_id).count("ended") for call_id in ("c1", "c2", "c3")] == [1, 1, 1]
        assert len(stage.rang) == 3


_ANSWERS_AND_DIES = """
import os, signal, time
from worker.exchange import sip

usual = sip.Dialog.answer

def answer(*arguments, **named):
    usual(*arguments, **named)
    time.sleep(0.2)  # the answer has left by then, and no shard knows of the call
    os.kill(os.getpid(), signal.SIGKILL)

sip.Dialog.answer = answer
from worker.__main__ import main
main(["exchange"])
"""


async def test_a_real_telephone_has_the_agent_though_the_exchange_answered_and_died() -> None:
    async with staged(**HOURS, exchange=_ANSWERS_AND_DIES) as (stage, _), pjsip({"+1415": {}}) as caller:
        caller.do("dial", value=f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}")
        await asyncio.wait_for(stage.processes["exchange"].wait(), 15)
        await stage.start("exchange")
        await caller.talks()
        await stage.until(lambda: len(stage.said("c1")) == 1)
        await caller.listens()
        caller.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
        caller.do("hang_up")
        assert (await stage.until(lambda: stage.end_of("c1"))).sip_code == 200
        await stage.until(lambda: not list((stage.home / "run" / "dialogs").iterdir()))
        assert stage.states("c1") == ["ended"]


async def test_who_was_not_answered_yet_is_told_so_by_the_next_exchange() -> None:
    far, (mine, address) = FarEnd(), sockets()
    await far.start()
    async with staged(**HOURS, most_calls=1) as (stage, carrier), contextlib.AsyncExitStack() as over:
        over.callback(far.close)
        over.callback(mine.close)
        first = await over.enter_async_context(calling(stage, carrier))
        await stage.until(lambda: len(stage.said("c1")) == 1)
        offer = sdp.Ours(address, 7).offer().decode()
        stage.queue = {"is_answered": False}
        waits = far.begin(stage.sip_port, NUMBER, body=offer)
        assert await waits.hears(183)
        stage.queue = None
        rings = far.begin(stage.sip_port, NUMBER, body=offer)
        assert await rings.hears(180)
        await stage.until(lambda: stage.places("c2") and "c2" in stage.liveness.calls)
        stage.processes["exchange"].kill()
        await stage.processes["exchange"].wait()
        dialogs = stage.home / "run" / "dialogs"
        assert sorted(path.suffix for path in dialogs.iterdir()) == [".asks", ".comes", ".json"]
        assert {path.stat().st_mode & 0o777 for path in dialogs.iterdir()} == {0o600}
        stage.is_deaf = True  # that is told once the api listens
        began = time.monotonic()
        await stage.start("exchange")
        for call in (waits, rings):
            assert await call.hears(503, 10)
            call.ack()
            assert call.final.get("retry-after") == "5"
            assert len({one.tag("to") for one in call.responses if one.code > 100}) == 1
            call.again()
        assert time.monotonic() - began < 4.0
        stage.is_deaf = False
        end = await stage.until(lambda: stage.end_of("c2"))
        assert (end.sip_code, end.sip_reason) == (503, "the exchange was restarted while it rang")
        ended = await stage.until(lambda: (e := stage.events("c2")) and e[-1].kind == "call_ended" and e)
        assert ended[-1].reason == "line_lost"
        first.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
        assert [path.name for path in dialogs.iterdir()] == ["c1.json"]
        assert stage.states("c2").count("ended") == 1
        assert len(stage.rang) == 2, "what is repeated is no other call"
        assert first.end is None


async def test_what_cannot_go_on_after_a_restart_ends_with_a_reason(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    dialogs = stage.home / "run" / "dialogs"
    async with calling(stage, carrier) as one, calling(stage, carrier) as another:
        await stage.until(lambda: stage.said("c1") and stage.said("c2"))
        stage.processes["exchange"].kill()
        await stage.processes["exchange"].wait()
        kept = json.loads((dialogs / "c2.json").read_text())
        (dialogs / "c2.json").write_text(json.dumps(kept | {"snapshot": "nothing that can be read"}))
        await stage.start("exchange")
        end = await stage.until(lambda: stage.end_of("c2"))
        assert (end.sip_code, end.sip_reason) == (0, "the exchange was restarted")
        events = await stage.until(lambda: (e := stage.events("c2")) and e[-1].kind == "call_ended" and e)
        assert events[-1].reason == "line_lost", "nobody talks on into a call that is over"
        await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.call_ids == ("c1",))
        assert (one.end, stage.end_of("c1")) == (None, None), "the other one goes on"
        assert another.end is None, "who it was with is not known any more, so no BYE can be sent"

        async def both_die() -> None:
            killed = (stage.shard_of("c1"), stage.processes["exchange"].pid)
            for process in [one for one in stage.processes.values() if one.pid in killed]:
                process.kill()
                await process.wait()
            await stage.start("exchange")
            pid = stage.processes["exchange"].pid
            await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.pid == pid)

        await both_die()
        await stage.until(lambda: stage.shards_met() == 1)
        stage.take_up("c1", 2)
        await stage.until(lambda: stage.said("c1", 2))
        spoken_at = time.time()
        await stage.until(lambda: one.phone.first_sound(spoken_at))
        one.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1", 2), 20)
        assert (one.end, stage.end_of("c1")) == (None, None), "another shard has it, on the same ports"

        await both_die()
        said_goodbye = await stage.until(lambda: one.end, 30)
        assert said_goodbye.by == "far"
        end = await stage.until(lambda: stage.end_of("c1"))
        assert (end.sip_code, end.sip_reason) == (0, "its process was gone when the exchange came back")
    assert not list(dialogs.iterdir())
    await stage.until(lambda: stage.descriptors(stage.processes["exchange"].pid) == 1)


async def test_no_telephone_rings_on_for_an_exchange_that_died(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    called = []
    for call_id in ("o1", "o2"):
        stage.dial(call_id=call_id)
        dialog = await anext(carrier.invitations())
        dialog.ring()
        called.append(dialog)
        await stage.until(lambda call_id=call_id: "ringing" in stage.states(call_id))
    ringing, late = called
    stage.processes["exchange"].kill()
    await stage.processes["exchange"].wait()
    offer = late.invitation.body if late.invitation is not None else b""
    late.answer(sdp.Ours(("127.0.0.1", 40_000), 7).answer(sdp.read(offer))[0])  # nobody hears that
    await stage.start("exchange")
    for call_id in ("o1", "o2"):
        end = await stage.until(lambda call_id=call_id: stage.end_of(call_id))
        assert (end.sip_code, end.sip_reason) == (0, "the exchange was restarted while it rang")
    async with asyncio.timeout(10):
        cancelled = [event async for event in ringing.events()][-1]
        hung_up = [event async for event in late.events()]
    assert isinstance(cancelled, sip.Ended)
    assert (cancelled.by, cancelled.code) == ("far", 487)
    assert [type(event) for event in hung_up] == [sip.Confirmed, sip.Ended], "acknowledged, and ended"
    assert not list((stage.home / "run" / "dialogs").iterdir())


async def test_an_order_that_died_with_the_exchange_is_withdrawn_unless_somebody_may_have_been_called(
    house: tuple[Stage, sip.Engine],
) -> None:
    stage, carrier = house
    journal = stage.home / "run" / "dialogs"
    called: list[sip.Dialog] = []

    async def ring() -> None:
        async for dialog in carrier.invitations():
            called.append(dialog)
            dialog.ring()

    async def dies() -> None:
        stage.processes["exchange"].kill()
        await stage.processes["exchange"].wait()

    async def is_back() -> None:
        await stage.start("exchange")
        await stage.until(lambda: (e := stage.liveness.exchange) is not None and not e.why_not, 30)

    ringing = asyncio.create_task(ring())
    stage.dial("+14155550001", call_id="rings")
    await stage.until(lambda: "ringing" in stage.states("rings"))
    assert await stage.withdraw("rings") == "refused"
    # An order that the exchange never read, and one that it had written down and no more.
    stage.processes["exchange"].send_signal(signal.SIGSTOP)
    stage.dial("+14155550002", call_id="lost")
    stage.is_deaf = True
    await dies()
    (journal / "meant.dial").touch()
    await is_back()
    assert [await stage.withdraw(call_id) for call_id in ("rings", "meant")] == ["refused"] * 2
    await dies()  # before the api has heard of it
    await is_back()
    assert [await stage.withdraw(call_id) for call_id in ("rings", "meant")] == ["refused"] * 2
    assert await stage.withdraw("lost") == "done"
    stage.dial("+14155550002", call_id="lost")  # late, on its way all the time
    told = await stage.until(lambda: next((o for o in stage.obeyed if o.order_id == "order-lost"), None))
    assert (told.outcome, told.message) == ("refused", "the call is placed already, or was withdrawn")
    stage.is_deaf = False
    stage.dial("+14155550002", call_id="again")
    await stage.until(lambda: "ringing" in stage.states("again"))
    for call_id, is_unsure in (("rings", False), ("meant", True)):
        end = await stage.until(functools.partial(stage.end_of, call_id))
        assert end.is_unsure is is_unsure, "only an INVITE that left is known to have been one"
    assert (here := stage.liveness.exchange) is not None
    assert here.journal == journal.with_suffix(".id").read_text()
    await stage.until(lambda: [path.stem for path in journal.iterdir()] == ["again"] * 2)
    assert await stage.withdraw("again") == "refused"
    assert [one.invitation.uri[:16] for one in called if one.invitation is not None] == [
        "sip:+14155550001",
        "sip:+14155550002",
    ]
    ringing.cancel()
    await asyncio.gather(ringing, return_exceptions=True)


async def test_a_restarted_exchange_answers_what_its_carrier_asks_for_at_the_end(
    house: tuple[Stage, sip.Engine],
) -> None:
    stage, _ = house
    far = FarEnd()
    await far.start()
    try:
        signed_in = {"server": f"127.0.0.1:{far.port}", "username": "alice", "password": "secret"}
        stage.trunk = stage.trunk.model_copy(update=signed_in)
        await asyncio.sleep(3.5)  # it is asked for again
        stage.dial()
        await stage.until(lambda: "answered" in stage.states("o1"))
        await stage.until(lambda: far.calls[0].of("ACK"))
        far.calls[0].answers["BYE"] = challenged
        kept = stage.home / "run" / "dialogs" / "o1.json"
        await stage.until(kept.exists)
        shards = [process for name, process in stage.processes.items() if name != "exchange"]
        for shard in shards:
            shard.send_signal(
                signal.SIGSTOP
            )  # so that the first exchange dies before anybody claims the call
        for _ in range(2):  # what the second one goes on with is what the first one kept
            before = kept.read_text()
            stage.processes["exchange"].kill()
            await stage.processes["exchange"].wait()
            await stage.start("exchange")
            await stage.until(lambda before=before: kept.read_text() != before)
        for shard in shards:
            shard.send_signal(signal.SIGCONT)
        await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.call_ids == ("o1",))
        assert stage.liveness.phone_order(HangUp(call_id="o1", reason="asked"))
        await stage.until(lambda: stage.end_of("o1"))
        await stage.until(lambda: len(far.calls[0].of("BYE")) == 2)
        await dies_as_it_sends(stage, far)
    finally:
        far.close()
    asked, signed = far.calls[0].of("BYE")
    assert not asked.get("proxy-authorization")
    assert 'username="alice"' in signed.get("proxy-authorization")
    assert int(signed.get("cseq").split()[0]) > 2000


_DIES = """
import os, signal, time
from worker.exchange import forwarding, sip

def die(*arguments, **named):
    time.sleep(0.2)  # what the engine was to send has left by then
    os.kill(os.getpid(), signal.SIGKILL)

usual = forwarding.bridge
if {is_bridged}:
    forwarding.bridge = lambda *arguments: (usual(*arguments), die())
else:
    sip.Dialog.answer = die
from worker.__main__ import main
main(["exchange"])
"""


@pytest.mark.parametrize("is_bridged", [False, True])
async def test_who_answers_a_forwarded_call_as_the_exchange_dies_is_let_go_or_goes_on(
    is_bridged: bool,
) -> None:
    """Their 200 was acknowledged; who called has no answer yet, or has one and its ACK was lost with us."""
    dies = _DIES.format(is_bridged=is_bridged)
    async with staged(shards=1, exchange=dies) as (stage, carrier), contextlib.AsyncExitStack() as over:
        stage.forward = {"to_number": "+14155550177"}
        mine, theirs = sockets(), sockets()
        for bound, _ in (mine, theirs):
            over.callback(bound.close)
        caller = carrier.invite(
            f"sip:{NUMBER}@127.0.0.1:{stage.sip_port}",
            sdp.Ours(mine[1], 7).offer(),
            caller="sip:+14155550100@carrier",
        )
        # An exchange that could take the call does not forward it.
        stage.processes["shard-1"].kill()
        person = await asyncio.wait_for(anext(aiter(carrier.invitations())), 20)
        assert person.invitation is not None
        person.ring()
        person.answer(sdp.Ours(theirs[1], 8).answer(sdp.read(person.invitation.body))[0])
        await asyncio.wait_for(stage.processes["exchange"].wait(), 20)
        left = {path.name for path in (stage.home / "run" / "dialogs").iterdir()}
        await stage.start("exchange")
        if is_bridged:
            await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.bridged == ("c1",))
            await caller.hang_up()
        seen: list[sip.Event] = []
        async with asyncio.timeout(30):
            for dialog in (person, caller):
                seen += [event async for event in dialog.events()]
        ends = [event.code for event in seen if isinstance(event, sip.Ended)]
        assert ends == [200, 200 if is_bridged else 503], left
        await stage.until(lambda: not list((stage.home / "run" / "dialogs").iterdir()))


async def dies_as_it_sends(stage: Stage, far: FarEnd) -> None:
    """The exchange has signed its INVITE, and does not live to see anything of it."""

    async def rings(call: FarCall) -> None:
        if not call.invite.get("proxy-authorization"):
            call.far.send(far.port, challenged(call.invite), call.source)
            return
        stage.processes["exchange"].kill()
        call.reply(180, "Ringing")
        await call.until(lambda: bool(call.of("CANCEL")), 30)
        while len(call.of("ACK")) < 1:
            call.reply(487, "Request Terminated")
            await call.until(lambda: bool(call.of("ACK")), 0.5)

    far.on("+14155550199", rings)
    stage.dial("+14155550199", call_id="sent")
    await asyncio.wait_for(stage.processes["exchange"].wait(), 15)
    await stage.start("exchange")
    end = await stage.until(lambda: stage.end_of("sent"))
    assert (end.sip_reason, end.is_unsure) == ("the exchange was restarted while it rang", False)
    await asyncio.wait_for(far.calls[-1].done.wait(), 15)
    (cancel,) = far.calls[-1].of("CANCEL")
    assert cancel.branch == far.calls[-1].invite.branch
    assert len(far.calls) == 3, "one that was answered, and one that was challenged and signed"
    await stage.until(lambda: not list((stage.home / "run" / "dialogs").iterdir()))
