"""Functions that an agent may call, as an owner wrote them: what can never work is refused."""

import re
from collections.abc import Iterator
from typing import Any

from jsonschema import Draft202012Validator, SchemaError
from pydantic import ValidationError

from api.agents import patterns
from pipelines import function_config

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}")
MAX_SCHEMA_DEPTH = 20


def check(function: dict[str, Any]) -> dict[str, Any]:
    """Raise `ValueError` unless a call could ever use this function.

    `{"type": "python", "name": ...}` is a developer's; whether a worker has it is not asked here. Anything
    else is a webhook: a name, a URL and a JSON Schema of its arguments.
    """
    kind = function.get("type") or "webhook"
    name = function.get("name")
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError("name: letters, digits, _ and -, at most 64, not beginning with a digit.")
    if kind not in ("python", "webhook"):
        raise ValueError("type: either python or webhook.")
    if kind == "python":
        _read(function)
        return function
    url = function.get("url")
    # Without TLS only to hosts that the operator named (`api.agents.reachable`).
    if not isinstance(url, str) or not url.startswith(("https://", "http://")) or len(url) > 2048:
        raise ValueError("url: an address that begins with https:// is required.")
    if not isinstance(function.get("parameters"), dict):
        raise ValueError("parameters: the JSON Schema of the function's arguments is required.")
    check_schema(function["parameters"])
    if isinstance(promised := function.get("response_schema"), dict):
        check_schema(promised, of="response_schema", is_object=False)
    _read(function)
    return function


def _read(function: dict[str, Any]) -> None:
    try:
        function_config.read(function)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}.") from None


def check_all(functions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Raise `ValueError` where two functions have one name: an engine could not tell them apart."""
    names = [function.get("name") for function in functions]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise ValueError(f"Two functions are called {twice}.")
    return functions


def check_schema(schema: dict[str, Any], of: str = "parameters", *, is_object: bool = True) -> None:
    """Raise `ValueError` unless this is a JSON Schema (of an object) that can be checked in bounded time."""
    if is_object and schema.get("type", "object") != "object":
        raise ValueError(f"{of}.type: arguments are an object.")
    for text in _patterns(schema, 0):
        try:
            patterns.check(text)
        except ValueError as error:
            raise ValueError(f"{of}: {error}") from None
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        place = ".".join([of, *(str(part) for part in error.absolute_path)])
        raise ValueError(f"{place}: {error.message[:200]}") from None


def _patterns(value: Any, depth: int) -> Iterator[str]:
    if depth > MAX_SCHEMA_DEPTH:
        raise ValueError(f"parameters: nested deeper than {MAX_SCHEMA_DEPTH}.")
    if isinstance(value, dict):
        if isinstance(value.get("pattern"), str):
            yield value["pattern"]
        if isinstance(value.get("patternProperties"), dict):
            yield from value["patternProperties"]
        if isinstance(reference := value.get("$ref"), str) and not reference.startswith("#"):
            raise ValueError("parameters: a $ref may only point into the schema itself.")
        for inner in value.values():
            yield from _patterns(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _patterns(inner, depth + 1)
