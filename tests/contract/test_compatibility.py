"""The contract's operations: served, refused with a word, or listed as missing."""

import pytest

from api.app import RESOURCES
from api.http.openapi import document, spelled
from tests.support.api import Api, Person
from tests.support.compatibility import DOC, OPERATIONS, operations, page

EQUALS = {
    "GET /v1/auth/me",  # both are the product's
    "POST /v1/sip/trunk/{trunk_id}/sync",
    "GET /health/ready",
    "POST /v1/contacts/upload-csv",  # both are ours
    "GET /v1/calls/{call_id}/recording.ogg",
    "GET /v1/wallet/transactions.csv",
    "GET /a/{slug}",
}
"""Second names of which neither is the older."""


def test_the_table_of_operations_is_what_is_served() -> None:
    assert DOC.read_text() == page(), "run: python -m tests.support.compatibility"
    assert len(list(operations())) == 278


def test_of_two_spellings_exactly_the_older_is_marked_and_names_the_newer() -> None:
    paths = document(RESOURCES, title="", version="")["paths"]
    live = OPERATIONS.read_text().splitlines()
    for routes in RESOURCES:
        for route in routes.all:
            names = {f"{route.method} {spelled(path)}" for path in route.paths} - EQUALS
            if not route.is_in_spec or (len(names) == 1 and not route.older):
                continue
            newer, method = spelled(route.newer), route.method.lower()
            abouts = {path: paths[path][method] for path in {newer, *map(spelled, route.paths)}}
            assert [path for path, about in abouts.items() if not about.get("deprecated")] == [newer]
            for path in abouts.keys() - {newer}:
                assert f"`{route.method} {newer}`" in abouts[path]["description"]
                assert f"{route.method} {path}" not in live, "what the product serves today is not the older"
            assert f"{route.method} {newer}" in live


@pytest.mark.parametrize("path", ["/v1/interpreters", "/v1/interpreters/x/call", "/v1/ext/x", "/v1/copilot"])
def test_what_is_left_out_says_so(api: Api, person: Person, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        reply = person.ask(method, path, {} if method == "POST" else None)
        assert reply.status == 501
        assert "left out of Call2Me Runtime on purpose: docs/compatibility.md" in reply.detail
        assert reply.detail.startswith(
            ("Live interpreting is ", "The browser extension is ", "The copilot is ")
        )
    assert api.ask("GET", "/v1/interpretersx").status == 404
