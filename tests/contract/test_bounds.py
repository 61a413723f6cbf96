"""Bodies and pages have bounds: every operation of the OpenAPI document that takes a body or a number."""

import contextlib
import select
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.test_ownership import QUERIES
from tests.support.api import Api, Person
from tests.support.knowledge import upload
from tests.support.openapi import COMPONENTS, Operation, Things, operations

JSON_BYTES = 1024 * 1024
HUGE = 2**40
FIELD_BYTES, MOST_BYTES = 1_000_000, 20_000_000
"""Of a field of a form, which comes again and again; and of all that a form may have beside knowledge."""
PROVIDERS = {"receive_telnyx_event", "receive_sms_event", "receive_stripe_event", "receive_paddle_event"}
"""Without an account with them nothing of theirs is read at all."""
LOWER, UPPER = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}
SIGNED = {"expires"}
"""What stands under a signature of ours."""
NOT_HERE = {501, 503}
"""There is no carrier behind this api."""
PAGES = {"limit", "offset", "page", "per_page", "days", "hours"}


def _headers(api: Api, person: Person, operation: Operation) -> dict[str, str]:
    """With whatever opens it."""
    return {
        "Host": "x",
        "Connection": "close",
        "Content-Type": operation.takes[0] + ("; boundary=b" if "multipart" in operation.takes[0] else ""),
        "Authorization": f"Bearer {person.token}",
        "X-Internal-Key": api.secrets["internal_key"],
    }


def _answered(api: Api, operation: Operation, address: str, headers: dict[str, str], *pieces: bytes) -> int:
    """The status, also where the body was not read to its end."""
    host, port = api.url.removeprefix("http://").split(":")
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        answer = b""
        with contextlib.suppress(OSError):  # it stopped listening, as it may
            connection.sendall(f"{operation.method} {address} HTTP/1.1\r\n{head}\r\n".encode())
            for piece in pieces:
                if select.select([connection], [], [], 0)[0]:
                    break  # it has answered
                connection.sendall(piece)
        with contextlib.suppress(OSError):
            while b"\r\n" not in answer and (piece := connection.recv(4096)):
                answer += piece
    return int(answer.split()[1]) if answer else 0


def _chunk(body: bytes) -> bytes:
    return b"%x\r\n" % len(body) + body + b"\r\n"


@pytest.mark.parametrize("api", ["sqlite"], indirect=True)
def test_every_body_is_bounded(api: Api, person: Person) -> None:
    things, tried, forms = Things(person), 0, 0
    wrong: list[Any] = []
    chunk = _chunk(b" " * (JSON_BYTES + 1)) + b"0\r\n\r\n"
    part = b'--b\r\nContent-Disposition: form-data; name="x"\r\n\r\n' + b"x" * FIELD_BYTES + b"\r\n"
    parts = [_chunk(part)] * (2 * MOST_BYTES // FIELD_BYTES)
    for operation in operations(api):
        if not operation.takes:
            continue
        address, headers = things.address(operation), _headers(api, person, operation)
        said = _answered(api, operation, address, {**headers, "Content-Length": str(HUGE)}, b"{}")
        unsaid = said
        if operation.body is not None:
            unsaid = _answered(api, operation, address, {**headers, "Transfer-Encoding": "chunked"}, chunk)
        elif "multipart" in operation.takes[0]:
            unsaid = _answered(api, operation, address, {**headers, "Transfer-Encoding": "chunked"}, *parts)
            forms += 1
        expected = 403 if operation.name in PROVIDERS else 413
        if {said, unsaid} != {expected}:
            wrong.append((operation.name, address, said, unsaid))
        if "413" not in operation.about["responses"]:
            wrong.append((operation.name, "does not say so"))
        tried += 1
    assert wrong == [], wrong
    assert tried > 90
    assert forms > 5


def _numbers(operation: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, schema in operation.query.items():
        for one in [schema, *(one for several in COMPONENTS for one in schema.get(several, ()))]:
            if operation.resolved(one).get("type") in {"integer", "number"}:
                yield name, operation.resolved(one)


def _outside(schema: dict[str, Any]) -> Iterator[str]:
    """What is no number within the bounds."""
    yield from ("x", "", "1e400", "NaN", "1%00", "9" * 5000, "9" * 30)
    if "minimum" in schema:
        yield str(schema["minimum"] - 1)
    if "exclusiveMinimum" in schema:
        yield str(schema["exclusiveMinimum"])
    if "maximum" in schema:
        yield str(schema["maximum"] + 1)
    if "exclusiveMaximum" in schema:
        yield str(schema["exclusiveMaximum"])


@pytest.mark.parametrize("api", ["sqlite"], indirect=True)
def test_every_number_in_a_query_is_bounded(api: Api, person: Person) -> None:
    things, found = Things(person), set()
    wrong: list[Any] = []
    for operation in operations(api):
        for name, schema in _numbers(operation):
            if name in SIGNED:
                continue
            found.add(name)
            address = f"{things.address(operation)}?{QUERIES.get(operation.name, '')}&{name}="
            headers = {"X-Internal-Key": api.secrets["internal_key"]}
            if not (schema.keys() & LOWER and schema.keys() & UPPER):
                wrong.append((operation.name, name, "has no bounds", schema))
            for value in _outside(schema):
                reply = person.ask(operation.method, address + value, headers=headers)
                if reply.status != 422 or reply.detail[0]["loc"] != ["query", name]:
                    wrong.append((operation.name, name, value[:40], reply.status, reply.raw[:200]))
            for value in {schema.get("minimum", 1), schema.get("maximum", 1)}:
                reply = person.ask(operation.method, address + str(value), headers=headers)
                if (reply.status >= 500 and reply.status not in NOT_HERE) or reply.status == 422:
                    wrong.append((operation.name, name, value, reply.status, reply.raw[:200]))
    assert wrong == [], wrong
    assert found >= PAGES, PAGES - found


@pytest.mark.parametrize("api", ["sqlite"], indirect=True)
def test_a_form_has_so_many_fields_and_no_more(person: Person) -> None:
    many = {f"field_{number}": "x" for number in range(100)}
    refused = upload(person, "/v1/knowledge-base/upload", knowledge_base_name="Hours", **many)
    assert refused.status == 413
    assert person.ask("GET", "/v1/knowledge-base").json == []
