"""Rows that are written once: an insert that leaves alone what is already there."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import fields_of


async def insert_new(
    session: AsyncSession, table: type[SQLModel], rows: Sequence[SQLModel]
) -> list[tuple[Any, ...]]:
    """Insert the rows whose primary key is not there yet; returns the primary keys of those.

    One statement, so that two who insert the same at once do not both succeed, and neither fails.
    """
    if not rows:
        return []
    target = SQLModel.metadata.tables[str(table.__tablename__)]
    values = [fields_of(row) for row in rows]
    key = list(target.primary_key.columns)
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        result = await connection.execute(
            sqlite.insert(target).values(values).on_conflict_do_nothing().returning(*key)
        )
    else:
        result = await connection.execute(
            postgresql.insert(target).values(values).on_conflict_do_nothing().returning(*key)
        )
    return [tuple(row) for row in result.all()]


async def insert_many(
    session: AsyncSession, table: type[SQLModel], values: Sequence[Mapping[str, Any]]
) -> None:
    """The same for many rows, given as their columns: making a model of each costs ten times as much.

    Nothing tells which of them were new, and no default is filled in.
    """
    if not values:
        return
    target = SQLModel.metadata.tables[str(table.__tablename__)]
    connection = await session.connection()
    if connection.dialect.name == "sqlite":
        await connection.execute(sqlite.insert(target).on_conflict_do_nothing(), list(values))
    else:
        await connection.execute(postgresql.insert(target).on_conflict_do_nothing(), list(values))


async def add_up(
    session: AsyncSession, table: type[SQLModel], rows: Sequence[SQLModel], counts: Sequence[str]
) -> None:
    """Insert rows, or add their `counts` to those of the rows that have their primary keys already."""
    if not rows:
        return
    target = SQLModel.metadata.tables[str(table.__tablename__)]
    connection = await session.connection()
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    insert = dialect.insert(target).values([fields_of(row) for row in rows])
    await connection.execute(
        insert.on_conflict_do_update(
            index_elements=list(target.primary_key.columns),
            set_={name: target.c[name] + insert.excluded[name] for name in counts},
        )
    )
