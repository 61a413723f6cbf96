"""Typed routes: a handler's signature is its contract.

    routes = Routes("/v1/agents", tag="Agents")

    @routes.get("/{agent_id}", errors=[AgentNotFound])
    async def get_agent(request: web.Request, agent_id: AgentId) -> Agent:
        \"\"\"Get an agent.\"\"\"

`request` is the request, `body` a model read from JSON, `query` a model read from the query string,
`form` a model read from a form; every other name is a part of the path. The return type is the
reply: a model or a list of them as JSON, None for 204, a `web.StreamResponse` for anything else.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from api.http import echoes, etags, idempotency, upload_digests
from api.http.errors import ApiError, Invalid, NotFound, RequestTimeout, TooLarge
from api.http.json_bodies import refuse_what_cannot_be_kept
from api.http.rate_limits import CALLER_LIMIT, PUBLIC_LIMIT, Limit
from api.http.signatures import Handler, read_signature
from api.keys import CROSS_ORIGIN

Access = Literal["caller", "public", "internal"]
H = TypeVar("H", bound=Handler)

PARAMETER = re.compile(r"{(\w+)(?::[^{}]*(?:{[^{}]*}[^{}]*)*)?}")


BODY_SECONDS = 30.0
"""For a JSON body to arrive; a megabyte over a bad telephone line takes less."""


@dataclass(frozen=True)
class Route:
    """One operation: what the spec says about it and what is needed to serve it."""

    method: str
    paths: tuple[str, ...]
    """The path, then its other spellings."""
    older: frozenset[str]
    """Those of the paths that were there before the one that stands for them, and keep working."""
    newer: str
    """What does the same and stands for all of them, which may be the first of them."""
    handler: Handler
    tag: str
    status: int
    errors: tuple[type[ApiError], ...]
    access: Access
    limit: Limit
    end_user: str
    """The scope with which an end-user token may use it; empty: none may; `*`: every one may."""
    is_cross_origin: bool
    """True where pages of any origin may read the reply, unless the handler says otherwise."""
    is_in_spec: bool
    produces: tuple[str, ...]
    reads: TypeAdapter[Any] | str
    """What a handler that reads the body itself expects, as the spec says it; empty where none does."""
    location: str
    resumes: bool
    """A second run under the same `Idempotency-Key` goes on where an interrupted one stopped."""
    has_etag: bool
    body: TypeAdapter[Any] | None
    is_body_optional: bool
    query: TypeAdapter[Any] | None
    form: TypeAdapter[Any] | None
    path_parameters: dict[str, TypeAdapter[Any]]
    reply: TypeAdapter[Any] | None
    """None where the handler answers with a response of its own, or with nothing."""

    @property
    def name(self) -> str:
        """The operation's id."""
        return self.handler.__name__

    @property
    def is_keyed(self) -> bool:
        """True where an `Idempotency-Key` makes two of the same request one."""
        return self.method == "POST" and self.access == "caller"

    @property
    def location_names(self) -> list[str]:
        """The fields of the reply that say where what was made is."""
        return PARAMETER.findall(self.location)


@dataclass
class Routes:
    """The routes of one resource, below one prefix."""

    prefix: str
    tag: str
    access: Access = "caller"
    is_in_spec: bool = True
    all: list[Route] = field(default_factory=list)

    def get(self, path: str = "", **options: Any) -> Callable[[H], H]:
        """A GET; HEAD is answered too. The options are those of `add`."""
        return self.add("GET", path, **options)

    def post(self, path: str = "", **options: Any) -> Callable[[H], H]:
        """A POST. The options are those of `add`."""
        return self.add("POST", path, **options)

    def put(self, path: str = "", **options: Any) -> Callable[[H], H]:
        """A PUT. The options are those of `add`."""
        return self.add("PUT", path, **options)

    def patch(self, path: str = "", **options: Any) -> Callable[[H], H]:
        """A PATCH. The options are those of `add`."""
        return self.add("PATCH", path, **options)

    def delete(self, path: str = "", **options: Any) -> Callable[[H], H]:
        """A DELETE. The options are those of `add`."""
        return self.add("DELETE", path, **options)

    def add(
        self,
        method: str,
        path: str,
        *,
        status: int | None = None,
        errors: Sequence[type[ApiError]] = (),
        aliases: Sequence[str] = (),
        older: Sequence[str] = (),
        replaced_by: str = "",
        public: bool = False,
        access: Access | None = None,
        limit: Limit | None = None,
        end_user: str = "",
        cross_origin: bool = False,
        spec: bool | None = None,
        produces: Sequence[str] = (),
        reads: Any = "",
        location: str = "",
        resumes: bool = False,
        etag: bool = False,
    ) -> Callable[[H], H]:
        """Serve a path with the handler below.

        `aliases` are other spellings (absolute with a leading `//`, else below the prefix), and so are the
        `older` ones, which the spec marks as deprecated. `replaced_by` is the path of another operation that
        does the same, where this whole operation is the older one; both are said in the spec, and both work.
        `public` needs no credentials. `produces` names the media types of replies that are not
        JSON. `reads` is for handlers that read the body themselves: a type of JSON, or a media type.
        `location` is a template for the Location header, filled from the reply's fields.
        `resumes` says that a second run goes on where an interrupted one stopped. `etag` names the state
        of the reply, which must be a model.
        `end_user` is the scope with which an end user's token may use it.
        `cross_origin` lets scripts of other pages read the reply; their preflight is a route of its own.
        `spec=False` keeps websockets and raw routes out of the OpenAPI document.
        """
        chosen: Access = access or ("public" if public else self.access)

        def register(handler: H) -> H:
            signature = read_signature(handler)
            paths = tuple(self._whole(spelling) for spelling in (path, *aliases, *older))
            newer = self._whole(replaced_by) if replaced_by else ""
            _check_paths(handler, paths, signature.path_parameters)
            self.all.append(
                Route(
                    method=method,
                    paths=paths,
                    older=frozenset(paths if newer else map(self._whole, older)),
                    newer=newer or paths[0],
                    handler=handler,
                    tag=self.tag,
                    status=status or (204 if signature.is_empty else 200),
                    errors=tuple(errors),
                    access=chosen,
                    limit=limit or (CALLER_LIMIT if chosen == "caller" else PUBLIC_LIMIT),
                    end_user=end_user,
                    is_cross_origin=cross_origin,
                    is_in_spec=self.is_in_spec if spec is None else spec,
                    produces=tuple(produces),
                    reads=reads if isinstance(reads, str) else TypeAdapter(reads),
                    location=location,
                    resumes=resumes,
                    has_etag=etag,
                    body=signature.body,
                    is_body_optional=signature.is_body_optional,
                    query=signature.query,
                    form=signature.form,
                    path_parameters=signature.path_parameters,
                    reply=signature.reply,
                )
            )
            return handler

        return register

    def _whole(self, spelling: str) -> str:
        return spelling[1:] if spelling.startswith("//") else self.prefix + spelling


Admit = Callable[[web.Request, Route], Awaitable[None]]
"""Asked before anything of a request is read: raises where the caller may not, or not now."""


class Audit(Protocol):
    """Is told of every request that may change something (`api.audit`)."""

    def record(self, request: web.Request, route: Route, arguments: Mapping[str, Any]) -> Any:
        """Before the handler runs; an entry, or None where there is nothing to write down."""

    def complete(self, entry: Any, route: Route, reply: Any) -> None:
        """After it, before the commit."""


def mount(
    app: web.Application, resources: Sequence[Routes], admit: Admit, audit: Audit | None = None
) -> None:
    """Put every route on the application."""
    for routes in resources:
        for route in routes.all:
            handler = _served(route, admit, audit)
            for path in route.paths:
                resource = app.router.add_resource(path)
                resource.add_route(route.method, handler)
                if route.method == "GET":
                    resource.add_route("HEAD", handler)


def _served(
    route: Route, admit: Admit, audit: Audit | None
) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def serve(request: web.Request) -> web.StreamResponse:
        if route.is_cross_origin and (origin := request.headers.get("Origin")):
            request[CROSS_ORIGIN] = origin
        await admit(request, route)
        is_once = route.is_keyed and idempotency.HEADER in request.headers
        upload = upload_digests.watch(request) if is_once else None  # before anything of it is read
        arguments = await _arguments(request, route)

        async def run() -> web.StreamResponse:
            entry = audit.record(request, route, arguments) if audit is not None else None
            try:
                result = await route.handler(request, **arguments)
            except Invalid as invalid:
                await echoes.fill(request, invalid, has_json=route.body is not None)
                raise
            if entry is not None and audit is not None:
                audit.complete(entry, route, result)
            return _replied(request, route, result)

        if is_once:
            return await idempotency.once(request, run, upload, resumes=route.resumes)
        return await run()

    return serve


def _replied(request: web.Request, route: Route, result: Any) -> web.StreamResponse:
    if isinstance(result, web.StreamResponse):
        return result
    if route.reply is None:
        return web.Response(status=route.status)
    headers = {"Location": route.location.format_map(vars(result))} if route.location else {}
    if route.has_etag:
        headers |= etags.header_of(result)
        if route.method == "GET" and etags.is_known(request, result):
            return web.Response(status=304, headers=headers)
    return web.Response(
        body=route.reply.dump_json(result, by_alias=True),
        status=route.status,
        headers=headers,
        content_type="application/json",
    )


async def _arguments(request: web.Request, route: Route) -> dict[str, Any]:
    arguments: dict[str, Any] = {}
    if "\x00" in request.path:
        raise NotFound
    for name, adapter in route.path_parameters.items():
        arguments[name] = _validated(adapter, request.match_info[name], "path", name)
    if route.query is not None:
        arguments["query"] = _validated(route.query, _query(request), "query")
    if route.body is not None:
        arguments["body"] = await _body(request, route.body, route.is_body_optional)
    if route.form is not None:
        arguments["form"] = _validated(route.form, dict(await request.post()), "body")
    return arguments


def _validated(adapter: TypeAdapter[Any], value: Any, *loc: str) -> Any:
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        invalid = Invalid.of(error, loc[0])
        for found in invalid.errors:
            found["loc"] = [*loc, *found["loc"][1:]]
        raise invalid from None


def _query(request: web.Request) -> dict[str, str]:
    query = dict(request.query)
    for name, value in query.items():
        if "\x00" in name or "\x00" in value:
            raise Invalid.at(
                "query", name.replace("\x00", ""), msg="Text must not contain NUL", type="string_nul"
            )
    return query


async def body_of(request: web.Request) -> bytes:
    """The whole body; raises `TooLarge` past the application's limit and `RequestTimeout` when it is slow."""
    length = request.content_length
    if length is not None and length > request.client_max_size:
        raise TooLarge  # before a byte of it is read
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise RequestTimeout from None


async def _body(request: web.Request, adapter: TypeAdapter[Any], is_optional: bool) -> Any:
    raw = await body_of(request)
    if not raw.strip():
        if is_optional:
            return None
        raw = b"{}"  # an SDK that has nothing to say sends nothing; what is missing is named below
    refuse_what_cannot_be_kept(raw)
    try:
        return adapter.validate_json(raw)
    except ValidationError as error:
        raise Invalid.of(error, "body") from None


def _check_paths(handler: Handler, paths: tuple[str, ...], parameters: dict[str, TypeAdapter[Any]]) -> None:
    for path in paths:
        if set(PARAMETER.findall(path)) != set(parameters):
            raise TypeError(f"{handler.__module__}.{handler.__name__}: {path} and the signature differ")
