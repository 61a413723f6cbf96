"""Everything in one file, taken while all of it runs.

    durable.sqlite, then call2me.sqlite (or pg_dump), then the files ──► one tar, whole or not there at all

In this order: durable work that the snapshot does not know as done is done again, which is harmless; a file
that the database knows is there. Files that are gone by the time they are read are left out, as in a crash.
"""

import contextlib
import hashlib
import io
import json
import os
import shutil
import sqlite3
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url

from api.db.columns import now
from api.settings import Settings
from api.up.errors import CannotStart
from api.version import version

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE, DURABLE, DUMP, SECRETS = "call2me.sqlite", "durable.sqlite", "call2me.pgdump", "secrets.json"
FOLDERS = ("recordings", "knowledge", "functions")
_CHUNK = 1024 * 1024
DUMP_SECONDS = 4 * 3600


def take(settings: Settings, target: Path) -> str:
    """Write a backup; a sentence about it. Raises `CannotStart`; then there is no file."""
    if target.exists():
        raise CannotStart(f"{target} is there already; name another file.")
    draft = target.with_name(f"{target.name}.{os.getpid()}.part")
    try:
        # Beside the target, where there must be room anyway; the disk of the data may be full.
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=target.parent) as folder:
            snapshots = Path(folder)
            kind = _snapshot(settings, snapshots)
            with _private(draft) as written, tarfile.open(fileobj=written, mode="w|") as tar:
                sums = dict(_added(tar, _sources(settings, snapshots)))
                _add_manifest(tar, {"format": FORMAT, "version": version(), "database": kind, "files": sums})
        draft.rename(target)
        _sync_folder(target.parent)
    except OSError as error:
        raise CannotStart(
            f"The backup could not be written to {target}: {error.strerror or error}."
        ) from error
    except sqlite3.Error as error:
        raise CannotStart(f"The backup could not be written to {target}: {error}.") from error
    finally:
        draft.unlink(missing_ok=True)
    apart = f" Recordings and knowledge are in {settings.bucket}, not in it." if settings.bucket else ""
    keys = "" if settings.secrets.are_encryption_keys_kept else " Keep CALL2ME_ENCRYPTION_KEYS with it."
    size = target.stat().st_size / 1_000_000
    holds = "It holds every secret: keep it as you would a key."
    return f"{target}: {len(sums)} files, {size:.1f} MB. {holds}{keys}{apart}"


def is_postgres(settings: Settings) -> bool:
    """True where the database is not a file of ours."""
    return settings.database_url.startswith("postgresql")


def sqlite_file(settings: Settings) -> Path:
    """The database's file."""
    return Path(make_url(settings.database_url).database or "")


def postgres(settings: Settings, program: str, *arguments: str) -> None:
    """Run one of PostgreSQL's programs on our database; the password goes through the environment."""
    if (found := shutil.which(program)) is None:
        raise CannotStart(f"{program} is not installed; it comes with PostgreSQL's client.")
    url = make_url(settings.database_url)
    environment = {**os.environ, **({"PGPASSWORD": url.password} if url.password else {})}
    shown = URL.create("postgresql", url.username, None, url.host, url.port, url.database)
    done = subprocess.run(
        [found, "--dbname", shown.render_as_string(hide_password=False), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=DUMP_SECONDS,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CannotStart(f"{program} failed: {said}")


def _snapshot(settings: Settings, folder: Path) -> str:
    if is_postgres(settings):
        postgres(settings, "pg_dump", "--format=custom", "--no-owner", "--file", str(folder / DUMP))
        return "postgresql"
    for name, source in ((DURABLE, settings.home / DURABLE), (DATABASE, sqlite_file(settings))):
        if source.exists():
            _copy_sqlite(source, folder / name)
    if not (folder / DATABASE).exists():
        raise CannotStart("There is no database yet: nothing to back up.")
    return "sqlite"


def _copy_sqlite(source: Path, target: Path) -> None:
    """SQLite's own online backup: one state of it, whoever writes meanwhile."""
    with (
        contextlib.closing(sqlite3.connect(source)) as read,
        contextlib.closing(sqlite3.connect(target)) as copy,
    ):
        read.execute("PRAGMA busy_timeout=10000")
        read.backup(copy)  # in one step: a reader of WAL keeps no writer from writing


def _sources(settings: Settings, snapshots: Path) -> Iterator[tuple[str, Path]]:
    yield SECRETS, settings.home / SECRETS
    for path in sorted(snapshots.iterdir()):
        yield path.name, path
    for name in FOLDERS:
        folder = settings.functions if name == "functions" else settings.home / name
        for path in sorted(folder.rglob("*")):
            # `.part` without a dot before it is what was read of a document.
            is_draft = path.name.startswith(".") or path.name.endswith(".tmp") or "__pycache__" in path.parts
            if path.is_file() and not path.is_symlink() and not is_draft:
                yield f"{name}/{path.relative_to(folder).as_posix()}", path


def _added(tar: tarfile.TarFile, sources: Iterator[tuple[str, Path]]) -> Iterator[tuple[str, str]]:
    """Each file and its SHA-256; one that is gone by now is left out."""
    for name, path in sources:
        try:
            with path.open("rb") as read:
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = os.fstat(read.fileno()).st_size, 0o600
                entry.mtime = int(os.fstat(read.fileno()).st_mtime)
                counted = _Counted(read, entry.size)
                tar.addfile(entry, counted)
        except FileNotFoundError:
            continue
        yield name, counted.sha256.hexdigest()


class _Counted:
    """A file as it is read into the archive: no longer than it was, and summed on the way."""

    def __init__(self, file: Any, size: int) -> None:
        self._file, self._left, self.sha256 = file, size, hashlib.sha256()

    def read(self, size: int = _CHUNK) -> bytes:
        """Some of it; a file that has become shorter is filled with zeros, as a torn write would be."""
        wanted = min(size, self._left)
        piece: bytes = self._file.read(wanted)
        piece += b"\0" * (wanted - len(piece))
        self._left -= len(piece)
        self.sha256.update(piece)
        return piece


def _add_manifest(tar: tarfile.TarFile, manifest: dict[str, Any]) -> None:
    raw = json.dumps({**manifest, "taken_at": now().isoformat()}, indent=1).encode()
    entry = tarfile.TarInfo(MANIFEST)
    entry.size, entry.mode = len(raw), 0o600
    tar.addfile(entry, io.BytesIO(raw))


@contextlib.contextmanager
def _private(path: Path) -> Iterator[Any]:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
