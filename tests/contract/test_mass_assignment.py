"""What only the server sets is taken from no body: every operation, generated from the OpenAPI document."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import JSON, Boolean, DateTime, Numeric
from sqlmodel import SQLModel

from api import tables
from api.settings import Settings
from tests.support.api import Person
from tests.support.house import House
from tests.support.openapi import COMPONENTS, Operation, operations
from tests.support.valid_requests import Body, prepared

WORD, NUMBER, MOMENT = "smuggled", 424_242_424, "2001-02-03T04:05:06Z"
"""Values that nothing here has unless somebody sent them."""
MARKS = (WORD, str(NUMBER), "2001-02-03")

SIGNED = {
    "receive_livekit_event",
    "receive_telnyx_event",
    "receive_sms_event",
    "receive_stripe_event",
    "receive_paddle_event",
}
"""What a provider signed: whatever anybody else sends is refused, and the rest is the provider's to say."""
ENDS = {"change_password", "reset_password", "erase_account", "log_out", "refresh_tokens"}
"""After these somebody is signed in no more."""
REFUSED = {
    "sign_in_with_google": (403, "needs what Google signed"),
    "preview_voice": (503, "no voice provider"),
    "speak": (503, "no voice provider"),
    "chat": (503, "no model provider"),
    "purchase_number": (503, "no carrier"),
    "checkout_number": (503, "no carrier"),
    "send_sms": (503, "no carrier"),
    "reserve_demo_number": (503, "no demo numbers"),
    "create_checkout": (503, "no payment provider"),
    "top_up": (403, "an administrator's"),
    "request_demo_call": (503, "no demo agent"),
}
"""Sent all the same: a refusal must take nothing, either."""
ELSEWHERE = {("workers", "is_ready"), ("letters", "was_sent")}
"""Flags that change beside a request, whatever it says."""
NEVER_ASKED = {"owner_id", "user_id", "id", "created_at", "updated_at", "balance_usd", "spent_usd"}
"""What no body of an owner's has a field for."""
SPELLINGS = ({"number", "phone_number", "to_number"}, {"variables", "dynamic_variables"})
"""Names that mean the same; the document has one of them."""

Rows = dict[str, set[tuple[Any, ...]]]


@dataclass
class Smuggled:
    """What is sent beside a body, by name."""

    kinds: dict[str, str] = field(default_factory=dict)
    choices: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def of(cls, document: list[Operation]) -> "Smuggled":
        """Every column of every table, and every property of every reply."""
        tables.load()
        found = cls()
        for operation in document:
            for reply in operation.about["responses"].values():
                content = reply.get("content", {}).get("application/json", {})
                found._note(operation, content.get("schema", {}), set())
        for table in SQLModel.metadata.tables.values():
            for column in table.c:
                found.kinds[column.name] = _kind(column.type)
        return found

    def _note(self, operation: Operation, schema: dict[str, Any], seen: set[str]) -> None:
        if reference := schema.get("$ref"):
            if reference in seen:
                return
            seen.add(reference)
        schema = operation.resolved(schema)
        for several in COMPONENTS:
            for one in schema.get(several, ()):
                self._note(operation, one, seen)
        if isinstance(schema.get("items"), dict):
            self._note(operation, schema["items"], seen)
        for name, inner in schema.get("properties", {}).items():
            self.kinds.setdefault(
                name, {"boolean": "flag", "integer": "number"}.get(inner.get("type"), "word")
            )
            self.choices.setdefault(name, []).extend(map(str, inner.get("enum", ())))
            self._note(operation, inner, seen)

    def beside(self, operation: Operation, schema: dict[str, Any], usual: dict[str, set[Any]]) -> Body:
        """Everything that an object of this schema does not have, with values that are not the usual ones."""
        own = _names(operation, schema)
        return {name: self._value(name, usual.get(name, set())) for name in self.kinds if name not in own}

    def _value(self, name: str, usual: set[Any]) -> Any:
        match self.kinds[name]:
            case "flag":
                return 1 not in usual
            case "number":
                return NUMBER
            case "moment":
                return MOMENT
            case "object":
                return {WORD: WORD}
        return next((one for one in self.choices.get(name, ()) if one not in usual), WORD)


def _kind(column: Any) -> str:
    for kind, name in ((Boolean, "flag"), (DateTime, "moment"), (Numeric, "number"), (JSON, "object")):
        if isinstance(column, kind):
            return name
    return "number" if column.python_type is int else "word"


def _names(operation: Operation, schema: dict[str, Any]) -> set[str]:
    """What an object may carry: of all its variants, in all spellings."""
    schema = operation.resolved(schema)
    inner = {
        name for several in COMPONENTS for one in schema.get(several, ()) for name in _names(operation, one)
    }
    names = inner | set(schema.get("properties", ()))
    return names.union(*(same for same in SPELLINGS if same & names))


def _stored(house: House) -> Rows:
    """Every row of every table."""
    path = Settings.load(house.api.environment).database_url.partition("///")[2]
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return {
            name: set(connection.execute(f'select {_columns(name)} from "{name}"'))  # noqa: S608 - ours
            for name in SQLModel.metadata.tables
        }


def _columns(table: str) -> str:
    return ", ".join(f'"{column.name}"' for column in SQLModel.metadata.tables[table].c)


def _written(before: Rows, after: Rows) -> Rows:
    return {table: rows - before[table] for table, rows in after.items() if rows != before[table]}


def _by_column(written: Rows) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for _, column, value in _cells(written):
        found.setdefault(column, set()).add(value)
    return found


def _cells(written: Rows) -> Iterator[tuple[str, str, Any]]:
    for table, rows in written.items():
        for row in rows:
            for column, value in zip(SQLModel.metadata.tables[table].c, row, strict=True):
                yield table, column.name, value


@dataclass
class Sent:
    """One request, and what it wrote."""

    status: int
    raw: bytes
    before: Rows
    written: Rows


def _send(house: House, operation: Operation, person: Person, address: str, body: Any) -> Sent:
    before = _stored(house)
    reply = house.api.ask(operation.method, address, body, token=person.token if operation.schemes else "")
    return Sent(reply.status, reply.raw, before, _written(before, _stored(house)))


def _taken(smuggled: Smuggled, more: Body, sent: Sent, usual: dict[str, set[Any]]) -> list[Any]:
    """What of `more` came through, into a row or into the reply."""
    found: list[Any] = [("reply", mark) for mark in MARKS if mark.encode() in sent.raw]
    for table, column, value in _cells(sent.written):
        is_marked = value == NUMBER or (isinstance(value, str) and any(mark in value for mark in MARKS))
        is_chosen = smuggled.kinds.get(column) in {"flag", "word"} and value == more.get(column, WORD)
        is_usual = value in usual.get(column, ()) or (table, column) in ELSEWHERE
        if is_marked or (is_chosen and not is_usual):
            found.append((table, column, value))
    return found


@pytest.fixture
def telephone(house: House) -> Iterator[None]:
    """The worker has phones, and does as it is told."""
    house.worker.status["phones_why_not"] = ""
    house.worker.obeys = lambda order: {"outcome": "done"}
    time.sleep(0.5)
    yield
    house.worker.status.pop("phones_why_not")
    house.worker.obeys = lambda order: None
    time.sleep(0.5)


def _attempt(
    house: House, operation: Operation, smuggled: Smuggled, plain: Person, greedy: Person
) -> list[tuple[Any, ...]]:
    """What is wrong with how an operation took it, beside how it takes what is usual."""
    wrong: list[tuple[Any, ...]] = []
    usual = _send(house, operation, plain, *prepared(house, operation, plain))
    address, body = prepared(house, operation, greedy)
    more = smuggled.beside(operation, operation.body or {}, _by_column(usual.written))
    sent = _send(house, operation, greedy, address, {**more, **body})
    expected = REFUSED.get(operation.name, (0,))[0] or usual.status
    if (usual.status, sent.status) != (expected, expected) or (
        usual.status >= 300 and operation.name not in REFUSED
    ):
        wrong.append((operation.name, usual.status, usual.raw[:300], sent.status, sent.raw[:300]))
    if _taken(smuggled, more, sent, _by_column(usual.written)):
        # Work that goes on after an answer may have come further with the one than with the other.
        later = _by_column(_written(usual.before, _stored(house)))
        wrong += [(operation.name, *one) for one in _taken(smuggled, more, sent, later)]
    return wrong


def _wait_until_quiet(house: House) -> None:
    """Until what earlier requests left to be done is done, and no row changes; ten seconds at most."""
    rows: Rows = {}
    for _ in range(20):
        last, rows = rows, _stored(house)
        if last and _written(last, rows).keys() <= {"workers"}:  # their heartbeats go on
            return
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.usefixtures("telephone")
@pytest.mark.parametrize("house", ["sqlite"], indirect=True)
def test_no_operation_takes_what_the_server_sets(house: House) -> None:
    document = operations(house.api)
    smuggled = Smuggled.of(document)
    assert {"owner_id", "id", "created_at", "balance_usd", "status"} <= set(smuggled.kinds)
    plain, greedy = house.person(), house.person()
    tried, wrong = set(), []
    for operation in document:
        if operation.body is None or operation.is_alias or operation.schemes == ["InternalKey"]:
            continue
        if operation.name in SIGNED:
            continue
        assert not {one.name for one in operation.fields()} & NEVER_ASKED, operation.name
        if operation.name in ENDS:
            plain, greedy = house.person(), house.person()
        if _attempt(house, operation, smuggled, plain, greedy):
            # What work for an earlier request wrote meanwhile is not there twice; what is taken is.
            _wait_until_quiet(house)
            wrong += _attempt(house, operation, smuggled, house.person(), house.person())
        if operation.name in ENDS:
            plain, greedy = house.person(), house.person()
        tried.add(operation.name)
    assert wrong == [], wrong
    assert len(tried) >= 70
    assert tried >= set(REFUSED), "a reason for what is not there"
