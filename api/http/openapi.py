"""The OpenAPI 3.1 document, produced from the routes: what is served is what is written."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Literal

from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode

from api.http import etags, idempotency
from api.http.callers import LoginNeeded, NotForEndUsers, ReadOnlyKey, ScopeMissing
from api.http.errors import (
    ApiError,
    Invalid,
    NotFound,
    PreconditionFailed,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    sentence,
    status_of,
)
from api.http.examples import EXAMPLES
from api.http.routes import PARAMETER, Route, Routes
from api.http.scopes import LOGIN, scope_of
from api.http.wire import Wire

_REFERENCE = "#/components/schemas/{model}"
_OLDER = "The older of the two: `{method} {newer}` is what new programs should use. Both keep working."


class Problem(Wire):
    """What went wrong, in one sentence."""

    detail: str


class InvalidPart(Wire):
    """One thing in a request that is not valid."""

    loc: list[str | int]
    """Where: `body`, `query` or `path`, then the names that lead there."""
    msg: str
    type: str
    input: Any = None


class InvalidRequest(Wire):
    """Everything in a request that is not valid."""

    detail: list[InvalidPart]


_PROBLEM: TypeAdapter[Any] = TypeAdapter(Problem)
_INVALID: TypeAdapter[Any] = TypeAdapter(InvalidRequest)

_IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": idempotency.HEADER,
    "in": "header",
    "required": False,
    "description": "The same key and request within a day gets the same answer, and runs once.",
    "schema": {"type": "string", "minLength": 1, "maxLength": idempotency.MAX_LENGTH},
}
_IF_MATCH: dict[str, Any] = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "An ETag: the change is made only to that state.",
    "schema": {"type": "string"},
}

_SCHEMES = {
    "BearerAuth": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token from signing in, or an API key (`sk_call2me_…`).",
    },
    "EndUserToken": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of an end user (`eut_…`), which sees what is theirs.",
    },
    "InternalKey": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Internal-Key",
        "description": "The key that workers share with the api.",
    },
}
_SECURITY: dict[str, list[dict[str, list[str]]]] = {
    "caller": [{"BearerAuth": []}],
    "internal": [{"InternalKey": []}],
    "public": [],
}


def document(resources: Iterable[Routes], *, title: str, version: str, server: str = "") -> dict[str, Any]:
    """The whole document. Raises `ValueError` where two operations share a name."""
    operations = [route for routes in resources for route in routes.all if route.is_in_spec]
    schemas = _Schemas(operations)
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    seen: set[str] = set()
    for route in operations:
        for number, path in enumerate(route.paths):
            operation_id = route.name if number == 0 else f"{route.name}_{number + 1}"
            if operation_id in seen:
                raise ValueError(f"two operations are called {operation_id}")
            seen.add(operation_id)
            paths[spelled(path)][route.method.lower()] = _operation(route, operation_id, schemas, path)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": version,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        **({"servers": [{"url": server}]} if server else {}),
        "security": _SECURITY["caller"],
        "tags": [{"name": tag} for tag in dict.fromkeys(route.tag for route in operations)],
        "paths": dict(paths),
        "components": {"schemas": schemas.definitions, "securitySchemes": _SCHEMES},
    }


def spelled(path: str) -> str:
    """A path as the document spells it: without the patterns of its parameters."""
    return PARAMETER.sub(r"{\1}", path)


class _Schemas:
    """JSON Schemas of every type on the wire, shared by reference."""

    def __init__(self, routes: list[Route]) -> None:
        wanted: dict[tuple[int, JsonSchemaMode], TypeAdapter[Any]] = {
            (id(adapter), mode): adapter for adapter, mode in _adapters(routes)
        }
        inputs: list[tuple[tuple[int, str], JsonSchemaMode, TypeAdapter[Any]]] = [
            (key, key[1], adapter) for key, adapter in wanted.items()
        ]
        self._by_adapter, defined = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCE)
        self.definitions: dict[str, Any] = defined.get("$defs", {})

    def of(self, adapter: TypeAdapter[Any], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
        found: dict[str, Any] = self._by_adapter[(id(adapter), mode), mode]
        return found

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema that a reference means."""
        reference = schema.get("$ref", "")
        return self.definitions[reference.rsplit("/", 1)[1]] if reference else schema


def _adapters(routes: list[Route]) -> Iterator[tuple[TypeAdapter[Any], JsonSchemaMode]]:
    yield _PROBLEM, "serialization"
    yield _INVALID, "serialization"
    for route in routes:
        for adapter in (route.body, route.query, route.form, route.reads, *route.path_parameters.values()):
            if isinstance(adapter, TypeAdapter):
                yield adapter, "validation"
        if route.reply is not None:
            yield route.reply, "serialization"


def _operation(route: Route, operation_id: str, schemas: _Schemas, path: str) -> dict[str, Any]:
    summary, _, description = (route.handler.__doc__ or route.name).strip().partition("\n\n")
    operation: dict[str, Any] = {
        "operationId": operation_id,
        "summary": " ".join(summary.split()).rstrip("."),
        "tags": [route.tag],
        "security": _SECURITY[route.access] + ([{"EndUserToken": []}] if route.end_user else []),
    }
    if route.access == "caller":
        operation["x-scope"] = scope_of(route)
    if route.end_user:
        operation["x-end-user-scope"] = route.end_user
    if path != route.paths[0]:
        description = f"{description}\n\nAnother spelling of `{spelled(route.paths[0])}`."
    if path in route.older:
        operation["deprecated"] = True
        description = f"{description}\n\n{_OLDER.format(method=route.method, newer=spelled(route.newer))}"
    if description.strip():
        operation["description"] = "\n".join(line.strip() for line in description.strip().splitlines())
    if parameters := _parameters(route, schemas):
        operation["parameters"] = parameters
    if content := _request(route, schemas):
        operation["requestBody"] = {"required": not route.is_body_optional, "content": content}
    operation["responses"] = _responses(route, schemas)
    return operation


def _parameters(route: Route, schemas: _Schemas) -> list[dict[str, Any]]:
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": schemas.of(adapter, "validation")}
        for name, adapter in route.path_parameters.items()
    ]
    if route.is_keyed:
        parameters.append(_IDEMPOTENCY_KEY)
    if route.has_etag and route.method == "PATCH":
        parameters.append(_IF_MATCH)
    if route.query is not None:
        model = schemas.resolved(schemas.of(route.query, "validation"))
        required = set(model.get("required", ()))
        for name, schema in model.get("properties", {}).items():
            parameters.append({"name": name, "in": "query", "required": name in required, "schema": schema})
    return parameters


def _request(route: Route, schemas: _Schemas) -> dict[str, Any]:
    if route.body is not None:
        content = {"schema": schemas.of(route.body, "validation")}
        if route.name in EXAMPLES:
            content["example"] = EXAMPLES[route.name]
        return {"application/json": content}
    if route.form is not None:
        schema = schemas.of(route.form, "validation")
        return {
            kind: {"schema": schema} for kind in ("application/x-www-form-urlencoded", "multipart/form-data")
        }
    if isinstance(route.reads, str):
        return {route.reads: {}} if route.reads else {}
    return {"application/json": {"schema": schemas.of(route.reads, "validation")}}


def _responses(route: Route, schemas: _Schemas) -> dict[str, Any]:
    content: dict[str, Any] = {kind: {} for kind in route.produces}
    if route.reply is not None:
        content["application/json"] = {"schema": schemas.of(route.reply, "serialization")}
    success: dict[str, Any] = {"description": "No content" if route.status == 204 else "Success"}
    if content:
        success["content"] = content
    headers = {}
    if route.location:
        headers["Location"] = {"description": "Where it is now", "schema": {"type": "string"}}
    if route.has_etag:
        headers["ETag"] = {"description": "The name of this state", "schema": {"type": "string"}}
    if headers:
        success["headers"] = headers
    responses = {str(route.status): success}
    if route.has_etag and route.method == "GET":
        responses["304"] = {"description": "You have this state already"}
    for status, kinds in sorted(_errors(route).items()):
        schema = schemas.of(_INVALID if status == 422 else _PROBLEM, "serialization")
        responses[str(status)] = {
            "description": " · ".join(dict.fromkeys(sentence(kind) for kind in kinds)),
            "content": {"application/json": {"schema": schema}},
        }
    return responses


def _errors(route: Route) -> dict[int, list[type[ApiError]]]:
    """What a route declared, and what follows from its shape."""
    kinds: list[type[ApiError]] = list(route.errors)
    if route.access != "public":
        kinds.append(Unauthorized)
    if route.access == "caller":
        kinds.append(NotForEndUsers)
        kinds.append(LoginNeeded if scope_of(route) == LOGIN else ScopeMissing)
        if route.method != "GET":
            kinds.append(ReadOnlyKey)
    if route.body is not None or route.form is not None or route.reads:
        kinds.append(TooLarge)
    if route.body or route.query or route.form or route.path_parameters:
        kinds.append(Invalid)
    if route.is_keyed:
        kinds += [idempotency.StillRunning, idempotency.Interrupted, idempotency.NotRepeatable, Invalid]
    if route.has_etag and route.method == "PATCH":
        kinds += [PreconditionFailed, etags.UnreadableTag]
    if route.access != "internal" and route.limit.count:
        kinds.append(TooManyRequests)
    if route.path_parameters and not any(issubclass(kind, NotFound) for kind in kinds):
        kinds.append(NotFound)  # a name that nothing could have
    by_status: dict[int, list[type[ApiError]]] = defaultdict(list)
    for kind in kinds:
        by_status[status_of(kind)].append(kind)
    return by_status
