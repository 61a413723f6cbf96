"""A SIP engine, alone or behind a carrier."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.support.carrier import CREDENTIAL, Carrier, carrier
from tests.support.ear import Ear
from tests.support.far_end import FarEnd
from worker.exchange.sip import Admission, Dialog, Engine, Listener

LOOPBACK = Admission(sources=("127.0.0.0/8",), per_second=1000, burst=1000)

MakeEngine = Callable[..., Awaitable[Engine]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All that is here needs the engine."""
    for item in items:
        if "/integration/sip/" in str(item.path):
            item.add_marker(pytest.mark.phones)


@pytest.fixture
async def make_engine() -> AsyncIterator[MakeEngine]:
    """Engines on the loopback, UDP and TCP, which end with the test."""
    async with AsyncExitStack() as stack:

        async def made(*listeners: Listener, **settings: Any) -> Engine:
            settings.setdefault("admission", LOOPBACK)
            usual = (Listener("udp", "127.0.0.1"), Listener("tcp", "127.0.0.1"))
            return await stack.enter_async_context(Engine(listeners or usual, **settings))

        yield made


@pytest.fixture
async def engine(make_engine: MakeEngine) -> Engine:
    """One of them."""
    return await make_engine()


@pytest.fixture
async def trunk() -> AsyncIterator[Carrier]:
    """A carrier, with a far end behind it."""
    async with carrier() as running:
        yield running


@pytest.fixture
async def far() -> AsyncIterator[FarEnd]:
    """A far end without a carrier."""
    end = FarEnd()
    await end.start()
    yield end
    end.close()


Call = Callable[..., Ear]


@pytest.fixture
def call(engine: Engine, trunk: Carrier) -> Call:
    """Calls somebody through the carrier."""

    def placed(user: str, **settings: Any) -> Ear:
        settings.setdefault("proxies", [trunk.proxy])
        settings.setdefault("credential", CREDENTIAL)
        settings.setdefault("caller", "sip:+15551234@127.0.0.1")
        return Ear(engine.invite(trunk.uri(user), OFFER, **settings))

    return placed


OFFER = (
    b"v=0\r\no=us 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
    b"m=audio 41000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n"
)


async def next_invitation(engine: Engine, seconds: float = 5.0) -> Dialog:
    """The next call that comes in."""
    async with asyncio.timeout(seconds):
        return await anext(aiter(engine.invitations()))
