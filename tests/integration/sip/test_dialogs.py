"""What happens in a call that is up: hold, transfer, digits, a far end that moves, session timers."""

import asyncio
import re

import pytest

from tests.integration.sip.conftest import Call, MakeEngine, next_invitation
from tests.support.carrier import CREDENTIAL, Carrier
from tests.support.ear import Ear
from tests.support.far_call import FarCall
from tests.support.far_end import FarEnd
from tests.support.sip_messages import Message, response, sdp
from worker.exchange.sip import (
    Answered,
    Confirmed,
    Ended,
    Engine,
    Info,
    Notified,
    NotNow,
    Offer,
    Referred,
    Timing,
)

BRIEF = Timing(session_seconds=6, min_session_seconds=4)


async def up(call: Call, trunk: Carrier, user: str = "plain") -> tuple[Ear, FarCall]:
    """A call that is answered and acknowledged."""
    ear = call(user)
    await ear.hear(Answered)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: bool(far.of("ACK")))
    return ear, far


async def test_we_hold_and_resume(call: Call, trunk: Carrier) -> None:
    ear, far = await up(call, trunk)
    for direction in ("sendonly", "sendrecv"):
        reply = await ear.dialog.reinvite(sdp(direction).encode())
        assert reply.is_success
        assert (b"recvonly" in reply.body) == (direction == "sendonly")
    assert await far.until(lambda: len(far.of("ACK")) == 3)
    assert far.of("INVITE")[0].get("content-type") == "application/sdp"
    reply = await ear.dialog.update()
    assert reply.is_success
    await ear.dialog.hang_up()
    with pytest.raises(NotNow):
        await ear.dialog.update()


async def test_the_far_end_holds_resumes_and_asks_for_an_offer(call: Call, trunk: Carrier) -> None:
    ear, far = await up(call, trunk)
    asking = asyncio.ensure_future(far.request("INVITE", sdp("sendonly")))
    offer = await ear.hear(Offer)
    assert offer.method == "INVITE"
    assert b"sendonly" in offer.body
    offer.accept(body=sdp("recvonly").encode())
    answer = await asking
    assert answer is not None
    assert answer.code == 200
    assert "recvonly" in answer.body
    asking = asyncio.ensure_future(far.request("INVITE"))
    offer = await ear.hear(Offer, nth=2)
    assert offer.body == b""
    offer.accept(body=b"v=0 our offer")
    answer = await asking
    assert answer is not None
    assert answer.body == "v=0 our offer"
    asking = asyncio.ensure_future(far.request("UPDATE", sdp()))
    (await ear.hear(Offer, nth=3)).refuse(488)
    answer = await asking
    assert answer is not None
    assert answer.code == 488
    assert not ear.dialog.is_over
    await ear.dialog.hang_up()


async def test_offers_that_cross_are_tried_again(call: Call, trunk: Carrier) -> None:
    ear, far = await up(call, trunk)
    pending = iter([True])
    far.answers["INVITE"] = lambda asked: (
        response(asked, 491, "Pending")
        if next(pending, False)
        else response(asked, 200, "OK", far.tag, sdp(), [f"Contact: {far.contact}"])
    )
    reinviting = asyncio.ensure_future(ear.dialog.reinvite(sdp().encode()))
    assert await far.until(lambda: bool(far.of("INVITE")))
    await asyncio.sleep(0.2)
    theirs = await far.request("INVITE", sdp())
    assert theirs is not None
    assert theirs.code == 491
    assert (await reinviting).code == 200
    await ear.dialog.hang_up()


async def test_digits_and_questions_inside_of_a_call(call: Call, trunk: Carrier) -> None:
    ear, far = await up(call, trunk)
    asking = asyncio.ensure_future(
        far.request("INFO", "Signal=5\r\nDuration=160\r\n", ["Content-Type: application/dtmf-relay"])
    )
    info = await ear.hear(Info)
    assert info.headers.first("Content-Type") == "application/dtmf-relay"
    assert info.body.startswith(b"Signal=5")
    info.accept()
    answer = await asking
    assert answer is not None
    assert answer.code == 200
    answer = await far.request("OPTIONS")
    assert answer is not None
    assert answer.code == 200
    reply = await ear.dialog.info(b"Signal=7\r\n", "application/dtmf-relay")
    assert reply.is_success
    assert far.of("INFO")[0].body == "Signal=7\r\n"
    await ear.dialog.hang_up()


async def test_we_transfer_a_call_and_hear_how_it_goes(call: Call, trunk: Carrier) -> None:
    ear, far = await up(call, trunk)
    referred_by = [("Referred-By", "<sip:us@127.0.0.1>")]
    reply = await ear.dialog.refer("sip:+15550009@127.0.0.1:5060", headers=referred_by)
    assert reply.code == 202
    assert far.of("REFER")[0].get("refer-to") == "<sip:+15550009@127.0.0.1:5060>"
    states = (("100 Trying", "active;expires=60"), ("200 OK", "terminated;reason=noresource"))
    for status, state in states:
        headers = ["Event: refer", f"Subscription-State: {state}", "Content-Type: message/sipfrag"]
        answer = await far.request("NOTIFY", f"SIP/2.0 {status}\r\n", headers)
        assert answer is not None
        assert answer.code == 200
    await ear.hear(Notified, nth=2)
    heard = [(notified.event, notified.code, notified.is_last) for notified in ear.all(Notified)]
    assert heard == [("refer", 100, False), ("refer", 200, True)]
    assert far.of("BYE") == []
    far.answers["REFER"] = lambda asked: response(asked, 603, "Decline")
    assert (await ear.dialog.refer("sip:x@127.0.0.1")).code == 603
    await ear.dialog.hang_up()


async def test_the_far_end_transfers_us(call: Call, trunk: Carrier) -> None:
    ear, far = await up(call, trunk)
    asking = asyncio.ensure_future(far.request("REFER", "", ["Refer-To: <sip:+15550009@127.0.0.1:5060>"]))
    referred = await ear.hear(Referred)
    assert referred.target == "sip:+15550009@127.0.0.1:5060"
    referred.accept()
    answer = await asking
    assert answer is not None
    assert answer.code == 202
    assert (await ear.dialog.notify(100)).is_success
    assert (await ear.dialog.notify(200, is_last=True)).is_success
    fragments = [notify.body for notify in far.of("NOTIFY")]
    assert fragments == ["SIP/2.0 100 Trying\r\n", "SIP/2.0 200 OK\r\n"]
    assert not ear.dialog.is_over
    await ear.dialog.hang_up()


async def test_a_far_end_that_moves_is_followed(call: Call, trunk: Carrier) -> None:
    ear, far = await up(call, trunk)
    far.contact = f"<sip:moved@127.0.0.1:{trunk.far.third}>"
    assert (await ear.dialog.reinvite(sdp().encode())).is_success
    assert (await ear.dialog.info(b"x", "text/plain")).is_success
    assert far.ports("INFO") == [trunk.far.third]
    # And by a request of its own.
    far.contact = f"<sip:back@127.0.0.1:{trunk.far.other}>"
    asking = asyncio.ensure_future(far.request("UPDATE", sdp()))
    (await ear.hear(Offer)).accept(body=sdp().encode())
    await asking
    await ear.dialog.hang_up()
    assert far.ports("BYE") == [trunk.far.other]
    assert far.of("BYE")[0].uri == f"sip:back@127.0.0.1:{trunk.far.other}"


async def test_a_call_that_the_far_end_forgot_ends(call: Call, trunk: Carrier) -> None:
    ear, far = await up(call, trunk)
    far.answers["INFO"] = lambda asked: response(asked, 481, "Gone")
    assert (await ear.dialog.info(b"x", "text/plain")).code == 481
    ended = await ear.hear(Ended)
    assert (ended.by, ended.code) == ("far", 481)


# ── session timers ──────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def brief(make_engine: MakeEngine) -> Engine:
    """An engine whose sessions last six seconds."""
    return await make_engine(timing=BRIEF)


def place(engine: Engine, trunk: Carrier, user: str) -> Ear:
    caller = "sip:+15551234@127.0.0.1"
    dialog = engine.invite(
        trunk.uri(user), sdp().encode(), caller=caller, proxies=[trunk.proxy], credential=CREDENTIAL
    )
    return Ear(dialog)


def timed(refresher: str, allow: str = "INVITE, ACK, BYE, UPDATE") -> list[str]:
    return [f"Session-Expires: 6;refresher={refresher}", "Supported: timer", f"Allow: {allow}"]


@pytest.mark.parametrize(
    ("allow", "method"), [("INVITE, ACK, BYE, UPDATE", "UPDATE"), ("INVITE, ACK, BYE", "INVITE")]
)
async def test_we_refresh_the_session(brief: Engine, trunk: Carrier, allow: str, method: str) -> None:
    async def script(far: FarCall) -> None:
        far.answers[method] = lambda asked: response(
            asked,
            200,
            "OK",
            far.tag,
            sdp() if method == "INVITE" else "",
            [f"Contact: {far.contact}", *timed("uac", allow)],
        )
        await far.answer(headers=[*timed("uac", allow), "Require: timer"])

    trunk.far.on("timer", script)
    ear = place(brief, trunk, "timer")
    await ear.hear(Answered)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: len(far.of(method)) >= 2, 8)
    assert re.match(r"6;refresher=uac", far.of(method)[0].get("session-expires"))
    assert not ear.dialog.is_over
    assert not ear.all(Offer)
    await ear.dialog.hang_up()


async def test_a_far_end_that_does_not_refresh_is_gone(brief: Engine, trunk: Carrier) -> None:
    async def script(far: FarCall) -> None:
        await far.answer(headers=timed("uas"))
        # Once, and never again.
        await asyncio.sleep(1)
        answer = await far.request("UPDATE", "", ["Supported: timer", "Session-Expires: 6;refresher=uac"])
        assert answer is not None
        assert answer.code == 200
        assert answer.get("session-expires") == "6;refresher=uac"

    trunk.far.on("silent", script)
    ear = place(brief, trunk, "silent")
    await ear.hear(Answered)
    began = asyncio.get_running_loop().time()
    ended = await ear.hear(Ended, seconds=10)
    assert (ended.by, ended.code, ended.reason) == ("timeout", 408, "the session timer lapsed")
    assert 4.5 < asyncio.get_running_loop().time() - began < 7
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: bool(far.of("BYE")))


async def test_a_longer_session_is_asked_for_when_they_insist(brief: Engine, trunk: Carrier) -> None:
    def is_long(invite: Message) -> bool:
        return invite.get("session-expires").startswith("120")

    async def script(far: FarCall) -> None:
        if is_long(far.invite):
            await far.answer()
        else:
            far.reply(422, "Session Interval Too Small", headers=["Min-SE: 120"])

    trunk.far.on("long", script)
    ear = place(brief, trunk, "long")
    await ear.hear(Answered)
    await ear.dialog.hang_up()
    assert len(ear.all(Ended)) <= 1
    assert (await ear.hear(Ended)).by == "us"


async def test_the_timer_of_an_inbound_call_is_agreed_on(brief: Engine, far: FarEnd) -> None:
    headers = ["Supported: timer", "Allow: INVITE, UPDATE", "Session-Expires: 6;refresher=uas"]
    begun = far.begin(brief.addresses[0][2], "agent", body=sdp(), headers=headers)
    begun.answers["UPDATE"] = lambda asked: response(asked, 200, "OK", headers=timed("uac"))
    dialog = await next_invitation(brief)
    ear = Ear(dialog)
    dialog.answer(sdp().encode())
    assert await begun.hears(200)
    assert begun.final.get("session-expires") == "6;refresher=uas"
    begun.ack()
    await ear.hear(Confirmed)
    assert await begun.until(lambda: len(begun.of("UPDATE")) >= 1, 5)
    await dialog.hang_up()
