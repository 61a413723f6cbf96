"""Providers' keys, tried against servers that take, refuse or are not there."""

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pipelines.providers import ProviderSettings
from worker.keys import tried


@pytest.fixture
async def server() -> AsyncIterator[TestServer]:
    """Both providers behind one address; only the key `good` is taken."""

    async def answer(request: web.Request) -> web.Response:
        is_good = request.headers["Authorization"] in {"Bearer good", "Token good"}
        return web.json_response({}, status=200 if is_good else 401)

    app = web.Application()
    app.router.add_get("/v1/models", answer)
    app.router.add_get("/v1/projects", answer)
    async with TestServer(app) as server:
        yield server


@pytest.mark.parametrize(("key", "works"), [("good", True), ("bad", False)])
async def test_a_key_is_tried_where_it_is_used(server: TestServer, key: str, works: bool) -> None:
    base = str(server.make_url("/")).rstrip("/")
    given = ProviderSettings(
        openai_api_key=key,
        openai_base_url=f"{base}/v1",
        deepgram_api_key=key,
        deepgram_base_url=base.replace("http://", "ws://") + "/v1/listen",
    )
    openai, deepgram = await tried(given)
    assert (openai.provider, openai.works) == ("openai", works)
    assert (deepgram.provider, deepgram.works) == ("deepgram", works)
    assert ("refused" in openai.what) is not works
    assert key not in openai.what.split()


async def test_a_server_that_is_not_there_is_named_by_its_setting() -> None:
    (found,) = await tried(ProviderSettings(openai_base_url="http://127.0.0.1:1/v1"))
    assert not found.works
    assert found.setting == "OPENAI_BASE_URL"
    assert "does not answer" in found.what


async def test_without_keys_nobody_is_asked() -> None:
    assert await tried(ProviderSettings()) == []
