"""Vectors from a server that speaks OpenAI's protocol, and refuses what OpenAI would refuse."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from aiohttp import web

from kb import openai_embeddings
from kb.openai_embeddings import EmbedderFailed, OpenAiEmbedder
from pipelines.outbound import Guard, NoAnswer


class Server:
    """Six dimensions; a text's length is its first. `statuses` are answered before anything else is."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.batches: list[int] = []
        self.shape: Any = None

    async def embeddings(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self.statuses:
            status = self.statuses.pop(0)
            return web.json_response(
                {"error": {"message": "later"}}, status=status, headers={"Retry-After": "0"}
            )
        if request.headers.get("Authorization") != "Bearer key":
            return web.json_response({"error": {"message": "Incorrect API key provided"}}, status=401)
        texts = asked["input"]
        if asked["model"] != "small" or not texts or len(texts) > 2048 or not all(texts):
            return web.json_response({"error": {"message": "bad request"}}, status=400)
        self.batches.append(len(texts))
        if self.shape is not None:
            return web.json_response(self.shape)
        rows = [{"index": n, "embedding": [len(text), 1, 0, 0, 0, 0]} for n, text in enumerate(texts)]
        return web.json_response({"object": "list", "data": rows[::-1], "model": "small"})


@asynccontextmanager
async def _connected(server: Server, **options: Any) -> AsyncIterator[OpenAiEmbedder]:
    app = web.Application()
    app.router.add_post("/v1/embeddings", server.embeddings)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    guard = Guard([f"{host}:{port}"])
    asked = {
        "base_url": f"http://{host}:{port}/v1/",
        "model": "small",
        "api_key": "key",
        "failures": (NoAnswer,),
    }
    try:
        yield await OpenAiEmbedder.connected(guard.fetch, **{**asked, **options})
    finally:
        await guard.close()
        await runner.cleanup()


@pytest.fixture(autouse=True)
def _without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_embeddings, "_WAIT_SECONDS", 0.0)


async def test_texts_become_rows_of_length_one_in_their_order() -> None:
    server = Server()
    async with _connected(server) as embedder:
        assert embedder.dimensions == 6
        assert embedder.space == "openai:127.0.0.1:small:6"
        rows = await embedder.embed(["a" * (n + 1) for n in range(150)])
        assert server.batches[1:] == [64, 64, 22]
        np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
        assert (np.diff(rows[:, 0]) > 0).all()
        assert (await embedder.embed([])).shape == (0, 6)
        assert (await embedder.embed(["", "x"])).shape == (2, 6)


async def test_a_prefix_goes_before_each_text_and_makes_another_space() -> None:
    async with _connected(Server(), prefix="query: ") as embedder:
        row = (await embedder.embed(["ab"]))[0]
        assert row[0] / row[1] == pytest.approx(9)
        assert embedder.space.endswith(":6:query: ")


async def test_a_busy_server_is_asked_again_but_not_for_ever() -> None:
    async with _connected(Server(429, 503)) as embedder:
        assert (await embedder.embed(["x"])).shape == (1, 6)
    with pytest.raises(EmbedderFailed, match="answered 503: later"):
        async with _connected(Server(*[503] * 4)):
            pass


async def test_a_key_that_is_refused_is_named_as_such() -> None:
    with pytest.raises(EmbedderFailed, match="401: it does not accept"):
        async with _connected(Server(), api_key="wrong"):
            pass


@pytest.mark.parametrize(
    "shape",
    [
        {},
        {"data": []},
        {"data": [{"index": 0, "embedding": ["x"] * 6}]},
        {"data": [{"index": 0, "embedding": [1.0] * 5}]},
        [1],
    ],
)
async def test_an_answer_of_another_shape_is_no_vector(shape: Any) -> None:
    server = Server()
    async with _connected(server) as embedder:
        server.shape = shape
        with pytest.raises(EmbedderFailed):
            await embedder.embed(["x"])


async def test_a_server_that_is_not_there_is_named_as_such() -> None:
    guard = Guard(["127.0.0.1:9"])
    with pytest.raises(EmbedderFailed, match="could not be asked"):
        await OpenAiEmbedder.connected(
            guard.fetch, base_url="http://127.0.0.1:9/v1", model="small", failures=(NoAnswer,)
        )
    await guard.close()
