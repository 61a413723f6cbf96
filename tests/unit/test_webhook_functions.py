"""Functions that are endpoints: asked through the guard, signed, tried again, checked both ways."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from standardwebhooks import Webhook

from pipelines.function_config import WebhookFunction
from pipelines.outbound import Guard
from pipelines.tools import toolbox
from pipelines.tools.policy import Rails
from pipelines.tools.webhook import MAX_BYTES, WebhookFailed, ask
from tests.support.fake_providers import Call
from tests.support.said import conversation

SCHEMA = {
    "type": "object",
    "properties": {"size": {"type": "integer", "minimum": 1}, "name": {"type": "string"}},
    "required": ["size"],
    "additionalProperties": False,
}
Answer = Callable[[], web.Response]


@dataclass
class Restaurant:
    """An owner's server, which checks signatures as the docs say."""

    url: str = ""
    secret: str = "kitchen"
    answers: list[Answer] = field(default_factory=list)
    asked: list[tuple[str, dict[str, str], str]] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        signed = body if request.method == "POST" else request.rel_url.raw_query_string.encode()
        if "X-Call2Me-Signature" in request.headers:
            mac = hmac.new(self.secret.encode(), signed, hashlib.sha256).hexdigest()
            if request.headers["X-Call2Me-Signature"] != f"sha256={mac}":
                return web.Response(status=401)
            if request.method == "POST":  # it reads JSON while it is at it
                Webhook(self.secret.encode()).verify(signed, dict(request.headers.items()))
        self.asked.append((request.method, dict(request.headers), signed.decode()))
        return self.answers.pop(0)() if self.answers else web.json_response({"booked": True})

    def function(self, **more: Any) -> WebhookFunction:
        return WebhookFunction.model_validate(
            {"name": "book", "description": "Book.", "url": self.url, "parameters": SCHEMA, **more}
        )


@pytest.fixture
async def restaurant() -> AsyncIterator[Restaurant]:
    served = Restaurant()
    app = web.Application()
    app.router.add_route("*", "/book", served.handle)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"{runner.addresses[0] and 'http://127.0.0.1'}:{runner.addresses[0][1]}/book"
    yield served
    await runner.cleanup()


@pytest.fixture
async def guard() -> AsyncIterator[Guard]:
    made = Guard(["127.0.0.1"])
    yield made
    await made.close()


def answered(status: int, body: Any = None, **headers: str) -> Answer:
    text = body if isinstance(body, str) else json.dumps(body)
    return lambda: web.Response(status=status, text=text, headers=headers)


async def test_arguments_go_out_as_json_signed_and_with_a_key(restaurant: Restaurant, guard: Guard) -> None:
    function = restaurant.function(secret="kitchen", headers={"Authorization": "Bearer b", "Host": "evil"})
    answer = await ask(function, {"size": 2}, guard, "key-1", told={"X-Call2Me-Call-Id": "call_1"})
    assert answer == {"booked": True}
    ((method, headers, body),) = restaurant.asked
    assert (method, json.loads(body)) == ("POST", {"size": 2})
    assert headers["Idempotency-Key"] == headers["webhook-id"] == "key-1"
    assert headers["Authorization"] == "Bearer b"
    assert headers["X-Call2Me-Call-Id"] == "call_1"
    assert headers["Host"].startswith("127.0.0.1")
    assert abs(int(headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 60


async def test_a_wrong_secret_is_noticed_by_the_receiver(restaurant: Restaurant, guard: Guard) -> None:
    with pytest.raises(WebhookFailed, match="status 401"):
        await ask(restaurant.function(secret="guessed"), {"size": 2}, guard, "k")


async def test_get_carries_its_arguments_in_the_query(restaurant: Restaurant, guard: Guard) -> None:
    function = restaurant.function(method="GET", secret="kitchen", url=f"{restaurant.url}?v=%C3%A9")
    await ask(function, {"size": 2, "name": "A b&c"}, guard, "k")
    assert restaurant.asked[-1][2] == "v=%C3%A9&size=2&name=A+b%26c"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"name": "Ada"}, "'size' is a required property"),
        ({"size": "two"}, 'size: type must be "integer"'),
        ({"size": 0}, "size: minimum must be 1"),
        ({"size": 1, "vip": True}, "it breaks the rule additionalProperties"),
        (["size"], 'it: type must be "object"'),
    ],
)
async def test_arguments_that_are_not_right_are_never_sent(
    restaurant: Restaurant, guard: Guard, arguments: Any, sentence: str
) -> None:
    with pytest.raises(WebhookFailed) as failed:
        await ask(restaurant.function(), arguments, guard, "k")
    assert sentence in failed.value.message
    assert restaurant.asked == []


async def test_what_may_pass_is_tried_again_with_the_same_key(restaurant: Restaurant, guard: Guard) -> None:
    restaurant.answers = [answered(503), answered(429, "slow down", **{"Retry-After": "0"})]
    assert await ask(restaurant.function(), {"size": 2}, guard, "k") == {"booked": True}
    assert [headers["Idempotency-Key"] for _, headers, _ in restaurant.asked] == ["k"] * 3


async def test_what_will_not_pass_is_not_tried_again(restaurant: Restaurant, guard: Guard) -> None:
    for status in (400, 404, 500):
        restaurant.answers, restaurant.asked = [answered(status, "No table at eight.")], []
        with pytest.raises(WebhookFailed) as failed:
            await ask(restaurant.function(), {"size": 2}, guard, "k")
        assert failed.value.message == f"book answered with status {status}: No table at eight."
        assert len(restaurant.asked) == 1


async def test_all_tries_together_end_with_the_deadline(restaurant: Restaurant, guard: Guard) -> None:
    restaurant.answers = [answered(503, "busy", **{"Retry-After": "30"})]
    async with asyncio.timeout(5):
        with pytest.raises(WebhookFailed, match="status 503: busy"):
            await ask(restaurant.function(), {"size": 2}, guard, "k")
    assert len(restaurant.asked) == 1


async def test_a_server_that_only_drips_is_given_up(guard: Guard) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing() and not reader.at_eof():
            writer.write(b" ")
            await asyncio.sleep(0.02)
        writer.close()
        ended.set()

    ended = asyncio.Event()
    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    function = WebhookFunction(name="slow", url=url, timeout_ms=300, retries=0)
    with pytest.raises(WebhookFailed, match="slow gave no answer") as failed:
        await ask(function, {}, guard, "k")
    assert "within 0.3 seconds" in failed.value.detail
    server.close()
    await asyncio.wait_for(ended.wait(), 10)


async def test_nobody_there_is_a_sentence(guard: Guard) -> None:
    function = WebhookFunction(name="book", url="http://127.0.0.1:1", timeout_ms=400)
    with pytest.raises(WebhookFailed, match="book gave no answer"):
        await ask(function, {}, guard, "k")


async def test_the_private_network_is_out_of_reach(restaurant: Restaurant) -> None:
    strict = Guard()
    for url in (restaurant.url, "http://example.com/x", "https://10.0.0.1/x", "https://localhost/x"):
        with pytest.raises(WebhookFailed, match="may not be reached from here"):
            await ask(restaurant.function(url=url), {"size": 2}, strict, "k")
    assert restaurant.asked == []
    await strict.close()


async def test_an_answer_must_keep_what_it_promised(restaurant: Restaurant, guard: Guard) -> None:
    promised = {"type": "object", "required": ["booked"], "properties": {"booked": {"type": "boolean"}}}
    function = restaurant.function(response_schema=promised)
    assert await ask(function, {"size": 2}, guard, "k") == {"booked": True}
    for body, sentence in (({"booked": "yes"}, "something else than"), ("<html>", "not JSON"), ([], "else")):
        restaurant.answers = [answered(200, body)]
        with pytest.raises(WebhookFailed, match=sentence):
            await ask(function, {"size": 2}, guard, "k")


async def test_a_mapping_tells_the_engine_what_matters(restaurant: Restaurant, guard: Guard) -> None:
    restaurant.answers = [answered(200, {"data": {"slots": [{"at": "19:30"}]}, "noise": "x" * 1000})]
    mapping = {"first": "data.slots.0.at", "second": "$.data.slots.1.at", "odd": "data.slots.at"}
    answer = await ask(restaurant.function(response_mapping=mapping), {"size": 2}, guard, "k")
    assert answer == {"first": "19:30", "second": None, "odd": None}


async def test_text_is_welcome_too_and_a_long_body_is_not(restaurant: Restaurant, guard: Guard) -> None:
    restaurant.answers = [answered(200, "Booked!"), answered(204, ""), answered(200, "x" * (MAX_BYTES + 1))]
    assert await ask(restaurant.function(), {"size": 2}, guard, "k") == "Booked!"
    assert await ask(restaurant.function(), {"size": 2}, guard, "k") is None
    with pytest.raises(WebhookFailed, match="more than 64 kB"):
        await ask(restaurant.function(), {"size": 2}, guard, "k")


async def test_on_a_call_it_is_one_more_function(restaurant: Restaurant, guard: Guard) -> None:
    tool = toolbox.of_webhook(restaurant.function(), guard, Rails("call_1"), {"X-Call2Me-Call-Id": "call_1"})
    answers = {"two": Call("book", {"size": 2}), "none": Call("book", {"size": 0})}
    async with conversation([tool], answers) as talk:
        first = await talk.says("two")
        assert first[1] == '-> {"booked":true}'
        assert (await talk.says("none"))[1].startswith("!-> The arguments of book are not right: size")
    assert restaurant.asked[0][1]["X-Call2Me-Call-Id"] == "call_1"
