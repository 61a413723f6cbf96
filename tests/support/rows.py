"""A row in every table, made from the tables themselves, and what is in them read as the database has it."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy import Column, MetaData, Table
from sqlmodel import AutoString

from api.db.columns import UtcDateTime
from api.db.engine import Database
from api.db.sealed import SealedJson, SealedText

Rows = dict[str, list[dict[str, Any]]]
"""By table; as they are stored, sealed where they are sealed."""
_VALUES: list[tuple[Any, Any]] = [
    (SealedText, SecretStr("secret ğ")),
    (SealedJson, {"token": "secret ğ"}),
    (UtcDateTime, datetime(2026, 3, 29, 1, 30, 0, 123456, tzinfo=UTC)),
    (sa.JSON, {"nested": [1, "ğ", None]}),
    (sa.Date, date(2026, 3, 29)),
    (sa.Boolean, True),
    (sa.LargeBinary, b"\x00\xff"),
    (sa.Integer, 7),
    (sa.Numeric, Decimal("0.5")),
    (sa.Float, 0.5),
    ((sa.String, AutoString), ""),
]


async def fill(database: Database, metadata: MetaData) -> None:
    """One row each, parents before children."""
    made: dict[str, dict[str, Any]] = {}
    async with database.engine.begin() as connection:
        for table in metadata.sorted_tables:
            made[table.name] = {column.name: _value(table, column, made) for column in table.columns}
            await connection.execute(table.insert().values(made[table.name]))


async def rows(database: Database) -> Rows:
    """Everything in every table there is, in the order of its columns' values."""
    await database.engine.dispose()  # what a connection remembers of a table does not outlive its change
    async with database.engine.connect() as connection:
        names = await connection.run_sync(lambda sync: sa.inspect(sync).get_table_names())
        found: Rows = {}
        for name in names:
            read = (await connection.execute(sa.text(f'SELECT * FROM "{name}"'))).mappings()  # noqa: S608
            found[name] = sorted(({**row} for row in read), key=repr)
    found.pop("alembic_version", None)
    return found


def shared(one: Rows, other: Rows) -> tuple[Rows, Rows]:
    """Both, with only those tables and columns that both have."""

    def part(of: Rows, like: Rows) -> Rows:
        return {
            name: [{key: value for key, value in row.items() if key in like[name][0]} for row in of[name]]
            for name in of.keys() & like.keys()
            if like[name]
        }

    return part(one, other), part(other, one)


def _value(table: Table, column: "Column[Any]", made: dict[str, dict[str, Any]]) -> Any:
    for key in column.foreign_keys:
        parent = key.column.table.name
        return made[parent][key.column.name] if parent != table.name else None
    value = next(value for kind, value in _VALUES if isinstance(column.type, kind))
    return f"{table.name}.{column.name}"[: getattr(column.type, "length", None)] if value == "" else value
