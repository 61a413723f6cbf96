"""What belongs to a person, over all tables: found from the tables themselves, so that none is forgotten.

users ◄─ owner_id, user_id ── agents, calls, chats, … ◄─ foreign key ── call_events, chat_messages, …
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Table, select
from sqlmodel import SQLModel

from api.db.sealed import SealedJson, SealedText

NOT_EXPORTED = frozenset(
    {
        "account_exports",
        "call_attempts",
        "idempotency_keys",  # answers that were given, keys among them
        "one_time_links",
        "refresh_tokens",
        "wallet_entries",  # its transactions say the same
        "widget_greetings",  # a sound of words that stand in the widget
    }
)
SECRET_NAMES = frozenset({"hash", "password_hash", "google_subject"})
KEPT = frozenset({"wallets", "wallet_transactions", "wallet_entries", "wallet_holds", "payments"})
"""The book is kept, without the person: its owner is a name that means nothing any more."""
ERASED_BY_ITSELF = frozenset({"users", "calls", "knowledge_bases"})
"""What has files, or whom the rest belongs to (`erasure`)."""


def owner_column(table: Table) -> ColumnElement[Any] | None:
    """The column that says whose a row is; None where it belongs to another row, or to nobody."""
    for name in ("owner_id", "user_id"):
        if name in table.c:
            return table.c[name]
    return None


def owned() -> list[Table]:
    """Tables whose rows say whose they are, without the people themselves."""
    tables = SQLModel.metadata.sorted_tables
    return [table for table in tables if table.name != "users" and owner_column(table) is not None]


def belonging(owner_id: str) -> Iterator[tuple[Table, ColumnElement[bool]]]:
    """Every table with rows of a person, and which rows those are; those of their things, too."""
    mine = {table.name: table for table in owned()}
    for table in mine.values():
        column = owner_column(table)
        assert column is not None  # noqa: S101 - that is what makes it one of these
        yield table, column == owner_id
    for table in SQLModel.metadata.sorted_tables:
        if table.name in mine or table.name == "users":
            continue
        for key in table.foreign_keys:
            parent = mine.get(key.column.table.name)
            if parent is not None and (column := owner_column(parent)) is not None:
                yield table, key.parent.in_(select(key.column).where(column == owner_id))
                break


def exported(table: Table) -> list[Any]:
    """The columns that a person gets: all but secrets, which would only be useful to a thief."""
    return [
        column
        for column in table.c
        if column.name not in SECRET_NAMES and not isinstance(column.type, SealedText | SealedJson)
    ]
