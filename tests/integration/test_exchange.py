"""Calls over real SIP and RTP on loopback: exchange and shards are processes, the carrier is the test."""

import asyncio
import contextlib
import functools
import json
import signal
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import pytest

from pipelines.contract.websocket import HangUp
from tests.integration.sip.test_restored import challenged
from tests.support.far_end import FarEnd
from tests.support.speech import words
from tests.support.telephone import telephone
from tests.support.telephony import NUMBER, Stage, calling, refused, sockets, staged
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(180)]

HOURS = {"heard": ("What are your hours?",) * 4, "answers": {"What are your hours?": "Nine to five."}}


@pytest.fixture
async def house() -> AsyncIterator[tuple[Stage, sip.Engine]]:
    async with staged(**HOURS) as (stage, carrier):
        yield stage, carrier


async def test_a_phone_rings_and_the_agent_answers(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    async with calling(stage, carrier, X_Order="7") as caller:
        await stage.until(lambda: caller.phone.first_sound(0.0))
        await stage.until(lambda: len(stage.said("c1")) == 1)
        caller.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: not caller.phone.is_talking)
        heard_at = await stage.until(lambda: caller.phone.first_sound(caller.phone.spoke_until))
        await stage.until(lambda: len(stage.said("c1")) == 3)
        spoke_until = caller.phone.spoke_until
    await stage.until(lambda: stage.end_of("c1"))
    assert heard_at > spoke_until
    (rang,) = stage.rang
    assert (rang.trunk_id, rang.to_number, rang.from_number) == ("trunk_1", NUMBER, "+14155550100")
    assert rang.headers == {"X-Order": "7"}
    events = await stage.until(lambda: (e := stage.events("c1")) and e[-1].kind == "call_ended" and e)
    assert (events[-1].status, events[-1].reason) == ("completed", "user_hangup")
    assert [text for _, text in stage.said("c1")][-1] == "Nine to five."
    assert any(event.kind == "media" for event in events)
    assert stage.liveness.exchange is not None
    await stage.until(lambda: not stage.liveness.exchange.call_ids)
    await stage.until(lambda: stage.descriptors(stage.processes["exchange"].pid) == 1)
    assert not list((stage.home / "run" / "dialogs").iterdir())


OFFERS: list[tuple[Callable[[bytes], bytes], int]] = [
    (lambda body: body.replace(b" 0 8 9 13 101", b" 18 3"), 488),
    (lambda body: body.replace(b"RTP/AVP", b"RTP/SAVP"), 488),
    (lambda body: body.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 239.1.2.3"), 488),
    (lambda body: body.replace(b"c=IN IP4 127.0.0.1", b"c=IN IP4 localhost"), 400),
    (lambda body: b"v=0\r\nnonsense", 400),
    (lambda body: b"\xff" * 200, 400),
    (lambda body: b"v=0\r\n" + b"a=x\r\n" * 3000, 400),
]


async def test_what_will_not_do_is_refused_and_leaves_nothing(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    mine, address = sockets()
    offer = sdp.Ours(address, 1).offer()
    for change, code in OFFERS:
        assert (await refused(stage, carrier, change(offer))).code == code
    assert stage.rang == []
    assert (await refused(stage, carrier, offer, "+905550000000")).code == 404
    mine.close()
    assert stage.descriptors(stage.processes["exchange"].pid) == 1


async def test_who_brings_no_offer_gets_ours_and_is_heard_once_it_is_answered(
    house: tuple[Stage, sip.Engine],
) -> None:
    stage, _ = house
    far = FarEnd()
    await far.start()
    mine, address = sockets()
    try:
        begun = far.begin(stage.sip_port, NUMBER)
        assert await begun.hears(200)
        answer, media = sdp.Ours(address, 3).answer(sdp.read(begun.final.body.encode()))
        async with telephone(mine, media.remote) as phone:
            begun.ack(answer.decode())
            await stage.until(lambda: phone.first_sound(0.0))
            await begun.request("BYE")
            await stage.until(lambda: stage.end_of("c1"))
        unanswered = far.begin(stage.sip_port, NUMBER)
        assert await unanswered.hears(200)
        unanswered.ack("v=0\r\nnothing of the kind\r\n")
        end = await stage.until(lambda: stage.end_of("c2"))
        assert end.sip_code == 488
        assert await unanswered.until(lambda: bool(unanswered.of("BYE")))
    finally:
        far.close()
    await stage.until(lambda: stage.descriptors(stage.processes["exchange"].pid) == 1)


async def test_an_agent_calls_somebody_who_answers(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    stage.dial()
    dialog = await anext(carrier.invitations())
    assert dialog.invitation is not None
    assert dialog.invitation.uri.startswith("sip:+14155550123@")
    assert NUMBER in (dialog.invitation.headers.first("From") or "")
    dialog.ring()
    await stage.until(lambda: "ringing" in stage.states("o1"))
    mine, address = sockets()
    answer, media = sdp.Ours(address, 3).answer(sdp.read(dialog.invitation.body))
    dialog.answer(answer)
    async with telephone(mine, media.remote) as phone:
        await stage.until(lambda: phone.first_sound(0.0))
        await stage.until(lambda: len(stage.said("o1")) == 1)
        await dialog.hang_up()
        await stage.until(lambda: stage.end_of("o1"))
    assert stage.states("o1") == ["ringing", "answered", "ended"]
    assert stage.obeyed[0].outcome == "done"
    events = await stage.until(lambda: (e := stage.events("o1")) and e[-1].kind == "call_ended" and e)
    assert events[-1].reason == "user_hangup"


async def test_somebody_who_does_not_answer_says_why(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    invitations = carrier.invitations()
    for code in (486, 603, 404):
        stage.dial(call_id=f"o{code}")
        (await anext(invitations)).reject(code)
        end = await stage.until(functools.partial(stage.end_of, f"o{code}"))
        assert end.sip_code == code
    stage.dial(ring_seconds=5)
    dialog = await anext(invitations)
    dialog.ring()
    end = await stage.until(lambda: stage.end_of("o1"))
    assert end.sip_code in {408, 487}
    async with asyncio.timeout(5):
        ended = [event async for event in dialog.events() if isinstance(event, sip.Ended)]
    assert ended[0].by == "far", "it was cancelled"
    assert stage.descriptors(stage.processes["exchange"].pid) == 1


async def test_headers_and_who_calls_are_told_both_ways(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    invitations = carrier.invitations()
    stage.dial(headers={"X-Account": "42", "X-Name": "Ayşe"})
    for contact in ("<sip:+14155550188@elsewhere>", ""):
        dialog = await anext(invitations)
        assert dialog.invitation is not None
        told = dialog.invitation.headers
        assert (told.first("X-Account"), told.first("X-Name")) == ("42", "Ayşe"), "also where it is forwarded"
        dialog.reject(302 if contact else 486, headers=(("Contact", contact),) if contact else ())
    assert (await stage.until(lambda: stage.end_of("o1"))).sip_code == 486
    assert told.first("P-Asserted-Identity") is None
    stage.trunk = stage.trunk.model_copy(update={"asserts_identity": True})
    await asyncio.sleep(3.5)  # it is asked for again
    stage.dial(call_id="o3")
    dialog = await anext(invitations)
    assert dialog.invitation is not None
    asserted = dialog.invitation.headers.first("P-Asserted-Identity")
    assert asserted == f"<sip:{NUMBER}@{stage.trunk.server}>"
    dialog.reject(486)
    await stage.until(lambda: stage.end_of("o3"))
    stage.dial(call_id="o2", headers={"X-Account": "42\r\nVia: nowhere"})
    refused = await stage.until(lambda: next((o for o in stage.obeyed if o.order_id == "order-o2"), None))
    assert (refused.outcome, "cannot be sent" in refused.message) == ("refused", True)
    by_name = '"Al" <sip:+14155550177@carrier;user=phone>'
    async with calling(stage, carrier, P_Asserted_Identity=by_name):
        await stage.until(lambda: stage.rang)
    assert stage.rang[0].from_number == "+14155550177", "and not the From of +14155550100"
    assert stage.rang[0].headers == {}


async def test_a_call_is_forwarded_within_bounds_and_by_the_rules(house: tuple[Stage, sip.Engine]) -> None:
    stage, carrier = house
    invitations = carrier.invitations()
    stage.dial()
    (await anext(invitations)).reject(302, headers=(("Contact", "<sip:+14155550188@elsewhere>"),))
    moved = await anext(invitations)
    assert moved.invitation is not None
    assert moved.invitation.uri.startswith("sip:+14155550188@127.0.0.1"), "over our own trunk"
    moved.reject(486)
    assert (await stage.until(lambda: stage.end_of("o1"))).sip_code == 486
    stage.dial(call_id="o2")
    for _ in range(3):
        (await anext(invitations)).reject(302, headers=(("Contact", "<sip:+14155550188@elsewhere>"),))
    assert (await stage.until(lambda: stage.end_of("o2"))).sip_code == 302
    stage.barred.add("+19005550123")
    stage.dial(call_id="o3")
    (await anext(invitations)).reject(302, headers=(("Contact", "<sip:+19005550123@elsewhere>"),))
    end = await stage.until(lambda: stage.end_of("o3"))
    assert (end.sip_code, "not called from here" in end.sip_reason) == (302, True)
    assert stage.descriptors(stage.processes["exchange"].pid) == 1


async def test_the_agents_end_hangs_up() -> None:
    goodbye = {"heard": ("Goodbye.",), "answers": {"Goodbye.": {"name": "end_call"}}}
    async with staged(**goodbye, engine={"builtin_functions": ["end_call"]}) as (stage, carrier):
        async with calling(stage, carrier) as caller:
            await stage.until(lambda: len(stage.said("c1")) == 1)
            caller.phone.say(words("Goodbye then."))
            end = await stage.until(lambda: caller.end, 20)
        assert end.by == "far"
        events = stage.events("c1")
        assert (events[-1].kind, events[-1].reason) == ("call_ended", "agent_hangup")


async def test_an_exchange_that_is_to_stop_lets_calls_end_and_takes_no_more() -> None:
    async with (
        staged(**HOURS, shards=1, settings={"CALL2ME_DRAIN_SECONDS": "60"}) as (stage, carrier),
        calling(stage, carrier) as caller,
    ):
        await stage.until(lambda: len(stage.said("c1")) == 1)
        stage.processes["exchange"].terminate()
        await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.why_not)
        mine, address = sockets()
        turned_away = await refused(stage, carrier, sdp.Ours(address, 1).offer())
        assert (turned_away.code, turned_away.headers.first("Retry-After")) == (503, "5")
        assert (await carrier.options(f"sip:agent@127.0.0.1:{stage.sip_port}")).code == 503
        mine.close()
        caller.phone.say(words("What are your opening hours?"))
        await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
        assert caller.end is None
        await caller.dialog.hang_up()
        assert await asyncio.wait_for(stage.processes["exchange"].wait(), 10) == 0
        assert stage.end_of("c1") is not None


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


async def test_who_calls_from_elsewhere_is_let_in_nowhere_and_nobody_sends_us_elsewhere(
    house: tuple[Stage, sip.Engine],
) -> None:
    stage, carrier = house
    everybody = sip.Admission(sources=None)
    stage.trunk = stage.trunk.model_copy(update={"allowed_addresses": ("127.0.0.2", "127.0.0.64/28")})
    mine, address = sockets()
    offer = sdp.Ours(address, 1).offer()
    async with contextlib.AsyncExitStack() as stack:
        hosts = ("127.0.0.2", "127.0.0.70", "127.0.0.3", "127.0.0.80")
        listed, in_a_network, *strangers = [
            await stack.enter_async_context(
                sip.Engine([sip.Listener("udp", host, 0)], admission=everybody, user_agent="Carrier")
            )
            for host in hosts
        ]
        await asyncio.sleep(3.5)  # its trunks are asked for again
        for welcome in (listed, in_a_network):
            assert (await refused(stage, welcome, offer, "+905550000000")).code == 404, "no such number here"
        for stranger in (*strangers, carrier):
            with pytest.raises(TimeoutError):
                await refused(stage, stranger, offer, seconds=1.0)
        assert stage.rang == []
        async with calling(stage, listed) as caller:
            await stage.until(lambda: len(stage.said("c1")) == 1)
            reply = await caller.dialog.refer("sip:+19005550123@127.0.0.3")
            assert reply.code == 603, "we are not told by the other side whom to talk to"
            caller.phone.say(words("What are your opening hours?"))
            await stage.until(lambda: ("agent", "Nine to five.") in stage.said("c1"), 20)
            assert caller.end is None
        for engine in (carrier, *strangers):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(engine.invitations()), 0.2)
    mine.close()


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
        for _ in range(2):  # what the second one goes on with is what the first one kept
            await stage.until(lambda: list((stage.home / "run" / "dialogs").glob("*.json")))
            stage.processes["exchange"].kill()
            await stage.processes["exchange"].wait()
            await stage.start("exchange")
            await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.call_ids == ("o1",))
        assert stage.liveness.phone_order(HangUp(call_id="o1", reason="asked"))
        await stage.until(lambda: stage.end_of("o1"))
        await stage.until(lambda: len(far.calls[0].of("BYE")) == 2)
    finally:
        far.close()
    asked, signed = far.calls[0].of("BYE")
    assert not asked.get("proxy-authorization")
    assert 'username="alice"' in signed.get("proxy-authorization")
    assert int(signed.get("cseq").split()[0]) > 2000
