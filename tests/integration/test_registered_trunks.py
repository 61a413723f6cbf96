"""What the exchange says of a trunk that it registers: refused at first, then granted by a real registrar."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from pipelines.contract.phones import SipTrunk, SipTrunks
from tests.support.carrier import CREDENTIAL, carrier
from tests.support.certificates import certificate
from tests.support.far_end import FarEnd
from tests.support.ports import free_port
from tests.support.sip_messages import Message, response
from tests.support.telephony import staged
from worker.exchange import sip, trunks

pytestmark = [pytest.mark.phones, pytest.mark.timeout(120)]


@contextlib.asynccontextmanager
async def told_of(*known: SipTrunk) -> AsyncIterator[str]:
    """An api that tells of these."""

    async def told(_: web.Request) -> web.Response:
        return web.json_response(text=SipTrunks(trunks=known).model_dump_json())

    app = web.Application()
    app.router.add_get("/internal/phones/trunks", told)
    runner, port = web.AppRunner(app), free_port()
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_an_exchange_says_why_a_trunk_is_not_registered_and_when_it_is_again() -> None:
    registrar = FarEnd()
    await registrar.start()
    is_open = asyncio.Event()
    granted_at: list[float] = []

    def asked(register: Message) -> bytes:
        if not is_open.is_set():
            return response(register, 403, "Forbidden", "t")
        if not register.get("authorization"):
            asks = 'WWW-Authenticate: Digest realm="carrier",nonce="n",qop="auth",algorithm=MD5'
            return response(register, 401, "Unauthorized", "t", headers=[asks])
        granted_at.append(time.monotonic())
        granted = f"Contact: {register.get('contact')};expires=120"
        return response(register, 200, "OK", "t", headers=[granted])

    registrar.outside["REGISTER"] = asked
    try:
        async with staged(shards=1) as (stage, _):
            assert stage.liveness.exchange is not None
            assert stage.liveness.exchange.trunks == {}, "a trunk that does not register is not told of"
            stage.trunk = SipTrunk(
                trunk_id="trunk_2",
                server=f"127.0.0.1:{registrar.port}",
                username="alice",
                password="secret",
                registers=True,
            )

            def told() -> str | None:
                here = stage.liveness.exchange
                return here.trunks.get("trunk_2") if here is not None else None

            why_not = await stage.until(lambda: (why := told()) and "403" in why and why)
            assert why_not == "it is not registered: 403 Forbidden"
            is_open.set()
            await stage.until(lambda: told() == "", 30)

            known = len(granted_at)
            killed_at = time.monotonic()
            stage.processes["exchange"].kill()
            await stage.processes["exchange"].wait()
            await stage.start("exchange")
            await stage.until(lambda: len(granted_at) > known)
            assert granted_at[known] - killed_at < 5.0, "two seconds are meant, on a machine of its own"
            await stage.until(lambda: told() == "")
    finally:
        registrar.close()


async def test_calls_follow_the_registration_to_the_next_proxy_when_one_dies() -> None:
    first, second = FarEnd(), FarEnd()
    asked: list[FarEnd] = []

    def granting(far: FarEnd, seconds: int) -> Callable[[Message], bytes]:
        def granted(register: Message) -> bytes:
            asked.append(far)
            contact = f"Contact: {register.get('contact')};expires={seconds}"
            return response(register, 200, "OK", "t", headers=[contact])

        return granted

    for far, seconds in ((first, 4), (second, 120)):
        await far.start()
        far.outside["REGISTER"] = granting(far, seconds)
    try:
        async with staged(shards=1) as (stage, _):
            stage.trunk = SipTrunk(
                trunk_id="trunk_2",
                server="127.0.0.1:9",
                proxies=(f"127.0.0.1:{first.port}", f"127.0.0.1:{second.port}"),
                username="alice",
                password="secret",
                registers=True,
            )

            def registered() -> bool:
                here = stage.liveness.exchange
                return here is not None and here.trunks.get("trunk_2") == ""

            async def calls(call_id: str) -> float:
                began = time.monotonic()
                stage.dial(call_id=call_id)
                await stage.until(lambda: "answered" in stage.states(call_id))
                return time.monotonic() - began

            await stage.until(registered)
            await calls("before")
            assert (len(first.calls), len(second.calls)) == (1, 0)
            assert (await first.calls[0].request("BYE")).code == 200  # type: ignore[union-attr]
            assert second not in asked
            first.close()
            await stage.until(lambda: second in asked, 30)
            await stage.until(registered)
            took = await calls("after")
            assert took < 3.0, "the one that is gone is not tried first"
            assert len(second.calls) == 1
            assert (await second.calls[0].request("BYE")).code == 200  # type: ignore[union-attr]
            await stage.until(lambda: stage.end_of("after"))
    finally:
        first.close()
        second.close()


async def test_a_connection_that_a_router_has_forgotten_is_opened_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trunks, "KEEP_OPEN_SECONDS", 0.2)
    monkeypatch.setattr(trunks, "_ANSWER_SECONDS", 0.5)
    listeners = [sip.Listener("udp", "127.0.0.1", 0), sip.Listener("tcp", "127.0.0.1", 0)]
    async with (
        carrier(certificate(tmp_path, "carrier")) as behind,
        sip.Engine(listeners, admission=sip.Admission(sources=())) as engine,
        aiohttp.ClientSession() as http,
    ):
        flow = behind.flows["tcp"]
        trunk = SipTrunk(
            trunk_id="t",
            server=f"127.0.0.1:{flow.port}",
            transport="tcp",
            username=CREDENTIAL.username,
            password=CREDENTIAL.password,
            registers=True,
        )
        async with told_of(trunk) as url:
            known = trunks.Trunks(engine, url, http)
            running = asyncio.create_task(known.run())
            async with asyncio.timeout(20):
                while known.registrations() != {"t": ""} or not known._silences:
                    await asyncio.sleep(0.01)
                flow.freeze()
                while flow.opened == 1:
                    await asyncio.sleep(0.01)
                while not known._silences:
                    await asyncio.sleep(0.01)
            assert flow.opened == 2
            assert known.registrations() == {"t": ""}
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running


async def test_the_way_in_is_kept_open_while_a_trunk_is_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trunks, "KEEP_OPEN_SECONDS", 0.1)
    registrar = FarEnd()
    await registrar.start()
    asked: list[str] = []

    def registered(message: Message) -> bytes:
        asked.append("REGISTER")
        return response(message, 200, "OK", "t", headers=[f"Contact: {message.get('contact')};expires=120"])

    def other(message: Message) -> bytes:
        asked.append("OPTIONS")
        return response(message, 404, "Not Found", "t")

    registrar.outside |= {"REGISTER": registered, "OPTIONS": other}
    trunk = SipTrunk(
        trunk_id="t",
        server=f"127.0.0.1:{registrar.port}",
        username="alice",
        password="secret",
        registers=True,
    )
    static = SipTrunk(trunk_id="u", server=f"127.0.0.1:{registrar.port}")

    try:
        async with (
            told_of(trunk, static) as url,
            sip.Engine([sip.Listener("udp", "127.0.0.1", 0)], admission=sip.Admission(sources=())) as engine,
            aiohttp.ClientSession() as http,
        ):
            running = asyncio.create_task(trunks.Trunks(engine, url, http).run())
            async with asyncio.timeout(20):
                while asked.count("OPTIONS") < 3:
                    await asyncio.sleep(0.01)
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            assert asked[0] == "REGISTER"
    finally:
        registrar.close()
