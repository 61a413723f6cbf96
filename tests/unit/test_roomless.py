"""Calls that no room brings have what LiveKit gives to a job."""

import asyncio

import aiohttp
from livekit.agents.utils import http_context

from worker import roomless


async def test_each_call_has_a_session_for_its_providers_and_it_is_closed_with_the_call() -> None:
    given: list[aiohttp.ClientSession] = []

    async def call() -> None:
        session = http_context.http_session()
        assert not session.closed
        given.append(session)

    await asyncio.gather(roomless.begin(call(), "first"), roomless.begin(call(), "second"))
    assert given[0] is not given[1]
    assert [session.closed for session in given] == [True, True]
