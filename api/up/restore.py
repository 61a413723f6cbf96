"""A backup, put back: read and proved whole first, then moved into place, then brought to this version.

tar ──► run/restore-…  (every sum right? the database whole?)  ──► what is there: before-restore-…
                                                                └► what was read: into its place
"""

import asyncio
import contextlib
import hashlib
import json
import shutil
import sqlite3
import tarfile
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

from api.db import revision
from api.db.columns import now
from api.db.engine import Database
from api.durable import slots
from api.settings import Settings
from api.tables import load
from api.up import backup
from api.up.errors import CannotStart
from api.up.money import check
from api.up.prepare import migrate
from api.up.revision import made_before

_TOP = {backup.MANIFEST, backup.SECRETS, backup.DATABASE, backup.DURABLE, backup.DUMP}
_CHUNK = 1024 * 1024
MAX_MANIFEST_BYTES = 256 * 1024 * 1024


def put_back(settings: Settings, source: Path, *, replaces: bool) -> str:
    """Restore; a sentence about it. Raises `CannotStart`, and then everything is as it was.

    `replaces` allows it where there is data already: that is moved aside, or, in PostgreSQL, dropped.
    """
    slot = slots.take(settings.run)
    try:
        if not slot.executor_id.endswith("-0"):
            raise CannotStart("Something runs on this data folder; stop it first (Ctrl-C, or its service).")
        if _has_data(settings) and not replaces:
            raise CannotStart(
                "There is data here already. With --replace it is moved aside, in PostgreSQL dropped."
            )
        with tempfile.TemporaryDirectory(prefix="restore-", dir=settings.home) as folder:
            manifest = _read(source, Path(folder))
            _prove(settings, Path(folder), manifest)
            aside = _move(settings, Path(folder), manifest)
    finally:
        slot.release()
    found = Settings.load()  # the secrets came with the backup
    at = migrate(found)
    if wrong := check(found):
        raise CannotStart("Restored, but the book is wrong: " + "; ".join(wrong[:3]))
    kept = f" What was here is in {aside}." if aside else ""
    return (
        f"Restored {len(manifest['files'])} files of {manifest['taken_at']} (version {manifest['version']}); "
        f"the database is at {at}, and the book is right.{kept}"
    )


def _has_data(settings: Settings) -> bool:
    if backup.is_postgres(settings):
        return True  # whoever restores into one says so: its tables are dropped
    return backup.sqlite_file(settings).exists()


def _read(source: Path, folder: Path) -> dict[str, Any]:
    """Unpack into a folder, and compare every sum. Nothing of it is believed before that."""
    sums: dict[str, str] = {}
    try:
        with tarfile.open(source, "r|*") as tar:
            for entry in tar:
                name = _allowed(entry)
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                read = tar.extractfile(entry)
                if read is None:
                    raise CannotStart("The backup holds something that is no file.")
                sums[name] = _copied(read, path)
    except (tarfile.TarError, EOFError) as error:
        raise CannotStart(f"{source} cannot be read as a backup: {error}.") from error
    except OSError as error:
        raise CannotStart(f"{source} cannot be read: {error.strerror or error}.") from error
    try:
        manifest: dict[str, Any] = json.loads((folder / backup.MANIFEST).read_text("utf-8"))
        is_known = manifest["format"] == backup.FORMAT and isinstance(manifest["files"], dict)
        told = (manifest["database"], manifest["taken_at"], manifest["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CannotStart(f"{source} is not a whole backup: its manifest is missing.") from error
    if not is_known or not all(isinstance(one, str) for one in told):
        raise CannotStart(f"{source} is of a format that this version does not know.")
    del sums[backup.MANIFEST]
    if sums != manifest["files"]:
        differs = sorted(
            name for name in {*sums, *manifest["files"]} if sums.get(name) != manifest["files"].get(name)
        )
        raise CannotStart(f"{source} is damaged: {differs[0]} is not what was backed up.")
    return manifest


def _allowed(entry: tarfile.TarInfo) -> str:
    name = PurePosixPath(entry.name)
    is_ours = entry.name in _TOP or (len(name.parts) > 1 and name.parts[0] in backup.FOLDERS)
    if not entry.isfile() or name.is_absolute() or ".." in name.parts or not is_ours:
        raise CannotStart(f"The backup holds {entry.name[:100]!r}, which is none of ours.")
    return str(name)


def _copied(read: Any, path: Path) -> str:
    sha256 = hashlib.sha256()
    with path.open("xb") as written:
        path.chmod(0o600)
        while piece := read.read(_CHUNK):
            sha256.update(piece)
            written.write(piece)
    return sha256.hexdigest()


def _prove(settings: Settings, folder: Path, manifest: dict[str, Any]) -> None:
    """The backup is of the same kind of database, and that is whole."""
    kind = "postgresql" if backup.is_postgres(settings) else "sqlite"
    if manifest["database"] != kind:
        raise CannotStart(f"The backup is of {manifest['database']}, and CALL2ME_DATABASE_URL names {kind}.")
    if not (folder / (backup.DUMP if kind == "postgresql" else backup.DATABASE)).exists():
        raise CannotStart("The backup has no database in it.")
    for name in (backup.DATABASE, backup.DURABLE):
        if (path := folder / name).exists():
            with contextlib.closing(sqlite3.connect(path)) as connection:
                try:
                    said = connection.execute("PRAGMA integrity_check").fetchone()[0]
                except sqlite3.DatabaseError as error:
                    said = str(error)
            if said != "ok":
                raise CannotStart(f"{name} in the backup is damaged: {said[:200]}.")
    if kind == "sqlite":
        asyncio.run(_prove_tables(folder / backup.DATABASE))


async def _prove_tables(file: Path) -> None:
    """Before anything is moved: an older revision is brought to this version, tables of none cannot be."""
    database = Database(f"sqlite+aiosqlite:///{file}")
    try:
        if (at := await revision.found(database)) > revision.newest():
            raise CannotStart(f"The backup is of a newer version of call2me (revision {at}).")
        if at == revision.newest() and (lacks := await revision.missing(database, load())):
            raise CannotStart(f"The backup cannot be used. {made_before(at, lacks)}")
    finally:
        await database.close()


def _move(settings: Settings, folder: Path, manifest: dict[str, Any]) -> str:
    """Move what is there aside, and what was read into its place; where the first went."""
    aside = settings.home / f"before-restore-{now():%Y%m%d-%H%M%S}"
    if manifest["database"] == "postgresql":
        backup.postgres(
            settings, "pg_restore", "--clean", "--if-exists", "--no-owner", "--single-transaction",
            str(folder / backup.DUMP),
        )  # fmt: skip
    places = {
        backup.SECRETS: settings.home / backup.SECRETS,
        backup.DURABLE: settings.home / backup.DURABLE,
        **({} if backup.is_postgres(settings) else {backup.DATABASE: backup.sqlite_file(settings)}),
        **{name: settings.home / name for name in backup.FOLDERS if name != "functions"},
        "functions": settings.functions,
    }
    for place in places.values():
        # With a database go the files that SQLite keeps beside it.
        for old in (place, place.with_name(f"{place.name}-wal"), place.with_name(f"{place.name}-shm")):
            if old.exists() and (not old.is_dir() or any(old.iterdir())):
                aside.mkdir(mode=0o700, exist_ok=True)
                shutil.move(old, aside / old.name)
    for name, place in places.items():
        if (read := folder / name).exists():
            if place.is_dir():
                place.rmdir()
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(read, place)
        elif name in backup.FOLDERS:
            place.mkdir(mode=0o700, exist_ok=True)
    return str(aside) if aside.exists() else ""
