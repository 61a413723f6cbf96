"""`call2me secrets rotate`: a new key first, then every secret under it, then perhaps no old key."""

from sqlalchemy import MetaData

from api.db.engine import Database
from api.db.rotation import reseal
from api.db.vault import Unreadable, Vault
from api.secret_keys import fresh_encryption_key, keep_encryption_keys, kept_encryption_keys
from api.settings import Settings
from api.up.errors import CannotStart
from api.up.prepare import in_database


def rotate(settings: Settings, tables: MetaData, *, forget_old: bool) -> str:
    """Do it; returns what was done, in a sentence. Interrupted anywhere, it can be run again."""
    if settings.secrets.are_encryption_keys_kept and not forget_old:
        keep_encryption_keys(settings.home, lambda keys: (fresh_encryption_key(), *keys))
    vault = Vault(kept_encryption_keys(settings.home, settings.secrets))

    async def run(database: Database) -> int:
        return await reseal(database, tables, vault)

    try:
        done = in_database(settings, run)
    except Unreadable as error:
        raise CannotStart(str(error)) from None
    if forget_old and settings.secrets.are_encryption_keys_kept:
        keep_encryption_keys(settings.home, lambda keys: keys[:1])
    return f"{done} secret{'' if done == 1 else 's'} sealed with the newest key."
