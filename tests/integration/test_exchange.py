"""Calls over real SIP and RTP on loopback: exchange and shards are processes, the carrier is the test."""

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable

import pytest

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
