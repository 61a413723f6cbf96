"""Bindings at a registrar: made, kept, lost, removed."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable

from tests.integration.sip.conftest import MakeEngine
from tests.support.carrier import CREDENTIAL, Carrier
from tests.support.far_end import FarEnd
from tests.support.sip_messages import Message, response
from worker.exchange.sip import Account, Credential, Engine, Registered, Registration, RegistrationFailed


async def change(changes: AsyncIterator[object], seconds: float = 8.0) -> object:
    """The next of them."""
    async with asyncio.timeout(seconds):
        return await anext(changes)


async def test_a_registration_is_kept_through_a_lost_packet_and_stale_nonces(
    engine: Engine, trunk: Carrier
) -> None:
    trunk.relay.lose_next = 1
    account = Account(f"sip:127.0.0.1:{trunk.port}", CREDENTIAL, proxies=(trunk.proxy,), expires_seconds=60)
    registration = engine.register(account)
    changes = aiter(registration.changes())
    first = await change(changes)
    # The carrier grants eight seconds at most, and its nonces are stale after three.
    assert isinstance(first, Registered)
    assert first.expires_seconds == 8
    assert registration.is_registered
    assert registration.public_address == ("127.0.0.1", trunk.proxy_port)
    second = await change(changes, 9)
    assert isinstance(second, Registered)
    await registration.unregister()
    assert not registration.is_registered
    assert [item async for item in changes] == []
    await registration.unregister()


async def test_a_registration_over_tcp(engine: Engine, trunk: Carrier) -> None:
    account = Account(f"sip:127.0.0.1:{trunk.port};transport=tcp", CREDENTIAL)
    registration = engine.register(account)
    made = await change(aiter(registration.changes()))
    assert made == Registered(8, ("127.0.0.1", trunk.port))
    await registration.unregister()


async def test_a_refused_registration_says_why_and_is_tried_again(engine: Engine, trunk: Carrier) -> None:
    account = Account(f"sip:127.0.0.1:{trunk.port}", Credential("alice", "wrong"))
    registration = engine.register(account)
    changes = aiter(registration.changes())
    refused = await change(changes)
    assert isinstance(refused, RegistrationFailed)
    assert refused.code == 401
    assert refused.retry_seconds == 1
    again = await change(changes)
    assert isinstance(again, RegistrationFailed)
    assert again.retry_seconds == 2
    await registration.unregister()


async def test_the_next_proxy_is_taken_when_one_is_silent(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine()
    registers: list[Message] = []

    def granted(asked: Message) -> bytes:
        registers.append(asked)
        return response(asked, 200, "OK", "t", headers=[f"Contact: {asked.get('contact')};expires=120"])

    far.outside["REGISTER"] = granted
    silent = FarEnd()
    await silent.start()
    silent.outside["REGISTER"] = lambda asked: None
    proxies = (f"sip:127.0.0.1:{silent.port}", f"sip:127.0.0.1:{far.port}")
    registration: Registration = engine.register(Account("sip:carrier.invalid", CREDENTIAL, proxies=proxies))
    made = await change(aiter(registration.changes()), 12)
    silent.close()
    assert made == Registered(120, ("127.0.0.1", far.port))
    # The registrar's name stays in it, though it stands for no address.
    assert registers[0].uri == "sip:carrier.invalid"
    assert registers[0].get("to") == "<sip:alice@carrier.invalid>"
    await registration.unregister()
    assert registers[-1].get("expires") == "0"


async def test_a_proxy_that_dies_later_is_left_for_the_next_one(make_engine: MakeEngine, far: FarEnd) -> None:
    engine = await make_engine()
    registers: list[str] = []
    first = FarEnd()
    await first.start()

    def granting(name: str, seconds: int) -> Callable[[Message], bytes]:
        def granted(asked: Message) -> bytes:
            registers.append(name)
            contact = f"Contact: {asked.get('contact')};expires={seconds}"
            return response(asked, 200, "OK", "t", headers=[contact])

        return granted

    first.outside["REGISTER"] = granting("first", 4)
    far.outside["REGISTER"] = granting("next", 120)
    proxies = (f"sip:127.0.0.1:{first.port}", f"sip:127.0.0.1:{far.port}")
    registration: Registration = engine.register(Account("sip:carrier.invalid", CREDENTIAL, proxies=proxies))
    changes = aiter(registration.changes())
    assert await change(changes) == Registered(4, ("127.0.0.1", first.port))
    first.close()
    while (made := await change(changes, 20)) != Registered(120, ("127.0.0.1", far.port)):
        assert isinstance(made, Registered | RegistrationFailed)
    assert registration.is_registered
    assert registers[-1] == "next"
    await registration.unregister()


async def test_a_registrar_that_nobody_listens_at_is_said_so(engine: Engine) -> None:
    registration = engine.register(Account("sip:127.0.0.1:9;transport=tcp", CREDENTIAL))
    failed = await change(aiter(registration.changes()))
    assert isinstance(failed, RegistrationFailed)
    assert failed.code == 0
    assert "refused" in failed.reason
    await registration.unregister()


async def test_what_was_granted_is_read_beside_whatever_else_a_registrar_says(
    engine: Engine, far: FarEnd
) -> None:
    def granted(asked: Message) -> bytes:
        contact = asked.get("contact").partition(">")[0]
        others = '<sip:alice@10.0.0.9:5060>;expires=900, "A, B;expires=7" <sip:x@y>;expires=800'
        seen = 'received="sip:203.0.113.7:41022;transport=TCP"'
        return response(asked, 200, "OK", "t", headers=[f"Contact: {others}, {contact}>;{seen};expires=77"])

    far.outside["REGISTER"] = granted
    registration = engine.register(Account(f"sip:127.0.0.1:{far.port}", CREDENTIAL))
    first = await change(aiter(registration.changes()))
    assert isinstance(first, Registered)
    assert first.expires_seconds == 77
    await registration.unregister()


async def test_a_connection_that_ends_with_the_grant_is_made_anew_at_once(engine: Engine) -> None:
    opened: Counter[int] = Counter()

    async def grants(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        at = writer.get_extra_info("sockname")[1]
        opened[at] += 1
        is_first = opened[at] == 1
        with contextlib.suppress(asyncio.IncompleteReadError):
            while head := await reader.readuntil(b"\r\n\r\n"):
                asked = Message(head)
                granted = [f"Contact: {asked.get('contact')};expires=120"]
                writer.write(response(asked, 200, "OK", "t", headers=granted))
                if is_first:
                    break
        writer.close()

    # Many at once: some end before their registration has looked.
    servers = [await asyncio.start_server(grants, "127.0.0.1", 0) for _ in range(40)]
    ports = [server.sockets[0].getsockname()[1] for server in servers]
    registrations = [
        engine.register(Account(f"sip:127.0.0.1:{port};transport=tcp", CREDENTIAL)) for port in ports
    ]
    async with asyncio.timeout(5):
        while opened != dict.fromkeys(ports, 2):
            await asyncio.sleep(0.02)
    await asyncio.gather(*(registration.unregister() for registration in registrations))
    for server in servers:
        server.close()
