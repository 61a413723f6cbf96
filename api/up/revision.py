"""Whether a database is at the revision that this code was written for; asked without loading Alembic."""

from sqlalchemy.exc import SQLAlchemyError

from api.db.engine import Database
from api.db.revision import found, newest
from api.settings import Settings
from api.up.errors import CannotStart


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
            f"The database is at revision {at}, of a newer version of call2me; install that version, or take "
            f"the database back with it (`call2me db downgrade {newest()}`)."
        )
    if at != newest():
        raise CannotStart(
            f"The database is at revision {at or 'none'} of {newest()}; run `call2me migrate` first."
        )
