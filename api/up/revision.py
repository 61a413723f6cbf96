"""Whether a database is at the revision that this code was written for; asked without loading Alembic."""

from pathlib import Path

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

import api.db
from api.db.engine import Database
from api.settings import Settings
from api.up.errors import CannotStart

_VERSIONS = Path(api.db.__file__).parent / "migrations" / "versions"


def newest() -> str:
    """The last revision; files begin with theirs, which are counted upwards."""
    return max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


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


async def require_newest(settings: Settings) -> None:
    """Raise `CannotStart` unless the database answers and is at the newest revision."""
    database = Database(settings.database_url)
    try:
        at = await found(database)
    except (SQLAlchemyError, OSError) as error:
        raise CannotStart(
            f"The database does not answer ({type(error).__name__}); is CALL2ME_DATABASE_URL right?"
        ) from error
    finally:
        await database.close()
    if at > newest():
        raise CannotStart(
            f"The database is at revision {at}, of a newer version of call2me; install that version."
        )
    if at != newest():
        raise CannotStart(
            f"The database is at revision {at or 'none'} of {newest()}; run `call2me migrate` first."
        )
