"""Where calls go, and how soon it is known that they cannot."""

import asyncio
import contextlib
import socket
import time
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from tests.integration.sip.conftest import OFFER, MakeEngine, next_invitation
from tests.support.certificates import certificate
from tests.support.ear import Ear
from tests.support.far_end import FarEnd
from tests.support.name_server import Record, name_server
from tests.support.ports import free_port
from tests.support.sip_messages import response
from worker.exchange.sip import (
    AddressInUse,
    Admission,
    Answered,
    BadUri,
    Ended,
    Engine,
    Listener,
    Reach,
    Timing,
)

CALLER = "sip:us@127.0.0.1"


async def test_a_name_leads_into_no_network_that_is_refused_unless_it_is_exempt(
    make_engine: MakeEngine, far: FarEnd
) -> None:
    records: dict[str, list[Record]] = {
        "_sip._udp.carrier.test": [(10, 0, far.port, "a.carrier.test")],
        "a.carrier.test": [IPv4Address("127.0.0.1")],
    }
    kept = Reach(
        refused=("127.0.0.0/8", "::1"), exempt=(("carrier.test", far.port + 1), ("other.test", None))
    )
    let = Reach(refused=("127.0.0.0/8",), exempt=(("Carrier.test", far.port),))
    async with name_server(records) as server:
        engine = await make_engine(nameservers=(server,), reach=kept)
        ended = await Ear(engine.invite("sip:bob@carrier.test", OFFER, caller=CALLER)).hear(Ended)
        assert (ended.by, ended.code, ended.reason) == (
            "transport",
            503,
            "carrier.test leads into a private network",
        )
        asked = await engine.options("sip:carrier.test")
        assert (asked.is_from_wire, "private network" in asked.reason) == (False, True)
        assert not far.calls
        engine = await make_engine(nameservers=(server,), reach=let)
        ear = Ear(engine.invite("sip:bob@carrier.test", OFFER, caller=CALLER))
        await ear.hear(Answered)
        await ear.dialog.hang_up()


async def test_the_next_srv_record_is_tried_when_the_first_is_silent(
    make_engine: MakeEngine, far: FarEnd
) -> None:
    silent = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    silent.bind(("127.0.0.1", 0))
    records: dict[str, list[Record]] = {
        "_sip._udp.carrier.test": [
            (20, 0, far.port, "b.carrier.test"),
            (10, 0, silent.getsockname()[1], "a.carrier.test"),
        ],
        "a.carrier.test": [IPv4Address("127.0.0.1")],
        "b.carrier.test": [IPv4Address("127.0.0.1")],
    }
    async with name_server(records) as server:
        engine = await make_engine(nameservers=(server,), timing=Timing(try_next_seconds=1))
        ear = Ear(engine.invite("sip:bob@carrier.test", OFFER, caller=CALLER))
        began = time.monotonic()
        await ear.hear(Answered)
        assert 0.9 < time.monotonic() - began < 3
        assert silent.recv(65535).startswith(b"INVITE sip:bob@carrier.test")
        await ear.dialog.hang_up()
        assert far.calls[0].of("BYE")
        lost = Ear(engine.invite("sip:bob@nowhere.test", OFFER, caller=CALLER))
        ended = await lost.hear(Ended)
        assert (ended.by, ended.code) == ("transport", 503)
        assert "nowhere.test" in ended.reason
    silent.close()


async def test_the_next_proxy_is_tried_after_a_503(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine()
    full = FarEnd()
    await full.start()

    async def refuses(call: object) -> None:
        full.calls[-1].reply(503, "Overloaded", headers=["Retry-After: 9"])

    full.on("bob", refuses)
    proxies = [f"sip:127.0.0.1:{full.port}", f"sip:127.0.0.1:{far.port}"]
    ear = Ear(engine.invite("sip:bob@carrier.invalid", OFFER, caller=CALLER, proxies=proxies))
    await ear.hear(Answered)
    await ear.dialog.hang_up()
    ear = Ear(engine.invite("sip:bob@carrier.invalid", OFFER, caller=CALLER, proxies=proxies[:1]))
    ended = await ear.hear(Ended)
    full.close()
    assert (ended.by, ended.code, ended.reason) == ("far", 503, "Overloaded")
    assert ended.headers.first("Retry-After") == "9"


async def test_a_cancel_goes_where_the_invite_went(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine()

    async def rings(call: object) -> None:
        far.calls[-1].reply(180, "Ringing")

    far.on("bob", rings)
    # The URI names a place where nobody is.
    proxies = [f"sip:127.0.0.1:{far.port}"]
    ear = Ear(engine.invite("sip:bob@127.0.0.1:9", OFFER, caller=CALLER, proxies=proxies))
    await asyncio.sleep(0.3)
    await ear.dialog.hang_up()
    assert await far.calls[0].until(lambda: bool(far.calls[0].of("CANCEL")))
    far.calls[0].reply(487, "Request Terminated")


async def test_a_connection_that_cannot_be_made_is_known_soon(make_engine: MakeEngine) -> None:
    engine = await make_engine(timing=Timing(connect_seconds=1))
    began = time.monotonic()
    refused = Ear(engine.invite("sip:bob@127.0.0.1:9;transport=tcp", OFFER, caller=CALLER))
    ended = await refused.hear(Ended)
    assert (ended.by, ended.code) == ("transport", 503)
    assert "refused" in ended.reason
    assert time.monotonic() - began < 1
    # Somebody who takes connections but never answers: a TLS handshake that does not come.
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        uri = f"sip:bob@127.0.0.1:{deaf.getsockname()[1]};transport=tls"
        ended = await Ear(engine.invite(uri, OFFER, caller=CALLER)).hear(Ended)
    assert (ended.by, ended.code) == ("transport", 503)
    assert time.monotonic() - began < 5


async def test_one_address_may_have_only_so_many_connections(make_engine: MakeEngine) -> None:
    engine = await make_engine(admission=Admission(sources=None, connections=3))
    where = engine.addresses[1][1:]

    async def is_closed(reader: asyncio.StreamReader, seconds: float = 1.0) -> bool:
        try:
            return not await asyncio.wait_for(reader.read(1), seconds)
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    async def is_let_in(seconds: float = 1.0) -> bool:
        """Whether it is still open after that: where it is not to be, a busy machine has its time."""
        reader, writer = await asyncio.open_connection(*where)
        try:
            return not await is_closed(reader, seconds)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    held = [await asyncio.open_connection(*where) for _ in range(3)]
    assert not await is_let_in(10)
    assert not await is_closed(held[0][0])
    held[0][1].close()
    await held[0][1].wait_closed()
    async with asyncio.timeout(15):
        while not await is_let_in():
            await asyncio.sleep(0.05)
    engine.admit(Admission(sources=("203.0.113.0/24",)))
    assert not await is_let_in(10), "a stranger has none"
    for _, writer in held[1:]:
        writer.close()
        await writer.wait_closed()


async def test_what_is_large_goes_over_tcp_where_somebody_listens(make_engine: MakeEngine) -> None:
    engine = await make_engine()
    same = free_port()
    both = await make_engine(Listener("udp", "127.0.0.1", same), Listener("tcp", "127.0.0.1", same))
    datagrams_only = await make_engine(Listener("udp", "127.0.0.1"))
    large = [(f"X-Part-{n}", "y" * 150) for n in range(8)]
    for callee, headers, transport in (
        (both, large, "tcp"),
        (both, [], "udp"),
        (datagrams_only, large, "udp"),
    ):
        uri = f"sip:b@127.0.0.1:{callee.addresses[0][2]}"
        dialog = engine.invite(uri, OFFER, caller="sip:a@127.0.0.1", headers=headers)
        came = await next_invitation(callee)
        assert came.invitation is not None
        assert came.invitation.transport == transport
        came.answer(OFFER)
        async for event in dialog.events():
            if isinstance(event, Answered):
                await came.hang_up()  # which has to find us
        assert isinstance(event, Ended)
        assert event.by == "far"


async def test_a_call_over_tls_and_a_certificate_that_is_not_trusted(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    good, key = certificate(tmp_path, "good")
    listener = Listener("tls", "127.0.0.1", certificate=good, private_key=key)
    server = await make_engine(listener)
    client = await make_engine(Listener("udp", "127.0.0.1"), Listener("tcp", "127.0.0.1"), ca_file=good)
    port = server.addresses[0][2]
    ear = Ear(client.invite(f"sip:bob@127.0.0.1:{port};transport=tls", OFFER, caller=CALLER))
    dialog = await next_invitation(server)
    assert dialog.invitation is not None
    assert dialog.invitation.transport == "tls"
    dialog.answer(b"v=0")
    answered = await ear.hear(Answered)
    assert answered.headers.first("Contact") == f"<sip:bob@127.0.0.1:{port};transport=TLS>"
    theirs = Ear(dialog)
    await dialog.hang_up()
    assert (await ear.hear(Ended)).by == "far"
    assert (await theirs.hear(Ended)).by == "us"
    other, _ = certificate(tmp_path, "other")
    stranger = await make_engine(ca_file=other)
    began = time.monotonic()
    uri = f"sip:bob@127.0.0.1:{port};transport=tls"
    ended = await Ear(stranger.invite(uri, OFFER, caller=CALLER)).hear(Ended)
    assert (ended.by, ended.code) == ("transport", 503)
    assert "certificate" in ended.reason
    assert time.monotonic() - began < 5


async def test_a_certificate_must_be_for_the_name_that_was_called(
    make_engine: MakeEngine, tmp_path: Path
) -> None:
    good, key = certificate(tmp_path, "good")
    server = await make_engine(Listener("tls", "127.0.0.1", certificate=good, private_key=key))
    srv: list[Record] = [(1, 1, server.addresses[0][2], "a.carrier.test")]
    records: dict[str, list[Record]] = {
        "_sips._tcp.carrier.test": srv,
        "_sips._tcp.impostor.test": srv,
        "a.carrier.test": [IPv4Address("127.0.0.1")],
    }
    async with name_server(records) as names:
        client = await make_engine(ca_file=good, nameservers=(names,))
        reply = await client.options("sip:impostor.test;transport=tls")
        assert (reply.code, reply.is_from_wire) == (503, False)
        reply = await client.options("sip:carrier.test;transport=tls")
        assert reply.code == 200


async def test_a_listener_that_cannot_be_opened(make_engine: MakeEngine, tmp_path: Path) -> None:
    engine = await make_engine()
    for transport, _, port in engine.addresses:
        with pytest.raises(AddressInUse):
            await make_engine(Listener(transport, "127.0.0.1", port))
    good, _ = certificate(tmp_path, "good")
    _, key = certificate(tmp_path, "other")
    with pytest.raises(AddressInUse):
        await make_engine(Listener("tls", "127.0.0.1", certificate=good, private_key=key))
    with pytest.raises(AddressInUse):
        await make_engine(Listener("tls", "127.0.0.1"))
    with pytest.raises(BadUri):
        await make_engine(Listener("udp", "phones.example"))


@pytest.mark.parametrize(
    "uri", ["", "bob", "tel:+1555", "sip:", "sip:a b@c", "sip:bob@127.0.0.1:99999", "sip:x@y\r\nX: 1"]
)
async def test_what_is_no_uri_is_not_called(engine: Engine, uri: str) -> None:
    with pytest.raises(BadUri):
        engine.invite(uri, OFFER, caller=CALLER)
    assert engine.stats().dialogs == 0


async def test_what_is_advertised_is_said(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine(Listener("udp", "127.0.0.1", advertised="198.51.100.7"))
    ear = Ear(engine.invite(f"sip:bob@127.0.0.1:{far.port}", OFFER, caller="sip:+1555@carrier.test"))
    await ear.hear(Answered)
    invite = far.calls[0].invite
    port = engine.addresses[0][2]
    assert invite.get("contact") == f"<sip:+1555@198.51.100.7:{port}>"
    assert f"198.51.100.7:{port}" in invite.get("via")
    far.calls[0].answers["BYE"] = lambda asked: response(asked, 200, "OK")
    await ear.dialog.hang_up()
    contact = "sip:+1555@203.0.113.5:1234"
    uri = f"sip:bob@127.0.0.1:{far.port}"
    ear = Ear(engine.invite(uri, OFFER, caller=CALLER, contact=contact))
    await ear.hear(Answered)
    assert far.calls[1].invite.get("contact") == f"<{contact}>"
    await ear.dialog.hang_up()
