"""Trunks over TCP and TLS at a real registrar, behind NAT: calls go over the connection that we opened."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from pipelines.contract.phones import SipTrunk
from pipelines.contract.websocket import HangUp
from tests.support.carrier import CREDENTIAL, DID, Carrier, carrier
from tests.support.certificates import certificate
from tests.support.flows import FlowRelay
from tests.support.ports import free_port
from tests.support.telephony import Stage, calling, sockets, staged
from worker.exchange import sdp, sip

pytestmark = [pytest.mark.phones, pytest.mark.timeout(180)]


def trunk_over(transport: str, server: str) -> SipTrunk:
    """One that registers there."""
    return SipTrunk.model_validate(
        {
            "trunk_id": f"over_{transport}",
            "server": server,
            "transport": transport,
            "username": CREDENTIAL.username,
            "password": CREDENTIAL.password,
            "registers": True,
        }
    )


def told(stage: Stage) -> str | None:
    """Why the trunk is not registered; None: nothing is known of it yet."""
    here = stage.liveness.exchange
    return here.trunks.get(stage.trunk.trunk_id) if here is not None else None


def opened_to_us(stage: Stage, port: int) -> int:
    """Connections that somebody has opened to the exchange."""
    held = psutil.Process(stage.processes["exchange"].pid).net_connections("tcp")
    return sum(one.status == psutil.CONN_ESTABLISHED and one.laddr.port == port for one in held)


@contextlib.asynccontextmanager
async def house(folder: Path) -> AsyncIterator[tuple[Stage, sip.Engine, Carrier, int]]:
    """An exchange that listens on UDP and TCP alone, a telephone, a carrier, and where TCP is taken."""
    ca, key = certificate(folder, "carrier")
    port = free_port()
    settings = {
        "CALL2ME_SIP_CA_FILE": str(ca),
        "CALL2ME_SIP_STRANGERS": "403",
        "CALL2ME_ALLOW_HOSTS": "localhost",
    }
    async with (
        carrier((ca, key)) as behind,
        staged(shards=1, more_listeners=(f"tcp:127.0.0.1:{port}",), settings=settings) as (stage, telephone),
    ):
        yield stage, telephone, behind, port


async def test_all_of_a_call_goes_over_the_connection_that_we_opened(tmp_path: Path) -> None:
    async with house(tmp_path) as (stage, telephone, behind, port):
        for transport, flow in behind.flows.items():
            stage.trunk = trunk_over(transport, f"127.0.0.1:{flow.port}")
            await stage.until(lambda: told(stage) == "")
            before = len(stage.rang)
            for theirs in (True, False):
                async with calling(stage, telephone, DID, port=behind.inner, credential=CREDENTIAL) as caller:
                    call_id = f"c{len(stage.rang)}"
                    await stage.until(lambda: caller.phone.first_sound(0.0))
                    if theirs:
                        await caller.dialog.hang_up()
                    else:
                        assert stage.liveness.phone_order(HangUp(call_id=call_id, reason="asked"))
                        assert (await stage.until(lambda: caller.end)).by == "far"
                    ended = await stage.until(lambda call_id=call_id: stage.end_of(call_id))
                    assert ended.sip_code == 200
            assert len(stage.rang) == before + 2
            assert {one.trunk_id for one in stage.rang[before:]} == {stage.trunk.trunk_id}

            for who in ("they", "we"):
                call_id = f"{who}-{transport}"
                stage.dial("+14155550150", call_id=call_id)
                await stage.until(lambda call_id=call_id: "answered" in stage.states(call_id))
                called = behind.far.calls[-1]
                await stage.until(lambda called=called: called.of("ACK"))
                if who == "they":
                    assert (await called.request("BYE")).code == 200
                else:
                    assert stage.liveness.phone_order(HangUp(call_id=call_id, reason="asked"))
                    await stage.until(lambda called=called: called.of("BYE"))
                await stage.until(lambda call_id=call_id: stage.end_of(call_id))
            assert flow.opened == 1, "registered, called and calling over the same one"

            stage.dial("+14155550150", call_id=f"cut-{transport}")
            await stage.until(lambda transport=transport: "answered" in stage.states(f"cut-{transport}"))
            called = behind.far.calls[-1]
            await stage.until(lambda called=called: called.of("ACK"))
            flow.cut()
            cut_at = time.monotonic()
            await stage.until(lambda flow=flow: flow.opened == 2)
            assert time.monotonic() - cut_at < 3.0, "at once, not when it would have been refreshed"
            assert stage.liveness.phone_order(HangUp(call_id=f"cut-{transport}", reason="asked"))
            await stage.until(lambda called=called: called.of("BYE"))
            await stage.until(lambda transport=transport: stage.end_of(f"cut-{transport}"))
            await is_called_again(stage, telephone, behind)
            await outlives_its_exchange(stage, behind, flow, transport)
            assert opened_to_us(stage, port) == 0
        await refused_certificates(stage, behind, tmp_path)
        await refused_strangers(stage, port)


async def is_called_again(stage: Stage, telephone: sip.Engine, behind: Carrier) -> None:
    """Until the registrar has heard of the new connection, it looks for us at the end of the old one."""
    async with asyncio.timeout(8):
        while True:
            with contextlib.suppress(AssertionError):
                async with calling(stage, telephone, DID, port=behind.inner, credential=CREDENTIAL) as caller:
                    await stage.until(lambda: caller.phone.first_sound(0.0))
                    return
            await asyncio.sleep(0.2)


async def outlives_its_exchange(stage: Stage, behind: Carrier, flow: FlowRelay, transport: str) -> None:
    """Its connections are gone with it; the next one goes on with the call over another."""
    stage.dial("+14155550150", call_id=f"kept-{transport}")
    await stage.until(lambda: "answered" in stage.states(f"kept-{transport}"))
    called = behind.far.calls[-1]
    await stage.until(lambda: called.of("ACK"))
    await stage.until((stage.home / "run" / "dialogs" / f"kept-{transport}.json").exists)
    opened = flow.opened
    stage.processes["exchange"].kill()
    await stage.processes["exchange"].wait()
    await stage.start("exchange")
    await stage.until(lambda: flow.opened > opened and told(stage) == "")
    await stage.until(lambda: (e := stage.liveness.exchange) is not None and e.call_ids)
    assert stage.liveness.phone_order(HangUp(call_id=f"kept-{transport}", reason="asked"))
    await stage.until(lambda: called.of("BYE"))
    await stage.until(lambda: stage.end_of(f"kept-{transport}"))


async def refused_certificates(stage: Stage, behind: Carrier, folder: Path) -> None:
    """Signed by nobody we know, and for another name than the one that was called."""
    other, key = certificate(folder, "stranger")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(other, key)
    stranger = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    by_name = f"localhost:{behind.flows['tls'].port}"
    unsigned = f"127.0.0.1:{stranger.sockets[0].getsockname()[1]}"
    for server, words in ((by_name, "certificate not valid for name"), (unsigned, "UnknownIssuer")):
        stage.trunk = trunk_over("tls", server).model_copy(update={"trunk_id": words})
        why_not = await stage.until(lambda: (why := told(stage)) and "certificate" in why and why)
        assert words in why_not
    stranger.close()


async def refused_strangers(stage: Stage, port: int) -> None:
    """Whoever is no carrier of ours hears the code that was chosen, over UDP and TCP, and rings nowhere."""
    known = len(stage.rang)
    async with sip.Engine([sip.Listener("udp", "127.0.0.3")], user_agent="Scanner") as scanner:
        where = f"127.0.0.1:{stage.sip_port}"
        assert (await scanner.options(f"sip:agent@{where}")).code == 403
        mine, address = sockets()
        dialog = scanner.invite(f"sip:{DID}@{where}", sdp.Ours(address, 1).offer(), caller="sip:1@127.0.0.3")
        (ended,) = [event async for event in dialog.events()]
        assert isinstance(ended, sip.Ended)
        assert (ended.by, ended.code) == ("far", 403)
        mine.close()
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.3", 0))
    lines = [f"OPTIONS sip:100@127.0.0.1:{port} SIP/2.0", "Via: SIP/2.0/TCP 127.0.0.3;branch=z9hG4bKscan"]
    lines += ["From: <sip:1@127.0.0.3>;tag=scan", "To: <sip:100@127.0.0.1>", "Call-ID: scan"]
    lines += ["CSeq: 1 OPTIONS", "Max-Forwards: 70", "Content-Length: 0", "", ""]
    writer.write("\r\n".join(lines).encode())
    assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"SIP/2.0 403 ")
    writer.close()
    assert len(stage.rang) == known
