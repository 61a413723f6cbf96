"""The OpenAPI document as tests ask from it: its operations and the fields of their bodies."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.contract.test_ownership import MAKERS
from tests.support.api import Api, Person, Reply

Put = Callable[[Any], Any]
"""Wraps a value into the least that a field needs around it."""

COMPONENTS = ("anyOf", "oneOf", "allOf")


@dataclass(frozen=True)
class Operation:
    """One operation, with the document that it stands in."""

    method: str
    path: str
    about: dict[str, Any]
    schemas: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its id; other spellings carry the first one's."""
        return str(self.about["operationId"])

    @property
    def is_alias(self) -> bool:
        """Another spelling of one that stands before it."""
        return "Another spelling of" in self.about.get("description", "")

    @property
    def first_name(self) -> str:
        """The id of the spelling that stands first."""
        return self.name.rpartition("_")[0] if self.is_alias else self.name

    @property
    def schemes(self) -> list[str]:
        """Whose credentials open it: none for a public one."""
        return [name for one in self.about["security"] for name in one]

    @property
    def ids(self) -> list[str]:
        """What its path names."""
        return [one["name"] for one in self.about.get("parameters", []) if one["in"] == "path"]

    @property
    def query(self) -> dict[str, Any]:
        """The schema of each parameter of the query."""
        return {
            one["name"]: one["schema"] for one in self.about.get("parameters", []) if one["in"] == "query"
        }

    @property
    def takes(self) -> list[str]:
        """The media types of its body."""
        return list(self.about.get("requestBody", {}).get("content", {}))

    @property
    def body(self) -> dict[str, Any] | None:
        """The schema of its JSON body."""
        content = self.about.get("requestBody", {}).get("content", {}).get("application/json")
        return content["schema"] if content else None

    def resolved(self, schema: dict[str, Any]) -> dict[str, Any]:
        """What a reference means."""
        while "$ref" in schema:
            schema = self.schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def address(self, person: Person | None = None, **given: str) -> str:
        """Its path, with what is given or else things of somebody's own in its places; `x` of nobody's."""
        made = {
            name: given[name] if name in given else MAKERS[name](person) if person and name in MAKERS else "x"
            for name in self.ids
        }
        return self.path.format(**made)

    def ask(self, api: Api, address: str, body: Any = None, **options: Any) -> Reply:
        """Send it; a POST without a body sends none."""
        return api.ask(self.method, address, body, **options)

    def fields(self, schema: dict[str, Any] | None = None) -> "Iterator[Field]":
        """Every field of its body, at every depth."""
        if self.body is not None:
            yield from _fields(self, schema or self.body, (), lambda value: value, frozenset())

    def least(self, schema: dict[str, Any]) -> Any:
        """The least value that fits a schema, as far as a schema can say that."""
        schema = self.resolved(schema)
        if "const" in schema or "enum" in schema:
            return schema["const"] if "const" in schema else schema["enum"][0]
        if variants := next((schema[several] for several in COMPONENTS if several in schema), None):
            return self.least(variants[0])
        kind = schema.get("type")
        if kind == "object":
            return {name: self.least(schema["properties"][name]) for name in schema.get("required", ())}
        if kind == "array":
            return [self.least(schema["items"])] * schema.get("minItems", 0)
        if schema.get("format") == "date-time":
            return "2030-01-01T10:00:00Z"
        numbers = {"integer": schema.get("minimum", 1), "number": schema.get("minimum", 1), "boolean": True}
        return numbers.get(str(kind), "x" * schema.get("minLength", 1))


@dataclass(frozen=True)
class Field:
    """One field of a body. `put` makes the least of a body that has a value there."""

    loc: tuple[str, ...]
    schema: dict[str, Any]
    put: Put

    @property
    def name(self) -> str:
        """The last name that leads to it."""
        return [part for part in self.loc if part != "[]"][-1]

    def __str__(self) -> str:
        return ".".join(self.loc)


def _fields(
    operation: Operation, schema: dict[str, Any], loc: tuple[str, ...], put: Put, seen: frozenset[str]
) -> Iterator[Field]:
    if reference := schema.get("$ref"):
        if reference in seen:
            return
        seen |= {reference}
    schema = operation.resolved(schema)
    for several in COMPONENTS:
        for one in schema.get(several, ()):
            yield from _fields(operation, one, loc, put, seen)
    if isinstance(schema.get("items"), dict):
        yield from _fields(operation, schema["items"], (*loc, "[]"), lambda value: put([value]), seen)
    if loc and schema.get("type") in {"string", "integer", "number", "boolean"}:
        yield Field(loc, schema, put)
    for name, inner in schema.get("properties", {}).items():

        def put_in(value: Any, name: str = name) -> Any:
            return put({**operation.least({**schema, "type": "object"}), name: value})

        yield from _fields(operation, inner, (*loc, name), put_in, seen)


def operations(api: Api) -> list[Operation]:
    """Every operation that the document names."""
    spec = api.ask("GET", "/openapi.json").json
    return [
        Operation(method.upper(), path, about, spec["components"]["schemas"])
        for path, methods in spec["paths"].items()
        for method, about in methods.items()
    ]


class Things:
    """One of each kind, made when it is first asked for."""

    def __init__(self, person: Person, **known: str) -> None:
        self._person = person
        self._made = {"voice_id": "openai-nova", **known}

    def address(self, operation: Operation) -> str:
        """The path with them in its places."""
        for name in set(operation.ids) - set(self._made):
            self._made[name] = MAKERS[name](self._person) if name in MAKERS else "x"
        return operation.address(None, **self._made)
