"""Typed routes: what a signature says is what is read, what is answered and what is documented."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated, Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer
from asyncpg.exceptions import TooManyConnectionsError
from pydantic import Field
from sqlalchemy.exc import DBAPIError

from api.http.edge import complete_headers, edge
from api.http.errors import Conflict, NotFound
from api.http.openapi import document
from api.http.routes import Route, Routes, mount
from api.http.wire import Wire
from api.keys import SETTINGS
from api.settings import Settings

Client = TestClient[web.Request, web.Application]
routes = Routes("/things", tag="Things", access="public")


class ThingNotFound(NotFound):
    """There is no such thing"""


class ThingTaken(Conflict):
    """Somebody has this thing"""


class Inner(Wire):
    """A part of a thing."""

    x: int = 5


class ThingCreate(Wire):
    """A thing to be made."""

    name: Annotated[str, Field(max_length=5)]
    inner: Inner = Inner()
    note: str | None = None
    free: dict[str, Any] = Field(default_factory=dict)


class Thing(ThingCreate):
    """A thing."""

    id: int


class Search(Wire):
    """What to look for."""

    q: str
    n: Annotated[int, Field(ge=1)] = 1


@routes.post(status=201, location="/things/{id}", errors=[ThingTaken], aliases=["/new", "//items"])
async def make_thing(request: web.Request, body: ThingCreate) -> Thing:
    """Make a thing.

    It stays.
    """
    return Thing(id=7, **body.model_dump())


@routes.get("/{thing_id}", errors=[ThingNotFound])
async def get_thing(request: web.Request, thing_id: Annotated[int, Field(ge=1)]) -> Thing:
    """Get a thing."""
    if thing_id == 404:
        raise ThingNotFound
    return Thing(id=thing_id, name="x")


@routes.get()
async def find_things(request: web.Request, query: Search) -> list[Thing]:
    """Find things."""
    return [Thing(id=query.n, name=query.q)]


@routes.delete("/{thing_id}")
async def drop_thing(request: web.Request, thing_id: int) -> None:
    """Drop a thing."""


@routes.post("/form")
async def fill_form(request: web.Request, form: Search) -> Search:
    """Fill in a form."""
    return form


@routes.put("/perhaps")
async def perhaps(request: web.Request, body: Inner | None) -> Inner:
    """Perhaps send something."""
    return body or Inner(x=0)


@routes.get("/raw/text", produces=["text/plain"])
async def raw(request: web.Request) -> Thing | web.Response:
    """Answer by hand."""
    return web.Response(text="by hand")


@routes.get("/broken/{kind}")
async def broken(request: web.Request, kind: str) -> Thing:
    """Fail."""
    if kind == "reply":
        return Thing.model_construct(id="not a number")
    if kind == "database":
        raise DBAPIError("SELECT 1", {}, TooManyConnectionsError("sorry, too many clients already"))
    raise RuntimeError("what a person said")


@routes.get("/socket", spec=False)
async def socket(request: web.Request) -> web.StreamResponse:
    """Not for the spec."""
    return web.Response(text="socket")


async def _everybody(_request: web.Request, _route: Route) -> None:
    pass


@pytest.fixture
async def client(tmp_path: Any) -> AsyncIterator[Client]:
    """A client of these routes alone."""
    app = web.Application(middlewares=[edge])
    app[SETTINGS] = Settings.load({"CALL2ME_HOME": str(tmp_path)})
    app.on_response_prepare.append(complete_headers)
    mount(app, [routes], _everybody)
    async with TestClient(TestServer(app)) as client:
        yield client


@pytest.mark.parametrize("path", ["/things", "/things/new", "/items"])
async def test_every_spelling_of_a_path_does_the_same(client: Client, path: str) -> None:
    reply = await client.post(path, json={"name": "a", "unknown": 1})
    assert reply.status == 201
    assert reply.headers["Location"] == "/things/7"
    assert await reply.json() == {"id": 7, "name": "a", "inner": {"x": 5}, "note": None, "free": {}}


async def test_null_means_absent_at_every_depth_but_inside_free_objects(client: Client) -> None:
    body = {"name": "a", "inner": {"x": None}, "note": None, "free": {"a": None}}
    made = await (await client.post("/things", json=body)).json()
    assert made["inner"] == {"x": 5}
    assert made["free"] == {"a": None}
    assert (await client.post("/things", json={"name": None})).status == 422


async def test_everything_that_is_wrong_is_named_with_its_place(client: Client) -> None:
    reply = await client.post("/things", json={"name": "too long", "inner": {"x": "y"}})
    assert reply.status == 422
    found = {tuple(part["loc"]): part for part in (await reply.json())["detail"]}
    assert set(found) == {("body", "name"), ("body", "inner", "x")}
    assert found["body", "name"]["type"] == "string_too_long"
    assert found["body", "name"]["input"] == "too long"


async def test_paths_queries_and_forms_are_read_by_their_types(client: Client) -> None:
    assert (await (await client.get("/things/3")).json())["id"] == 3
    for path in ("/things/0", "/things/x"):
        reply = await client.get(path)
        assert reply.status == 422
        assert (await reply.json())["detail"][0]["loc"] == ["path", "thing_id"]
    assert (await (await client.get("/things?q=a&n=2")).json())[0]["id"] == 2
    assert (await (await client.get("/things?n=2")).json())["detail"][0]["loc"] == ["query", "q"]
    assert await (await client.post("/things/form", data={"q": "a", "n": "3"})).json() == {"q": "a", "n": 3}
    assert (await client.post("/things/form", data={"n": "0"})).status == 422


async def test_a_body_that_does_not_come_is_not_waited_for(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.http.routes.BODY_SECONDS", 0.05)

    async def slowly() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.sleep(0.5)
        yield b"}"

    reply = await client.post("/things", data=slowly())
    assert (reply.status, await reply.json()) == (408, {"detail": "The request took too long to arrive"})


async def test_a_declared_error_says_its_docstring(client: Client) -> None:
    reply = await client.get("/things/404")
    assert (reply.status, await reply.json()) == (404, {"detail": "There is no such thing"})


async def test_nothing_is_a_204_and_an_optional_body_may_be_missing(client: Client) -> None:
    reply = await client.delete("/things/1")
    assert (reply.status, await reply.read()) == (204, b"")
    assert await (await client.put("/things/perhaps")).json() == {"x": 0}
    assert await (await client.put("/things/perhaps", json={"x": 2})).json() == {"x": 2}


async def test_a_response_of_ones_own_passes_as_it_is(client: Client) -> None:
    assert await (await client.get("/things/raw/text")).text() == "by hand"
    assert await (await client.get("/things/socket")).text() == "socket"


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
async def test_what_breaks_is_a_500_that_tells_nothing(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    reply = await client.get("/things/broken/raise")
    assert (reply.status, await reply.json()) == (500, {"detail": "Internal Server Error"})
    assert reply.headers["X-Request-ID"]
    assert "request failed" in caplog.text


async def test_a_database_without_a_connection_left_is_asked_again_in_a_moment(client: Client) -> None:
    reply = await client.get("/things/broken/database")
    assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
    assert (await reply.json())["detail"].startswith("The database does not answer now")


def test_the_document_says_what_the_signatures_say() -> None:
    spec = document([routes], title="Things", version="1")
    assert "/things/socket" not in spec["paths"]
    post = spec["paths"]["/things"]["post"]
    assert (post["summary"], post["description"]) == ("Make a thing", "It stays.")
    assert post["responses"]["409"]["description"] == "Somebody has this thing"
    assert {"201", "409", "413", "422", "429"} == set(post["responses"])
    assert "Location" in post["responses"]["201"]["headers"]
    assert spec["paths"]["/items"]["post"]["operationId"] == "make_thing_3"
    assert "Another spelling of `/things`" in spec["paths"]["/items"]["post"]["description"]
    assert "deprecated" not in spec["paths"]["/items"]["post"]
    search = {p["name"]: p for p in spec["paths"]["/things"]["get"]["parameters"]}
    assert (search["q"]["required"], search["n"]["required"]) == (True, False)
    assert search["n"]["schema"]["minimum"] == 1
    path = spec["paths"]["/things/{thing_id}"]["get"]["parameters"][0]
    assert (path["in"], path["schema"]) == ("path", {"type": "integer", "minimum": 1})
    content = spec["paths"]["/things/raw/text"]["get"]["responses"]["200"]["content"]
    assert set(content) == {"text/plain", "application/json"}
    assert spec["paths"]["/things/{thing_id}"]["delete"]["responses"]["204"] == {"description": "No content"}
    assert set(spec["paths"]["/things/form"]["post"]["requestBody"]["content"]) == {
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    }
    assert spec["paths"]["/things/perhaps"]["put"]["requestBody"]["required"] is False


def test_a_handler_whose_types_are_not_whole_is_refused_at_once() -> None:
    other = Routes("/x", tag="X")

    async def untyped(request, body) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001

    async def mismatched(request: web.Request, other_id: str) -> None: ...

    async def scalar(request: web.Request, query: int) -> None: ...

    for path, handler in (("", untyped), ("/{id}", mismatched), ("", scalar)):
        with pytest.raises(TypeError, match=handler.__name__):
            other.post(path)(handler)


def test_two_operations_may_not_share_a_name() -> None:
    other = Routes("/x", tag="X")
    other.get("/a")(get_openly)
    other.get("/b")(get_openly)
    with pytest.raises(ValueError, match="get_openly"):
        document([other], title="x", version="1")


async def get_openly(request: web.Request) -> None:
    """Get."""
