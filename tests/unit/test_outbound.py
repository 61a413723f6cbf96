"""The guarded connector: what owners' URLs reach, and what they never reach, whatever they say."""

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer

from pipelines.outbound import Guard, NoAnswer, Refused, is_public

HERE = "127.0.0.1"
ELSEWHERE = "93.184.215.14"


class Names(AbstractResolver):
    """A name server of ours: the addresses of each name in turn, and how often it was asked."""

    def __init__(self, **names: list[str]) -> None:
        self._turns = {name.replace("_", "."): itertools.cycle(turns) for name, turns in names.items()}
        self.asked: list[str] = []

    async def resolve(self, host: str, port: int = 0, family: Any = socket.AF_INET) -> list[ResolveResult]:
        self.asked.append(host)
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in next(self._turns[host]).split()
        ]

    async def close(self) -> None:
        pass


class Host(TestServer):
    """A web server on loopback, and every request that reached it."""

    def __init__(self) -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        super().__init__(app, host=HERE)
        self.heard: list[web.Request] = []
        self.answer: Callable[[web.Request], Any] = lambda _: web.Response(text="here")

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        self.heard.append(request)
        answer = self.answer(request)
        result: web.StreamResponse = await answer if asyncio.iscoroutine(answer) else answer
        return result


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    async with Host() as server:
        yield server


@asynccontextmanager
async def guard_of(*allowed: str, **names: list[str]) -> AsyncIterator[Guard]:
    guard = Guard(allowed, resolver=Names(**names) if names else None)
    try:
        yield guard
    finally:
        await guard.close()


PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.1",
    "224.0.0.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "168.63.129.16", "192.88.99.1",
    "::", "::1", "::7f00:1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "64:ff9b::7f00:1", "64:ff9b::808:808",
    "64:ff9b:1::7f00:1", "2002:7f00:1::", "2001::7f00:1", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1",
    "2001:db8::1", "192.0.0.8", "100::1", "fec0::1", "3fff::1", "5f00::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_the_internets_is_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", [ELSEWHERE, "8.8.8.8", "2606:4700::1111", "2a00:1450:4001::200e"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(ip_address(address))


NEVER = {
    "https://": ["ftp://example.com/", "file:///etc/passwd", "javascript:1", "ws://example.com", "a.com", ""],
    "no host": ["http://", "https:///path"],
    "Port": ["http://example.com:22/", "http://example.com:25/", "http://example.com:0/"],
    "four numbers": [
        "http://0x7f.1/", "http://127.1/", "http://2130706433/", "http://0177.0.0.1/", "http://0x7f000001/",
    ],
    "not on the public internet": [
        "http://127.0.0.1/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://[64:ff9b::7f00:1]/",
        "http://localhost/", "http://LOCALHOST./", "http://a.localhost/", "http://user@127.0.0.1/",
        "http://127.0.0.1./", "http://169.254.169.254/latest", "http://①②⑦.⓪.⓪.①/",
    ],
    "not an address": ["http://exa mple.com", "http://[::1", "http://example.com:99999/"],
    "longer than": ["https://example.com/" + "a" * 3000],
}  # fmt: skip


@pytest.mark.parametrize(("url", "why"), [(url, why) for why, urls in NEVER.items() for url in urls])
def test_a_url_that_could_never_be_reached_is_refused_when_it_is_saved(url: str, why: str) -> None:
    with pytest.raises(Refused, match=why) as refusal:
        Guard().check(url)
    assert str(refusal.value).endswith(".")


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a?b=c",
        "http://example.com:8080/",
        "https://bücher.example/",
        f"http://{ELSEWHERE}/",
    ],
)
def test_a_public_url_may_be_saved_without_asking_a_name_server(url: str) -> None:
    Guard().check(url)


def test_a_websocket_may_be_saved_where_one_is_wanted() -> None:
    Guard().check("wss://example.com/llm", ("wss", "ws"))
    with pytest.raises(Refused, match="wss://"):
        Guard().check("https://example.com/llm", ("wss",))


async def test_a_name_that_leads_into_the_private_network_is_refused(host: Host) -> None:
    async with guard_of(inside_example=[HERE]) as guard:
        with pytest.raises(Refused, match=r"inside\.example is not on the public internet"):
            await guard.fetch("GET", f"http://inside.example:{host.port}/")
    assert host.heard == []


async def test_a_name_that_changes_between_check_and_connect_is_refused(host: Host) -> None:
    """The address is looked at where the socket is made, so there is no second lookup to deceive."""
    names = Names(rebinding_example=[ELSEWHERE, HERE])
    first = await names.resolve("rebinding.example")
    assert is_public(ip_address(first[0]["host"]))  # what a check before the connection would have seen
    guard = Guard(resolver=names)
    with pytest.raises(Refused, match="public"):
        await guard.fetch("GET", f"http://rebinding.example:{host.port}/")
    await guard.close()
    assert host.heard == []


async def test_a_name_with_many_private_addresses_is_refused(host: Host) -> None:
    async with guard_of(many_example=[f"{HERE} 127.0.0.2 127.0.0.3"]) as guard:
        with pytest.raises(Refused, match="public"):
            await guard.fetch("GET", f"http://many.example:{host.port}/")
    assert host.heard == []


@pytest.mark.parametrize("allowed", ["{port}", "", "inside.example:{port}", "INSIDE.example."])
async def test_a_host_that_the_operator_named_is_reached(host: Host, allowed: str) -> None:
    named = allowed.format(port=host.port) or HERE
    named = f"{HERE}:{host.port}" if named == str(host.port) else named
    name = "inside.example" if "example" in named else HERE
    async with guard_of(named, inside_example=[HERE]) as guard:
        guard.check(f"http://{name}:{host.port}/")
        answer = await guard.fetch("GET", f"http://{name}:{host.port}/x")
    assert (answer.status, answer.body, answer.is_cut) == (200, b"here", False)


async def test_naming_one_port_or_one_name_opens_no_other(host: Host) -> None:
    async with guard_of(f"{HERE}:1", "inside.example", inside_example=[HERE], other_example=[HERE]) as guard:
        for url in (f"http://{HERE}:{host.port}/", f"http://other.example:{host.port}/"):
            with pytest.raises(Refused):
                await guard.fetch("GET", url)
        assert (await guard.fetch("GET", f"http://inside.example:{host.port}/")).body == b"here"
        with pytest.raises(Refused):  # also not over the connection that is now open
            await guard.fetch("GET", f"http://other.example:{host.port}/")
    assert len(host.heard) == 1


async def test_a_redirect_is_an_answer_until_somebody_wants_it_followed(host: Host) -> None:
    host.answer = lambda _: web.Response(status=302, headers={"Location": "/there"})
    async with guard_of(HERE) as guard:
        answer = await guard.fetch("GET", str(host.make_url("/")))
    assert (answer.status, answer.headers["location"]) == (302, "/there")


@pytest.mark.parametrize(
    "target",
    ["http://[::1]:{port}/", "http://127.0.0.2:{port}/", "http://0x7f.1:{port}/", "file:///etc/passwd", "http://inside.example:{port}/"],
)  # fmt: skip
async def test_each_hop_of_a_redirect_is_checked(host: Host, target: str) -> None:
    host.answer = lambda _: web.Response(status=302, headers={"Location": target.format(port=host.port)})
    async with guard_of("outside.example", outside_example=[HERE], inside_example=[HERE]) as guard:
        with pytest.raises(Refused):
            await guard.fetch("GET", f"http://outside.example:{host.port}/", follow=3)
        async with guard.session() as session:
            with pytest.raises((Refused, aiohttp.NonHttpUrlRedirectClientError)):
                await session.get(f"http://outside.example:{host.port}/")
    assert len(host.heard) == 2


async def test_redirects_are_followed_as_often_as_wanted_and_no_more(host: Host) -> None:
    host.answer = lambda request: web.Response(
        status=307, headers={"Location": f"/{int(request.match_info['path'] or 0) + 1}"}
    )
    async with guard_of(HERE) as guard:
        with pytest.raises(NoAnswer, match="redirects more than 3 times"):
            await guard.fetch("GET", str(host.make_url("/")), follow=3)
    assert [request.path for request in host.heard] == ["/", "/1", "/2", "/3"]


async def test_a_redirect_to_another_origin_takes_no_secret_along(host: Host) -> None:
    def redirect(request: web.Request) -> web.Response:
        if request.path == "/":
            return web.Response(status=302, headers={"Location": f"http://other.example:{host.port}/there"})
        return web.Response(text="there")

    host.answer = redirect
    headers = {"Authorization": "Bearer 1", "X-Api-Key": "2", "Cookie": "3", "Accept": "text/html"}
    async with guard_of("one.example", "other.example", one_example=[HERE], other_example=[HERE]) as guard:
        url = f"http://one.example:{host.port}/"
        answer = await guard.fetch("POST", url, headers=headers, json={"a": 1}, follow=1)
    assert (answer.body, answer.url) == (b"there", f"http://other.example:{host.port}/there")
    there = host.heard[1]
    assert (there.method, there.headers["Accept"]) == ("GET", "text/html")
    assert not {"Authorization", "X-Api-Key", "Cookie"} & set(there.headers)
    assert not there.can_read_body


async def test_a_body_that_never_ends_is_cut(host: Host) -> None:
    gone = asyncio.Event()

    async def for_ever(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65_536)
        except (ConnectionError, asyncio.CancelledError):
            gone.set()
        return response

    host.answer = for_ever
    async with guard_of(HERE) as guard:
        answer = await guard.fetch("GET", str(host.make_url("/")), max_bytes=100_000)
        assert (len(answer.body), answer.is_cut) == (100_000, True)
        await asyncio.wait_for(gone.wait(), 30)


async def test_an_address_that_answers_too_slowly_is_given_up(host: Host) -> None:
    asked = asyncio.Event()

    async def slowly(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        await response.write(b"first")
        asked.set()
        await asyncio.Event().wait()
        return response

    host.answer = slowly
    async with guard_of(HERE) as guard:
        with pytest.raises(NoAnswer, match=r"within 0\.2 seconds"):
            await guard.fetch("GET", str(host.make_url("/")), timeout_seconds=0.2)
    assert asked.is_set()


async def test_a_compressed_bomb_is_cut_at_what_it_becomes(host: Host) -> None:
    def bomb(_: web.Request) -> web.Response:
        response = web.Response(body=b"\0" * 20_000_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    host.answer = bomb
    async with guard_of(HERE) as guard:
        answer = await guard.fetch("GET", str(host.make_url("/")), max_bytes=1_000_000)
    assert (len(answer.body), answer.is_cut) == (1_000_000, True)


async def test_no_proxy_of_the_environment_is_used(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, str(host.make_url("/")))
    async with guard_of(private_example=["10.0.0.1"]) as guard:
        with pytest.raises(Refused):
            await guard.fetch("GET", "http://private.example/")
    assert host.heard == []


async def test_no_cookie_is_kept_for_the_next_owner(host: Host) -> None:
    host.answer = lambda _: web.Response(headers={"Set-Cookie": "who=first"})
    async with guard_of("one.example", one_example=[HERE]) as guard:
        for _ in range(2):
            await guard.fetch("GET", f"http://one.example:{host.port}/")
    assert all("Cookie" not in request.headers for request in host.heard)


async def test_what_cannot_be_reached_is_told_in_a_sentence(unused_tcp_port: int) -> None:
    async with guard_of(HERE) as guard:
        with pytest.raises(NoAnswer, match=f"{HERE} does not accept connections on port {unused_tcp_port}."):
            await guard.fetch("GET", f"http://{HERE}:{unused_tcp_port}/")


async def test_a_websocket_goes_through_the_same_guard(host: Host) -> None:
    async def echo(request: web.Request) -> web.WebSocketResponse:
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        async for message in socket_:
            await socket_.send_str(f"heard {message.data}")
        return socket_

    host.answer = echo
    async with guard_of("one.example", one_example=[HERE], other_example=[HERE]) as guard:
        opened = await guard.connect_websocket(f"ws://one.example:{host.port}/")
        await opened.send_str("hello")
        assert await opened.receive_str() == "heard hello"
        await opened.close()
        for url in (f"ws://other.example:{host.port}/", f"http://one.example:{host.port}/"):
            with pytest.raises(Refused):
                await guard.connect_websocket(url)
    assert len(host.heard) == 1


async def test_a_page_that_is_no_websocket_is_told_as_such(host: Host) -> None:
    async with guard_of(HERE) as guard:
        with pytest.raises(NoAnswer, match="answered 200 instead of opening a WebSocket"):
            await guard.connect_websocket(str(host.make_url("/")).replace("http", "ws", 1))


@pytest.fixture
def unused_tcp_port() -> Iterator[int]:
    with socket.socket() as held:  # bound and not listening: nobody else gets it
        held.bind((HERE, 0))
        yield held.getsockname()[1]
