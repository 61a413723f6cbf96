"""A call outlives the process that had it."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.sip.conftest import MakeEngine, next_invitation
from tests.support.carrier import CREDENTIAL, Carrier
from tests.support.ear import Ear
from tests.support.far_call import FarCall
from tests.support.far_end import FarEnd
from tests.support.ports import free_port
from tests.support.sip_messages import Message, response, sdp
from worker.exchange.sip import BadSnapshot, Confirmed, Credential, Ended, Engine, Listener, Offer, Timing

ROOT = Path(__file__).parents[3]


class Dying:
    """An exchange in another process, which is killed with -9."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """What it says next."""
        assert self.process.stdout is not None
        return (await asyncio.wait_for(self.process.stdout.readline(), 20)).decode().strip()

    async def die(self) -> None:
        """Without a goodbye."""
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()


async def dying(*arguments: object) -> Dying:
    """Starts one."""
    command = [sys.executable, "-m", "tests.support.dying_exchange", *map(str, arguments)]
    return Dying(await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT))


def challenged(bye: Message) -> bytes:
    """A BYE is answered only with a credential."""
    if bye.get("proxy-authorization"):
        return response(bye, 200, "OK")
    challenge = 'Proxy-Authenticate: Digest realm="carrier",nonce="n",qop="auth",algorithm=MD5'
    return response(bye, 407, "Auth", headers=[challenge])


async def test_a_call_that_we_placed_goes_on_in_another_process(
    make_engine: MakeEngine, trunk: Carrier
) -> None:
    port = free_port(socket.SOCK_DGRAM)
    first = await dying(port, trunk.uri("plain"), trunk.proxy)
    snapshot = await first.line()
    await first.die()
    assert len(snapshot) < 2000
    assert "secret" not in snapshot
    far = trunk.far.calls[0]
    far.answers["BYE"] = challenged
    engine = await make_engine(Listener("udp", "127.0.0.1", port))
    dialog = engine.restore(snapshot, credential=CREDENTIAL)
    ear = Ear(dialog)
    assert dialog.call_id == far.invite.get("call-id")
    assert dialog.is_answered
    # The far end reaches us, and we it, along the same two proxies.
    asking = asyncio.ensure_future(far.request("INVITE", sdp("sendonly")))
    (await ear.hear(Offer)).accept(body=sdp("recvonly").encode())
    answer = await asking
    assert answer is not None
    assert answer.code == 200
    assert (await dialog.reinvite(sdp().encode())).is_success
    await dialog.hang_up()
    bye = far.of("BYE")[-1]
    assert 'username="alice"' in bye.get("proxy-authorization")
    assert far.ports("BYE") == [trunk.far.other] * 2
    assert bye.tag("from") == far.invite.tag("from")
    assert int(bye.get("cseq").split()[0]) > 1000
    assert (await ear.hear(Ended)).by == "us"


async def test_a_call_that_came_to_us_goes_on_in_another_process(
    make_engine: MakeEngine, far: FarEnd
) -> None:
    port = free_port(socket.SOCK_DGRAM)
    first = await dying(port)
    assert await first.line() == "ready"
    begun = far.begin(port, "agent", body=sdp())
    assert await begun.hears(200)
    begun.ack()
    for _ in range(3):  # as it came, as it was answered, and as it was acknowledged
        snapshot = await first.line()
    await first.die()
    begun.answers["BYE"] = challenged
    engine = await make_engine(Listener("udp", "127.0.0.1", port))
    dialog = engine.restore(snapshot, credential=CREDENTIAL)
    ear = Ear(dialog)
    assert dialog.direction == "inbound"
    assert (await dialog.info(b"x", "text/plain")).is_success
    await dialog.hang_up()
    assert 'username="alice"' in begun.of("BYE")[-1].get("proxy-authorization")
    assert (await ear.hear(Ended)).by == "us"
    again = Ear(engine.restore(snapshot))
    bye = await begun.request("BYE")
    assert bye is not None
    assert bye.code == 200
    assert (await again.hear(Ended)).by == "far"


async def begun_and_left(
    make_engine: MakeEngine, far: FarEnd, user: str, snapshots: int, **settings: Any
) -> tuple[FarCall, str, Engine]:
    """A call to a process that wrote down so much of it and died; and the one after it."""
    port = free_port(socket.SOCK_DGRAM)
    first = await dying(port)
    assert await first.line() == "ready"
    routes = [f"<sip:127.0.0.1:{far.port};lr;ftag=x>"]
    begun = far.begin(port, user, body=sdp(), routes=routes, headers=['Proxy-Authorization: Digest x="pass"'])
    for _ in range(snapshots):
        snapshot = await first.line()
    assert await begun.hears(200 if snapshots == 2 else 180)
    await first.die()
    assert "pass" not in snapshot
    assert len(snapshot) < 3000
    return begun, snapshot, await make_engine(Listener("udp", "127.0.0.1", port), **settings)


async def nobody_calls(engine: Engine) -> None:
    """Nothing that has come was taken for a call."""
    with pytest.raises(TimeoutError):
        await next_invitation(engine, 0.3)


async def test_who_was_not_answered_yet_is_refused_by_another_process(
    make_engine: MakeEngine, far: FarEnd
) -> None:
    begun, snapshot, engine = await begun_and_left(make_engine, far, "late", 1)
    dialog = engine.restore(snapshot)
    assert not dialog.is_answered
    begun.again()
    dialog.reject(503, headers=[("Retry-After", "5")])
    assert await begun.hears(503)
    assert begun.final.get("retry-after") == "5"
    begun.ack()
    assert (await Ear(dialog).hear(Ended)).by == "us"
    begun.again()
    await nobody_calls(engine)
    assert len({answer.tag("to") for answer in begun.responses if answer.code > 100}) == 1
    # One that is repeated before anybody has come to its snapshot.
    begun, snapshot, engine = await begun_and_left(make_engine, far, "late", 1)
    begun.again()
    repeated = await next_invitation(engine)
    with pytest.raises(BadSnapshot):
        engine.restore(snapshot)
    assert await begun.hears(503)
    assert (await Ear(repeated).hear(Ended)).code == 503


async def test_an_answer_without_its_ack_is_repeated_by_another_process(
    make_engine: MakeEngine, far: FarEnd
) -> None:
    begun, snapshot, engine = await begun_and_left(make_engine, far, "agent", 2)
    before = begun.codes().count(200)
    ear = Ear(engine.restore(snapshot, credential=CREDENTIAL))
    assert ear.dialog.is_answered
    assert await begun.until(lambda: begun.codes().count(200) >= before + 3)
    begun.again()
    begun.ack()
    await ear.hear(Confirmed)
    await nobody_calls(engine)
    answers = [answer for answer in begun.responses if answer.code == 200]
    assert len({(one.tag("to"), one.body, one.get("contact"), one.get("allow")) for one in answers}) == 1
    assert answers[-1].all("record-route") == answers[0].all("record-route")
    begun.answers["BYE"] = challenged
    await ear.dialog.hang_up()
    assert 'username="alice"' in begun.of("BYE")[-1].get("proxy-authorization")
    assert (await ear.hear(Ended)).by == "us"
    assert engine.stats().dialogs == 0


async def test_an_answer_that_is_never_acknowledged_ends_in_another_process_too(
    make_engine: MakeEngine, far: FarEnd
) -> None:
    begun, snapshot, engine = await begun_and_left(
        make_engine, far, "agent", 2, timing=Timing(t1_seconds=1 / 32)
    )
    ended = await Ear(engine.restore(snapshot)).hear(Ended)
    assert (ended.by, ended.code) == ("timeout", 408)
    assert await begun.until(lambda: bool(begun.of("BYE")))


async def test_a_caller_over_tcp_is_answered_where_they_can_be_reached(make_engine: MakeEngine) -> None:
    heard: asyncio.Queue[Message] = asyncio.Queue()

    async def listens(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                heard.put_nowait(Message(head))
        writer.close()

    async with await asyncio.start_server(listens, "127.0.0.1", 0) as server:
        for place, user in ((server.sockets[0].getsockname()[1], "late"), (free_port(), "late")):
            port = free_port()
            first = await dying(port)
            assert await first.line() == "ready"
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            lines = [f"INVITE sip:{user}@127.0.0.1:{port} SIP/2.0"]
            lines += [f"Via: SIP/2.0/TCP 127.0.0.1:{place};rport;branch=z9hG4bK{place}"]
            lines += ["Max-Forwards: 70", "From: <sip:1@127.0.0.1>;tag=f", f"To: <sip:{user}@127.0.0.1>"]
            lines += [f"Call-ID: {place}", "CSeq: 1 INVITE", f"Contact: <sip:1@127.0.0.1:{place}>"]
            writer.write("\r\n".join([*lines, "Content-Length: 0", "", ""]).encode())
            snapshot = await first.line()
            await first.die()
            engine = await make_engine(Listener("tcp", "127.0.0.1", port))
            dialog = engine.restore(snapshot)
            dialog.reject(503)
            ended = await Ear(dialog).hear(Ended)
            writer.close()
            if place == server.sockets[0].getsockname()[1]:
                assert (await asyncio.wait_for(heard.get(), 5)).code == 503
                assert ended.code == 503
        assert engine.stats().dialogs == 0, "who cannot be reached any more is forgotten"


async def test_what_was_sent_in_the_moment_of_death_is_cancelled(
    make_engine: MakeEngine, far: FarEnd, tmp_path: Path
) -> None:
    journal = tmp_path / "o1.rings"
    asked: list[Message] = []

    async def rings(call: FarCall) -> None:
        asked.append(call.invite)
        assert call.invite.branch in journal.read_text(), "it is written down before it leaves"
        if call.invite.user == "asked" and not call.invite.get("proxy-authorization"):
            call.far.send(far.port, challenged(call.invite), call.source)
            return
        first.process.kill()
        call.answers["ACK"] = lambda ack: acknowledged.set()
        await call.until(lambda: bool(call.of("CANCEL")), 20)
        while not acknowledged.is_set():
            call.reply(487, "Request Terminated")
            await call.until(acknowledged.is_set, 0.5)

    for user in ("plain", "asked"):
        acknowledged = asyncio.Event()
        far.on(user, rings)
        port = free_port(socket.SOCK_DGRAM)
        where = f"sip:127.0.0.1:{far.port}"
        first = await dying(port, f"sip:{user}@127.0.0.1:{far.port}", where, journal)
        await asyncio.wait_for(first.process.wait(), 20)
        engine = await make_engine(Listener("udp", "127.0.0.1", port))
        assert await engine.abandon(journal.read_text()) == ""
        (cancel,) = far.calls[-1].of("CANCEL")
        assert cancel.branch == asked[-1].branch
        assert cancel.get("cseq").split()[0] == asked[-1].get("cseq").split()[0]
        assert await asyncio.wait_for(acknowledged.wait(), 5)
        assert journal.stat().st_mode & 0o777 == 0o600
        assert not journal.with_suffix(".new").exists()
    assert [invite.user for invite in asked] == ["plain", "asked", "asked"]
    # Who never got it gets no other one: a telephone would ring anew.
    there = len(far.calls)
    never = journal.read_text().replace(asked[-1].get("call-id"), "never-sent")
    assert "481" in await engine.abandon(never)
    assert len(far.calls) == there


async def test_nobody_is_called_whom_nothing_would_be_known_of(
    engine: Engine, far: FarEnd, tmp_path: Path
) -> None:
    folder = tmp_path / "dialogs"

    async def asks(call: FarCall) -> None:
        if not call.invite.get("proxy-authorization"):
            folder.rename(tmp_path / "gone")
            call.far.send(far.port, challenged(call.invite), call.source)
            return
        call.reply(180, "Ringing")
        await call.until(lambda: bool(call.of("CANCEL")))
        call.reply(487, "Request Terminated")

    far.on("somebody", asks)
    for invites in (0, 2):
        ear = Ear(
            engine.invite(
                f"sip:somebody@127.0.0.1:{far.port}",
                sdp().encode(),
                caller="sip:1@127.0.0.1",
                credential=CREDENTIAL,
                journal=folder / "o1.rings",
            )
        )
        ended = await ear.hear(Ended)
        assert (ended.by, ended.reason) == ("transport", "the call could not be written down")
        assert len(far.calls) == invites, "what cannot be written anew is taken back"
        folder.mkdir()
    await asyncio.wait_for(far.calls[-1].done.wait(), 5)
    assert far.calls[-1].of("CANCEL")


async def test_a_snapshot_that_is_none(engine: Engine) -> None:
    good = {
        "version": 1,
        "dialog": {},
        "local_uri": "",
        "remote_uri": "",
        "body": "",
        "takes_updates": None,
        "timer": None,
    }
    for text in ("", "{}", "[]", "null", json.dumps({**good, "version": 2}), json.dumps(good)):
        with pytest.raises(BadSnapshot):
            engine.restore(text, credential=Credential("a", "b"))
    assert engine.stats().dialogs == 0
