"""The revision that a database is at, and the one that this code was written for; without Alembic."""

from pathlib import Path

from sqlalchemy import Connection, MetaData, inspect, text
from sqlalchemy.exc import SQLAlchemyError

import api.db
from api.db.engine import Database

_VERSIONS = Path(api.db.__file__).parent / "migrations" / "versions"


def newest() -> str:
    """The last revision."""
    return known()[-1]


def known() -> list[str]:
    """Every revision, oldest first; files begin with theirs, which are counted upwards."""
    return sorted(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


async def found(database: Database) -> str:
    """The revision of a database; empty when it was never migrated. Raises what its driver raises."""
    try:
        async with database.engine.connect() as connection:
            return str(
                (await connection.execute(text("SELECT version_num FROM alembic_version"))).scalar() or ""
            )
    except SQLAlchemyError:
        async with database.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return ""


async def missing(database: Database, metadata: MetaData) -> list[str]:
    """Tables, and columns as `table.column`, that the code knows and the database has not; mostly none."""

    def look(connection: Connection) -> list[str]:
        there = {
            (table, column["name"])
            for (_schema, table), columns in inspect(connection).get_multi_columns().items()
            for column in columns
        }
        tables = {table for table, _ in there}
        return sorted(
            table.name if table.name not in tables else f"{table.name}.{column.name}"
            for table in metadata.tables.values()
            for column in table.columns
            if (table.name, column.name) not in there
        )

    async with database.engine.connect() as connection:
        return list(dict.fromkeys(await connection.run_sync(look)))
