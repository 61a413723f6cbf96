"""What the command line does with revisions: say where a database is, and take it back to an older one."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from alembic.util import CommandError
from sqlalchemy import MetaData
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from api.db import migrate, revision
from api.db.engine import Database
from api.durable import slots
from api.settings import Settings
from api.up.errors import CannotStart
from api.up.revision import made_before


@contextmanager
def told() -> Iterator[None]:
    """What goes wrong with tables inside is a sentence. All of a change was taken back then."""
    try:
        yield
    except DBAPIError as error:
        raise CannotStart(f"The database could not be changed ({error.orig}); it is as it was.") from error
    except migrate.OrphanedRows as orphans:
        raise CannotStart(
            f"{orphans} The database is as it was. Take a backup (`call2me backup FILE`), delete those rows, "
            "and try again."
        ) from orphans
    except CommandError as error:
        raise CannotStart(
            f"The database is as it was: its revision is not one of this version of call2me ({error}). Use "
            "the version that it was last used with, or a newer one."
        ) from error
    except TimeoutError as error:
        raise CannotStart(
            "The database did not finish in time; it is as it was. Stop whatever else uses it, and try again."
        ) from error


def status(settings: Settings, metadata: MetaData) -> tuple[bool, str]:
    """Whether this version, with these tables, can use the database as it is; and a sentence about it."""
    at, newest = _revision(settings), revision.newest()
    if at != newest:
        how = "of a newer version of call2me" if at > newest else "run `call2me db upgrade`"
        return False, f"The database is at revision {at or 'none'} of {newest}; {how}."
    with told():
        differs = asyncio.run(migrate.differences(settings.database_url, metadata))
    if lacks := asyncio.run(_lacks(settings, metadata)):
        return False, made_before(at, lacks)
    if differs:
        return False, (
            f"The database says that it is at revision {at}, but its tables are others ({len(differs)} "
            "differences): it was made by a version from before that revision was finished."
        )
    return True, f"The database is at revision {at}, the newest, and its tables are right."


def downgrade(settings: Settings, wanted: str, *, loses_data: bool) -> str:
    """Go back to an older revision; a sentence about it. Raises `CannotStart`: then nothing was changed."""
    known = [*revision.known(), migrate.NOTHING]
    if wanted not in known:
        raise CannotStart(f"There is no revision {wanted}; there are {', '.join(known)}.")
    slot = slots.take(settings.run)
    try:
        if not slot.executor_id.endswith("-0"):
            raise CannotStart("Something runs on this data folder; stop it first (Ctrl-C, or its service).")
        at = _revision(settings)
        target = "" if wanted == migrate.NOTHING else wanted
        if at > revision.newest():
            raise CannotStart(
                f"The database is at revision {at}, of a newer version of call2me; that one takes it back."
            )
        if at <= target:
            raise CannotStart(f"The database is at revision {at or 'none'}, which is not newer.")
        with told():
            losses = asyncio.run(migrate.downgrade(settings.database_url, wanted, loses_data=loses_data))
    except migrate.WouldLose as would:
        raise CannotStart(
            f"Going back to {wanted} would lose {would}. Nothing was changed. Take a backup "
            "(`call2me backup FILE`), then say --lose-data."
        ) from None
    finally:
        slot.release()
    lost = f" Lost: {'; '.join(map(str, losses))}." if losses else ""
    return f"The database is at revision {target or 'none'}.{lost}"


async def _lacks(settings: Settings, metadata: MetaData) -> list[str]:
    database = Database(settings.database_url)
    try:
        return await revision.missing(database, metadata)
    finally:
        await database.close()


def _revision(settings: Settings) -> str:
    async def ask() -> str:
        database = Database(settings.database_url)
        try:
            return await revision.found(database)
        except (SQLAlchemyError, OSError) as error:
            raise CannotStart(
                f"The database does not answer ({type(error).__name__}); is CALL2ME_DATABASE_URL right?"
            ) from error
        finally:
            await database.close()

    return asyncio.run(ask())
