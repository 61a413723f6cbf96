"""Examples of the OpenAPI document: one for each body, and one that the server would take."""

import json

import pytest
from pydantic import TypeAdapter

from api.app import RESOURCES
from api.http.examples import EXAMPLES
from api.http.openapi import document
from api.http.routes import Route

SHOWN: dict[str, Route] = {
    route.name: route
    for routes in RESOURCES
    for route in routes.all
    if route.is_in_spec and route.body is not None and not route.paths[0].startswith("/internal/")
}


def test_each_body_has_an_example_and_no_example_is_of_nothing() -> None:
    assert set(EXAMPLES) == set(SHOWN)


@pytest.mark.parametrize("name", sorted(SHOWN))
def test_an_example_is_what_the_operation_takes(name: str) -> None:
    body = SHOWN[name].body
    assert isinstance(body, TypeAdapter)
    body.validate_json(json.dumps(EXAMPLES[name]))


def test_examples_are_shown_beside_both_spellings() -> None:
    paths = document(RESOURCES, title="x", version="1")["paths"]
    for path in ("/v1/auth/register", "/v1/auth/signup"):
        content = paths[path]["post"]["requestBody"]["content"]["application/json"]
        assert content["example"] == EXAMPLES["register"]
