"""Rows that are written once: an insert that leaves alone what is already there."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, lru_cache
from typing import Any

from sqlalchemy import Dialect
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import fields_of
from api.db.sqlite import driver_of


async def insert_new(
    session: AsyncSession, table: type[SQLModel], rows: Sequence[SQLModel]
) -> list[tuple[Any, ...]]:
    """Insert the rows whose primary key is not there yet; returns the primary keys of those.

    One statement, so that two who insert the same at once do not both succeed, and neither fails.
    """
    if not rows:
        return []
    connection = await session.connection()
    statement = _insert_new(str(table.__tablename__), connection.dialect.name)
    values = [fields_of(row) for row in rows]
    result = await connection.execute(statement, values[0] if len(values) == 1 else values)
    return [tuple(row) for row in result.all()]


async def insert_values(session: AsyncSession, table: type[SQLModel], values: Mapping[str, Any]) -> bool:
    """Insert one row, given as its columns; false where one with its keys is there already.

    No default is filled in, and nothing of SQLAlchemy is asked but how the statement is said: a row's
    object and a statement's execution cost more than all the rest of it.
    """
    connection = await session.connection()
    sql, binds = _said(str(table.__tablename__), connection.dialect)
    given = tuple([values[name] if bind is None else bind(values[name]) for name, bind in binds])
    driver = driver_of(connection)
    if driver is None:
        return (await connection.exec_driver_sql(sql, given)).first() is not None
    return bool(await driver.rows(sql, given))


@lru_cache(maxsize=32)
def _said(table: str, dialect: Dialect) -> tuple[str, tuple[tuple[str, Callable[[Any], Any] | None], ...]]:
    columns = SQLModel.metadata.tables[table].c
    compiled = _insert_new(table, dialect.name).compile(dialect=dialect)
    return str(compiled), tuple(
        (name, columns[name].type.dialect_impl(dialect).bind_processor(dialect))
        for name in compiled.positiontup
    )


@cache
def _insert_new(table: str, dialect: str) -> Any:
    # Made once, with values that are given apart: SQLAlchemy compiles one that carries them each time.
    target = SQLModel.metadata.tables[table]
    insert = (sqlite if dialect == "sqlite" else postgresql).insert(target)
    return insert.on_conflict_do_nothing().returning(*target.primary_key.columns)


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
