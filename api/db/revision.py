"""The revision that a database is at, and the one that this code was written for; without Alembic."""

from pathlib import Path

from sqlalchemy import text
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
