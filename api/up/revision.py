"""Whether a database is at the revision that this code was written for; asked without loading Alembic."""

from sqlalchemy.exc import SQLAlchemyError

from api.db.engine import Database
from api.db.revision import found, missing, newest
from api.settings import Settings
from api.tables import load
from api.up.errors import CannotStart


async def require_newest(settings: Settings) -> None:
    """Raise `CannotStart` unless the database answers and is at the newest revision, all of it."""
    database = Database(settings.database_url)
    try:
        at = await found(database)
        lacks = await missing(database, load()) if at == newest() else []
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
    if lacks:
        raise CannotStart(made_before(at, lacks))


def made_before(at: str, lacks: list[str]) -> str:
    """What is to be done with a database that has not all of the revision that it says it is at."""
    names = ", ".join(lacks[:3]) + (f" and {len(lacks) - 3} more" if len(lacks) > 3 else "")
    return (
        f"The database says that it is at revision {at}, but it lacks {names}: a version of call2me made it "
        "from before that revision was finished, and nothing brings it up to date. Go on with that version, "
        "or begin with a new database (move this one away, or name another in CALL2ME_DATABASE_URL)."
    )
