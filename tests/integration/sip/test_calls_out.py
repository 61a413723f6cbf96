"""Calls that we place through a carrier with all the manners of real ones."""

import asyncio

from tests.integration.sip.conftest import OFFER, Call
from tests.support.carrier import Carrier
from tests.support.far_call import FarCall
from tests.support.sip_messages import sdp
from worker.exchange.sip import Answered, Ended, Engine, Progress, Request


async def test_a_challenge_is_answered_while_the_far_end_rings_for_three_seconds(
    call: Call, trunk: Carrier
) -> None:
    async def rings(far: FarCall) -> None:
        far.reply(180, "Ringing")
        await asyncio.sleep(3)
        await far.answer()

    trunk.far.on("ring3", rings)
    headers = [("X-Telnyx-Username", "u1"), ("P-Asserted-Identity", "<sip:+15551234@127.0.0.1>")]
    ear = call("ring3", headers=headers)
    answered = await ear.hear(Answered)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: bool(far.of("ACK")))
    assert b"PCMU" in answered.body
    assert [event.code for event in ear.all(Progress)] == [180]
    # The headers are on the INVITE that the carrier let through, which is the one with the credential.
    assert far.invite.get("x-telnyx-username") == "u1"
    assert "15551234" in far.invite.get("p-asserted-identity")
    assert len(trunk.far.calls) == 1
    await ear.dialog.hang_up()


async def test_ack_and_bye_go_along_two_record_routes_to_another_contact(call: Call, trunk: Carrier) -> None:
    ear = call("plain")
    await ear.hear(Answered)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert len(far.invite.all("record-route")) == 2
    assert await far.until(lambda: bool(far.of("ACK")))
    await ear.dialog.hang_up()
    assert await far.until(lambda: bool(far.of("BYE")))
    for method in ("ACK", "BYE"):
        assert far.ports(method) == [trunk.far.other]
        assert far.of(method)[0].uri == f"sip:far@127.0.0.1:{trunk.far.other}"
    ended = await ear.hear(Ended)
    assert (ended.by, ended.code) == ("us", 200)


async def test_forks_ring_and_one_answers(call: Call, trunk: Carrier) -> None:
    async def forks(far: FarCall) -> None:
        far.reply(180, "Ringing", tag="first")
        await asyncio.sleep(0.1)
        far.reply(183, "Progress", tag="second", body=sdp())
        await asyncio.sleep(0.1)
        await far.answer()

    trunk.far.on("fork", forks)
    ear = call("fork")
    await ear.hear(Answered)
    progress = {event.tag: event for event in ear.all(Progress)}
    assert set(progress) == {"first", "second"}
    assert b"PCMU" in progress["second"].body
    far = await trunk.far.call_of(ear.dialog.call_id)
    await ear.dialog.hang_up()
    assert [bye.tag("to") for bye in far.of("BYE")] == [far.tag]


async def test_a_second_answer_of_a_fork_is_acknowledged_and_ended(call: Call, trunk: Carrier) -> None:
    async def both_answer(far: FarCall) -> None:
        await far.answer()
        await asyncio.sleep(0.2)
        await far.answer(tag="latecomer", seconds=4)

    trunk.far.on("fork2", both_answer)
    ear = call("fork2")
    await ear.hear(Answered)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: any(bye.tag("to") == "latecomer" for bye in far.of("BYE")))
    assert any(ack.tag("to") == "latecomer" for ack in far.of("ACK"))
    assert not ear.dialog.is_over
    assert len(ear.all(Answered)) == 1
    await ear.dialog.hang_up()
    assert far.of("BYE")[-1].tag("to") == far.tag


async def test_refusals_are_told_with_their_reasons(call: Call, trunk: Carrier) -> None:
    async def busy(far: FarCall) -> None:
        far.reply(180, "Ringing")
        far.reply(486, "Busy Here", headers=['Reason: Q.850;cause=17;text="User busy"'])

    async def declines(far: FarCall) -> None:
        far.reply(603, "Decline", headers=['Reason: SIP;cause=603;text="spam, they say";X=1'])

    async def moved(far: FarCall) -> None:
        far.reply(302, "Moved", headers=["Contact: <sip:elsewhere@127.0.0.1:5060>"])

    trunk.far.on("busy", busy)
    trunk.far.on("declines", declines)
    trunk.far.on("moved", moved)
    ended = await call("busy").hear(Ended)
    assert (ended.by, ended.code, ended.reason, ended.cause) == ("far", 486, "User busy", 17)
    ended = await call("declines").hear(Ended)
    assert (ended.by, ended.code, ended.reason, ended.cause) == ("far", 603, "spam, they say", None)
    ended = await call("moved").hear(Ended)
    assert (ended.by, ended.code, ended.reason) == ("far", 302, "Moved")
    assert ended.headers.first("Contact") == "<sip:elsewhere@127.0.0.1:5060>"


async def test_a_call_is_cancelled_while_it_rings(call: Call, trunk: Carrier, engine: Engine) -> None:
    async def rings_until_cancelled(far: FarCall) -> None:
        far.reply(180, "Ringing")
        await far.until(lambda: bool(far.of("CANCEL")), 10)
        far.reply(487, "Request Terminated")

    trunk.far.on("cancel", rings_until_cancelled)
    ear = call("cancel")
    await ear.hear(Progress)
    await ear.dialog.hang_up()
    ended = await ear.hear(Ended)
    assert (ended.by, ended.code) == ("us", 487)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: bool(far.of("CANCEL")))
    await asyncio.wait_for(far.done.wait(), 5)
    await _until_nothing_is_left(engine)


async def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_ended(
    call: Call, trunk: Carrier, engine: Engine
) -> None:
    async def answers_too_late(far: FarCall) -> None:
        far.reply(180, "Ringing")
        await far.until(lambda: bool(far.of("CANCEL")), 10)
        await far.answer()

    trunk.far.on("cross", answers_too_late)
    ear = call("cross")
    await ear.hear(Progress)
    await ear.dialog.hang_up()
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: bool(far.of("BYE")))
    assert await far.until(lambda: bool(far.of("ACK")))
    assert [type(event) for event in ear.heard if not isinstance(event, Progress)] == [Ended]
    await _until_nothing_is_left(engine)


async def test_nobody_answers_in_time(call: Call, trunk: Carrier) -> None:
    async def rings_until_cancelled(far: FarCall) -> None:
        far.reply(180, "Ringing")
        await far.until(lambda: bool(far.of("CANCEL")), 10)
        far.reply(487, "Request Terminated")

    trunk.far.on("patient", rings_until_cancelled)
    ear = call("patient", ring_seconds=1)
    ended = await ear.hear(Ended)
    assert (ended.by, ended.code) == ("timeout", 408)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: bool(far.of("CANCEL")))


async def test_every_repeated_answer_is_acknowledged_again(call: Call, trunk: Carrier) -> None:
    async def deaf_for_two_acks(far: FarCall) -> None:
        await far.answer(until=lambda: len(far.of("ACK")) >= 3)

    trunk.far.on("lostack", deaf_for_two_acks)
    ear = call("lostack")
    await ear.hear(Answered)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: len(far.of("ACK")) >= 3)
    assert len(ear.all(Answered)) == 1
    await ear.dialog.hang_up()


async def test_a_challenged_bye_is_repeated_with_the_credential(call: Call, trunk: Carrier) -> None:
    from tests.support.sip_messages import response

    def challenges(bye: object) -> bytes:
        from tests.support.sip_messages import Message

        assert isinstance(bye, Message)
        challenge = 'Proxy-Authenticate: Digest realm="carrier",nonce="n1",qop="auth",algorithm=SHA-256'
        if bye.get("proxy-authorization"):
            return response(bye, 200, "OK")
        return response(bye, 407, "Auth", headers=[challenge])

    ear = call("plain")
    await ear.hear(Answered)
    far = await trunk.far.call_of(ear.dialog.call_id)
    far.answers["BYE"] = challenges
    await ear.dialog.hang_up()
    authorization = far.of("BYE")[-1].get("proxy-authorization")
    assert 'username="alice"' in authorization
    assert "SHA-256" in authorization
    assert "secret" not in authorization


async def test_a_wrong_password_is_a_refusal(call: Call) -> None:
    from worker.exchange.sip import Credential

    ended = await call("plain", credential=Credential("alice", "wrong")).hear(Ended)
    assert (ended.by, ended.code) == ("far", 407)
    ended = await call("plain", credential=None).hear(Ended)
    assert (ended.by, ended.code) == ("far", 407)


async def test_the_far_end_hangs_up(call: Call, trunk: Carrier) -> None:
    byes = []

    async def hangs_up(far: FarCall) -> None:
        await far.answer()
        byes.append(await far.request("BYE", headers=['Reason: Q.850;cause=16;text="Normal"']))

    trunk.far.on("byefar", hangs_up)
    ear = call("byefar")
    ended = await ear.hear(Ended)
    await (await trunk.far.call_of(ear.dialog.call_id)).done.wait()
    assert (ended.by, ended.code, ended.reason, ended.cause) == ("far", 200, "Normal", 16)
    assert byes[0] is not None
    assert byes[0].code == 200


async def test_ten_in_a_hundred_packets_are_lost_and_no_call_with_them(call: Call, trunk: Carrier) -> None:
    async def one(number: int) -> tuple[bool, bool]:
        await asyncio.sleep(number * 0.2)
        ear = call(f"lossy{number}")
        await ear.hear(Answered, seconds=40)
        await asyncio.sleep(1)
        await ear.dialog.hang_up()
        far = await trunk.far.call_of(ear.dialog.call_id)
        return bool(far.of("ACK")), await far.until(lambda: bool(far.of("BYE")), 30)

    trunk.relay.loss = 0.1
    assert await asyncio.gather(*(one(number) for number in range(15))) == [(True, True)] * 15
    assert trunk.relay.lost > 5


async def test_a_call_over_tcp(call: Call, trunk: Carrier) -> None:
    ear = call("tcp", proxies=[trunk.tcp_proxy])
    await ear.hear(Answered)
    far = await trunk.far.call_of(ear.dialog.call_id)
    assert await far.until(lambda: bool(far.of("ACK")))
    await ear.dialog.hang_up()
    assert await far.until(lambda: bool(far.of("BYE")))


async def _until_nothing_is_left(engine: Engine) -> None:
    async with asyncio.timeout(8):
        while engine.stats().dialogs:
            await asyncio.sleep(0.05)


def test_nothing_can_be_smuggled_into_a_message() -> None:
    import pytest

    from worker.exchange.sip import BadUri
    from worker.exchange.sip.messages import clean

    for header in [("X-A", "1\r\nX-B: 2"), ("X A", "1"), ("", "1"), ("X-A:", "1")]:
        with pytest.raises(BadUri):
            clean([header])
    assert OFFER
    assert Request
