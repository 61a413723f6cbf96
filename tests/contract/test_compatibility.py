"""The contract's operations: served, refused with a word, or listed as missing."""

import pytest

from tests.support.api import Api, Person
from tests.support.compatibility import DOC, operations, page


def test_the_table_of_operations_is_what_is_served() -> None:
    assert DOC.read_text() == page(), "run: python -m tests.support.compatibility"
    assert len(list(operations())) == 278


@pytest.mark.parametrize("path", ["/v1/interpreters", "/v1/interpreters/x/call", "/v1/ext/config", "/v1/sms"])
def test_what_is_left_out_says_so(api: Api, person: Person, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        reply = person.ask(method, path, {} if method == "POST" else None)
        assert reply.status == 501
        assert "left out of Call2Me Runtime on purpose" in reply.detail
    assert api.ask("GET", "/v1/interpretersx").status == 404
