"""Text stays text: what stands in a field breaks out of no header, no letter, no sheet and no page."""

import csv
import email
import io
from collections.abc import Iterator
from email import policy
from typing import Any

import pytest

from tests.contract.test_mass_assignment import ENDS, SIGNED
from tests.contract.test_ownership import MAKERS, QUERIES
from tests.support.api import Api, Person, Reply
from tests.support.openapi import Operation, Things, operations
from tests.support.valid_requests import valid_body

HEADER = "a\r\nX-Injected: yes\r\n\r\nb"
FORMULA = '=HYPERLINK("http://evil.example")'
MARKUP = "\"'</script><script>smuggled()</script><img src=x onerror=smuggled()>"
TEXTS = (HEADER, FORMULA, MARKUP)
BREAKS = (b"<script>smuggled", b"<img src=x onerror=smuggled")
FORMULAS = ("=", "@", "\t", "\r")
"""What makes a spreadsheet compute; signs before numbers are seen to below."""

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("api", ["sqlite"], indirect=True)]


def _written_into(operation: Operation, person: Person) -> Iterator[Any]:
    """Its body once for each field and text, with the text there."""
    usual = valid_body(operation, person)
    for field in operation.fields():
        if field.schema.get("type") != "string" or field.schema.keys() & {"enum", "const"}:
            continue
        for text in TEXTS:
            put = field.put(text)
            yield {**usual, field.loc[0]: put[field.loc[0]]}


def _cells(reply: Reply) -> Iterator[str]:
    for row in csv.reader(io.StringIO(reply.raw.decode(), newline="")):
        yield from row


def _broken(operation: Operation, reply: Reply) -> list[Any]:
    """Where a text became something else."""
    kind = reply.headers.get("content-type", "")
    found: list[Any] = []
    if "x-injected" in reply.headers or any("\n" in value for value in reply.headers.values()):
        found.append((operation.name, "header", reply.headers))
    if kind.startswith("text/csv"):
        cells = [cell for cell in _cells(reply) if cell.startswith(FORMULAS)]
        found += [(operation.name, "formula", cell) for cell in cells]
    elif not kind.startswith(("application/json", "text/event-stream", "text/plain")):
        found += [(operation.name, kind, mark) for mark in BREAKS if mark in reply.raw]
    elif reply.headers.get("x-content-type-options") != "nosniff":
        found.append((operation.name, "may be taken for a page", kind))
    return found


def _letters(api: Api) -> list[Any]:
    """Letters with a header that nobody of us wrote."""
    read = [
        email.message_from_bytes(path.read_bytes(), policy=policy.default)
        for path in (api.home / "mail").glob("*.eml")
    ]
    assert len(read) > 5
    return [letter["Subject"] for letter in read if "X-Injected" in letter or letter.defects]


def test_what_is_written_into_every_field_stays_text(api: Api) -> None:
    person, document = api.person(), operations(api)
    widget = MAKERS["widget_id"](person)
    page = {"public_slug": widget.replace("_", "-"), "name": MARKUP, "greeting_message": MARKUP}
    assert person.ask("PATCH", f"/v1/widgets/{widget}", page).status == 200
    shown_page = person.ask("GET", f"/a/{page['public_slug']}")
    assert (shown_page.status, b"smuggled" in shown_page.raw) == (200, True)
    campaign = MAKERS["campaign_id"](person)
    called = {"phone_number": "+442079460001", "name": FORMULA, "variables": {"why": FORMULA}}
    person.made(f"/v1/campaigns/{campaign}/contacts", {"contacts": [called]})
    things = Things(person, widget_id=widget, slug=page["public_slug"], campaign_id=campaign)
    broken: list[Any] = []
    tried = taken = 0
    for operation in document:
        if operation.body is None or operation.is_alias or operation.name in ENDS | SIGNED:
            continue
        if operation.schemes == ["InternalKey"]:
            continue
        address, token = things.address(operation), person.token if operation.schemes else ""
        for body in _written_into(operation, person):
            reply = api.ask(operation.method, address, body, token=token)
            if reply.status == 500:
                broken.append((operation.name, body, reply.raw))
            broken += _broken(operation, reply)
            tried += 1
            taken += reply.status < 300
    shown: set[str] = set()
    for operation in document:
        if operation.method != "GET" or operation.schemes == ["InternalKey"]:
            continue
        address = things.address(operation)
        for query in ("", "format=csv"):
            asked = f"{address}?{QUERIES.get(operation.name, '')}&{query}"
            reply = person.ask("GET", asked, headers={"Accept": "text/csv, text/html, */*"})
            broken += _broken(operation, reply)
            shown |= (
                {reply.headers.get("content-type", "").partition(";")[0]} if reply.status == 200 else set()
            )
    assert (broken, _letters(api)) == ([], [])
    sheet = person.ask("GET", f"/v1/campaigns/{campaign}/results?format=csv")
    assert [cell for cell in _cells(sheet) if "HYPERLINK" in cell] == [f"'{FORMULA}"] * 2
    assert {"text/html", "text/csv", "application/json"} <= shown
    assert (tried > 500, taken > 200) == (True, True), (tried, taken)
