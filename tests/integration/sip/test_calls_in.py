"""Calls that come to us, with all that a network does to them."""

import asyncio

import pytest

from tests.integration.sip.conftest import LOOPBACK, MakeEngine, next_invitation
from tests.support.ear import Ear
from tests.support.far_end import FarEnd
from tests.support.sip_messages import Message, sdp
from worker.exchange.sip import Admission, Confirmed, Ended, Engine, NotNow, Timing

TIMER = ["Supported: timer, replaces", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE"]


def port(engine: Engine) -> int:
    """Where its UDP listener is."""
    return engine.addresses[0][2]


async def test_a_call_is_rung_and_answered(engine: Engine, far: FarEnd) -> None:
    begun = far.begin(
        port(engine), "agent", body=sdp(), headers=["X-Foo: bar", "P-Asserted-Identity: <sip:+1@c>"]
    )
    dialog = await next_invitation(engine)
    ear = Ear(dialog)
    assert dialog.invitation is not None
    assert dialog.invitation.source == ("127.0.0.1", far.port)
    assert dialog.invitation.transport == "udp"
    assert dialog.invitation.uri == f"sip:agent@127.0.0.1:{port(engine)}"
    assert dialog.invitation.headers.first("x-foo") == "bar"
    assert dialog.invitation.headers.first("P-Asserted-Identity") == "<sip:+1@c>"
    assert dialog.remote_uri == '"Al" <sip:+15550001@127.0.0.1>'
    assert b"PCMU" in dialog.invitation.body
    dialog.ring(headers=[("X-Bar", "1")])
    dialog.answer(b"v=0 ours", headers=[("X-Bar", "2")])
    assert await begun.hears(200)
    assert [code for code in begun.codes() if code > 100] == [180, 200]
    assert begun.final.get("x-bar") == "2"
    assert begun.final.body == "v=0 ours"
    begun.ack()
    await ear.hear(Confirmed)
    bye = await begun.request("BYE")
    assert bye is not None
    assert bye.code == 200
    ended = await ear.hear(Ended)
    assert (ended.by, ended.code) == ("far", 200)
    with pytest.raises(NotNow):
        await dialog.reinvite(b"late")


async def test_a_repeated_invite_is_one_call(engine: Engine, far: FarEnd) -> None:
    begun = far.begin(port(engine), "agent", body=sdp())
    begun.again()
    dialog = await next_invitation(engine)
    begun.again()
    dialog.ring()
    assert await begun.hears(180)
    begun.again()
    dialog.answer(b"v=0")
    assert await begun.hears(200)
    begun.ack()
    assert engine.stats().dialogs == 1
    assert len({answer.tag("to") for answer in begun.responses if answer.code > 100}) == 1
    with pytest.raises(TimeoutError):
        await next_invitation(engine, 0.3)


async def test_the_answer_is_repeated_until_it_is_acknowledged(engine: Engine, far: FarEnd) -> None:
    begun = far.begin(port(engine), "agent", body=sdp())
    dialog = await next_invitation(engine)
    ear = Ear(dialog)
    dialog.answer(b"v=0")
    assert await begun.until(lambda: begun.codes().count(200) >= 4)
    begun.ack()
    await ear.hear(Confirmed)
    repeated = begun.codes().count(200)
    await asyncio.sleep(1)
    assert begun.codes().count(200) == repeated
    assert len(ear.all(Confirmed)) == 1


async def test_a_call_that_nobody_acknowledges_is_ended(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine(timing=Timing(t1_seconds=1 / 32))
    far.begin(port(engine), "agent", body=sdp())
    dialog = await next_invitation(engine)
    dialog.answer(b"v=0")
    ended = await Ear(dialog).hear(Ended)
    assert (ended.by, ended.code) == ("timeout", 408)
    assert await far.calls[0].until(lambda: bool(far.calls[0].of("BYE")))


async def test_a_caller_gives_up(engine: Engine, far: FarEnd) -> None:
    begun = far.begin(port(engine), "agent", body=sdp())
    dialog = await next_invitation(engine)
    dialog.ring()
    assert await begun.hears(180)
    begun.cancel()
    ended = await Ear(dialog).hear(Ended)
    assert (ended.by, ended.code) == ("far", 487)
    assert await begun.hears(487)
    assert begun.codes("CANCEL") == [200]
    with pytest.raises(NotNow):
        dialog.answer(b"v=0")


async def test_a_call_is_refused_with_headers(engine: Engine, far: FarEnd) -> None:
    begun = far.begin(port(engine), "agent", body=sdp())
    dialog = await next_invitation(engine)
    dialog.reject(503, headers=[("Retry-After", "30")])
    assert await begun.hears(503)
    begun.ack()
    assert begun.final.get("retry-after") == "30"
    ended = await Ear(dialog).hear(Ended)
    assert (ended.by, ended.code) == ("us", 503)
    await asyncio.sleep(0.7)
    assert [code for code in begun.codes() if code > 100] == [503]
    with pytest.raises(NotNow):
        dialog.reject()


async def test_our_bye_goes_along_the_route_set(engine: Engine, far: FarEnd) -> None:
    routes = [f"<sip:127.0.0.1:{far.port};lr;ftag=x;did=1.2>", f"<sip:127.0.0.1:{far.third};lr>"]
    begun = far.begin(port(engine), "agent", body=sdp(), routes=routes)
    dialog = await next_invitation(engine)
    ear = Ear(dialog)
    dialog.answer(b"v=0")
    assert await begun.hears(200)
    begun.ack()
    await ear.hear(Confirmed)
    await dialog.hang_up(headers=[("Reason", 'Q.850;cause=16;text="Bye"')])
    assert begun.ports("BYE") == [far.port]
    bye = begun.of("BYE")[0]
    assert bye.uri == f"sip:far@127.0.0.1:{far.other};x=1"
    assert bye.all("route") == routes
    assert bye.get("reason").startswith("Q.850")


async def test_a_call_without_an_offer_gets_ours_and_answers_it(engine: Engine, far: FarEnd) -> None:
    begun = far.begin(port(engine), "agent")
    dialog = await next_invitation(engine)
    assert dialog.invitation is not None
    assert dialog.invitation.body == b""
    dialog.answer(b"v=0 our offer")
    assert await begun.hears(200)
    assert begun.final.body == "v=0 our offer"


async def test_a_challenged_bye_of_an_inbound_call_is_repeated_with_its_credential(
    engine: Engine, far: FarEnd
) -> None:
    from tests.support.carrier import CREDENTIAL
    from tests.support.sip_messages import Message, response

    def challenges(bye: Message) -> bytes:
        if bye.get("proxy-authorization"):
            return response(bye, 200, "OK")
        challenge = (
            'Proxy-Authenticate: Digest realm="carrier", nonce="a,b", qop="auth-int,auth", algorithm=MD5'
        )
        return response(bye, 407, "Auth", headers=[challenge])

    begun = far.begin(port(engine), "agent", body=sdp())
    begun.answers["BYE"] = challenges
    dialog = await next_invitation(engine)
    ear = Ear(dialog)
    dialog.answer(b"v=0", credential=CREDENTIAL)
    assert await begun.hears(200)
    begun.ack()
    await ear.hear(Confirmed)
    await dialog.hang_up()
    assert 'username="alice"' in begun.of("BYE")[-1].get("proxy-authorization")
    assert len(ear.all(Confirmed)) == 1


async def test_garbage_does_no_harm(engine: Engine, far: FarEnd) -> None:
    where = ("127.0.0.1", port(engine))
    for data in (
        b"garbage\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0\r\nVia: x\r\n\r\n" + b"A" * 60,
        b"\r\n\r\n",
        bytes(range(128, 256)),
        b"INVITE sip:a@b SIP/2.0\r\nContent-Length: -5\r\n\r\n",
        b"SIP/2.0 200 OK\r\n\r\n",
        b"\x00" * 8000,
    ):
        far.send(far.port, data, where)
    begun = far.begin(port(engine), "agent", body=sdp())
    dialog = await next_invitation(engine)
    dialog.reject()
    assert await begun.hears(603)


async def test_what_we_do_not_do_is_said(engine: Engine, far: FarEnd) -> None:
    begun = far.begin(port(engine), "agent", body=sdp(), headers=["Require: 100rel"])
    assert await begun.hears(420)
    assert begun.final.get("unsupported") == "100rel"
    begun.ack()
    lines = [
        "Max-Forwards: 70",
        "From: <sip:a@127.0.0.1>;tag=1",
        "To: <sip:b@127.0.0.1>",
        "Call-ID: m",
        "CSeq: 1 MESSAGE",
    ]
    start = f"MESSAGE sip:b@127.0.0.1:{port(engine)} SIP/2.0"
    answer = await far.transaction(far.port, start, lines, "", ("127.0.0.1", port(engine)), 3)
    assert answer is not None
    assert answer.code == 405
    assert "INVITE" in answer.get("allow")
    lines[2], lines[4] = "To: <sip:b@127.0.0.1>;tag=none", "CSeq: 1 BYE"
    start = f"BYE sip:b@127.0.0.1:{port(engine)} SIP/2.0"
    answer = await far.transaction(far.port, start, lines, "", ("127.0.0.1", port(engine)), 3)
    assert answer is not None
    assert answer.code == 481


async def test_what_is_odd_is_answered_and_a_stranger_hears_nothing(
    make_engine: MakeEngine, far: FarEnd
) -> None:
    engine = await make_engine()
    usual = {
        "Max-Forwards": "70",
        "From": "<sip:a@127.0.0.1>;tag=1",
        "To": "<sip:b@127.0.0.1>",
        "Call-ID": "odd",
        "CSeq": "1 {method}",
    }
    odd: list[tuple[str, dict[str, str], int]] = [
        ("INFO", {}, 481),
        ("UPDATE", {}, 481),
        ("BYE", {}, 481),
        ("SUBSCRIBE", {"Event": "dialog"}, 489),
        ("MESSAGE", {}, 405),
        ("PUBLISH", {"Event": "presence"}, 405),
        ("REGISTER", {}, 405),
        ("OPTIONS", {"Call-ID": ""}, 400),
        ("OPTIONS", {"From": "<sip:a@127.0.0.1>"}, 400),
        ("OPTIONS", {"To": ""}, 400),
        ("OPTIONS", {"CSeq": "1 INVITE"}, 400),
        ("INVITE", {"CSeq": "x INVITE"}, 400),
        ("SUBSCRIBE", {"To": "<sip:b@127.0.0.1>;tag=none", "Event": "dialog"}, 481),
    ]
    where = ("127.0.0.1", port(engine))

    async def said(n: int, method: str, other: dict[str, str], seconds: float) -> Message | None:
        named = usual | {"Call-ID": f"odd-{n}"} | other
        lines = [f"{name}: {value}".format(method=method) for name, value in named.items() if value]
        start = f"{method} sip:b@127.0.0.1:{port(engine)} SIP/2.0"
        return await far.transaction(far.port, start, lines, "", where, seconds)

    for n, (method, other, code) in enumerate(odd):
        answer = await said(n, method, other, 3)
        assert answer is not None, (method, other)
        assert answer.code == code, (method, other)
        assert code != 405 or "INVITE" in answer.get("allow")
        assert code != 489 or answer.get("allow-events")
    engine.admit(Admission(sources=("203.0.113.0/24",)))
    answers = await asyncio.gather(*(said(99 + n, *one[:2], 0.7) for n, one in enumerate(odd)))
    assert answers == [None] * len(odd)


async def test_calls_that_are_refused_at_once_leave_nothing(make_engine: MakeEngine) -> None:
    caller, callee = await make_engine(), await make_engine()
    calls = [caller.invite(f"sip:b@127.0.0.1:{port(callee)}", b"", caller="sip:a@b") for _ in range(200)]
    for _ in calls:
        (await next_invitation(callee)).reject(503)
    for dialog in calls:
        assert [event async for event in dialog.events()][-1].code == 503  # type: ignore[union-attr]
    async with asyncio.timeout(5):
        # An acknowledgement is quicker than whoever refuses where another core has time for it.
        while callee.stats().dialogs or caller.stats().dialogs:
            await asyncio.sleep(0.05)


async def test_a_session_that_is_too_brief_is_refused(engine: Engine, far: FarEnd) -> None:
    begun = far.begin(port(engine), "agent", body=sdp(), headers=[*TIMER, "Session-Expires: 30"])
    assert await begun.hears(422)
    assert begun.final.get("min-se") == "90"


async def test_a_stranger_is_not_let_in(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine(admission=Admission(sources=("203.0.113.0/24", "198.51.100.7")))
    silent = far.begin(port(engine), "agent", body=sdp())
    with pytest.raises(TimeoutError):
        await next_invitation(engine, 0.7)
    assert silent.responses == []
    assert engine.stats().dropped_requests == 1
    engine.admit(Admission(sources=("203.0.113.0/24",), refuse_with=403))
    refused = far.begin(port(engine), "agent", body=sdp())
    assert await refused.hears(403)
    assert refused.final.tag("to")
    engine.admit(LOOPBACK)
    welcome = far.begin(port(engine), "agent", body=sdp())
    dialog = await next_invitation(engine)
    dialog.ring()
    assert await welcome.hears(180)


async def test_one_address_may_begin_only_so_much(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine(admission=Admission(sources=None, per_second=1, burst=5))
    for _ in range(20):
        far.begin(port(engine), "agent", body=sdp())
    for _ in range(5):
        (await next_invitation(engine)).reject(486)
    with pytest.raises(TimeoutError):
        await next_invitation(engine, 0.3)
    assert engine.stats().dropped_requests >= 15


async def test_more_than_python_takes_is_refused_by_the_engine(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine(pending_invitations=3)
    begun = [far.begin(port(engine), "agent", body=sdp()) for _ in range(5)]
    for call in begun[3:]:
        assert await call.hears(503)
        assert call.final.get("retry-after") == "2"
        call.ack()
    assert engine.stats().refused_invitations == 2
    for _ in range(3):
        (await next_invitation(engine)).reject(486)
    for call in begun[:3]:
        assert await call.hears(486)


async def test_options_say_whether_we_take_calls(make_engine: MakeEngine, engine: Engine) -> None:
    other = await make_engine()
    uri = f"sip:127.0.0.1:{port(engine)}"
    reply = await other.options(uri)
    assert (reply.code, reply.is_from_wire) == (200, True)
    assert "UPDATE" in (reply.headers.first("Allow") or "")
    engine.answer_options(503)
    reply = await other.options(f"sip:127.0.0.1:{engine.addresses[1][2]};transport=tcp")
    assert reply.code == 503
    assert reply.is_from_wire
    assert reply.headers.first("Retry-After")
    reply = await other.options("sip:127.0.0.1:9", timeout=0.5)
    assert not reply.is_from_wire
