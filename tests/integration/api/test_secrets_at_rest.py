"""Secrets in the database: sealed there, plain in the row, given new keys without a moment unreadable."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr
from sqlalchemy import Column, Integer, MetaData, String, Table, Text, insert, select, type_coerce
from sqlalchemy.exc import StatementError

from api.cli import main
from api.db.engine import Database
from api.db.rotation import reseal
from api.db.sealed import SealedJson, SealedText
from api.db.vault import Unreadable, Vault
from api.secret_keys import fresh_encryption_key, keep_encryption_keys
from api.settings import Settings

METADATA = MetaData()
TRUNKS = Table(
    "trunks",
    METADATA,
    Column("owner", String(20), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("password", SealedText, nullable=True),
    Column("headers", SealedJson, nullable=True),
)


async def made(url: str, vault: Vault | None, rows: int = 1) -> Database:
    database = Database(url, vault)
    async with database.engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
        for number in range(rows):
            values = {"password": SecretStr(f"swordfish {number}"), "headers": {"Authorization": "Bearer b"}}
            await connection.execute(insert(TRUNKS).values(owner="o", number=number, **values))
    return database


async def passwords(database: Database) -> list[str]:
    async with database.engine.connect() as connection:
        found = await connection.execute(select(TRUNKS.c.password).order_by(TRUNKS.c.number))
        return [password.get_secret_value() for (password,) in found]


async def stored(database: Database) -> list[str]:
    async with database.engine.connect() as connection:
        raw = [type_coerce(TRUNKS.c[name], Text) for name in ("password", "headers")]
        return [text for row in await connection.execute(select(*raw)) for text in row]


async def test_what_is_stored_tells_nothing_and_what_is_read_is_plain(database_url: str) -> None:
    database = await made(database_url, Vault([fresh_encryption_key()]))
    assert await passwords(database) == ["swordfish 0"]
    assert not any("swordfish" in text or "Bearer" in text for text in await stored(database))
    async with database.engine.connect() as connection:
        (headers,) = (await connection.execute(select(TRUNKS.c.headers))).scalars()
        (password,) = (await connection.execute(select(TRUNKS.c.password))).scalars()
    assert headers == {"Authorization": "Bearer b"}
    assert "swordfish" not in repr(password)
    await database.close()


async def test_a_string_that_was_never_secret_is_refused(database_url: str) -> None:
    database = await made(database_url, Vault([fresh_encryption_key()]), rows=0)
    async with database.engine.begin() as connection:
        with pytest.raises(StatementError, match="takes a SecretStr"):
            await connection.execute(insert(TRUNKS).values(owner="o", number=1, password="bare"))
    await database.close()


async def test_every_row_gets_the_new_key_and_stays_readable_with_either(database_url: str) -> None:
    old, new = fresh_encryption_key(), fresh_encryption_key()
    database = await made(database_url, Vault([old]), rows=450)
    both = Vault([new, old])
    assert await reseal(database, METADATA, both) == 900
    await database.close()
    only_new = Database(database_url, Vault([new]))
    assert (await passwords(only_new))[449] == "swordfish 449"
    assert len(await passwords(only_new)) == 450
    await only_new.close()
    only_old = Database(database_url, Vault([old]))
    with pytest.raises(Unreadable, match="put the key back"):
        await passwords(only_old)
    await only_old.close()


def test_a_running_process_finds_the_key_that_another_added(tmp_path: Path) -> None:
    settings = Settings.load({"CALL2ME_HOME": str(tmp_path)})
    running = Vault.of(settings)
    keep_encryption_keys(settings.home, lambda keys: (fresh_encryption_key(), *keys))
    sealed = Vault.of(Settings.load({"CALL2ME_HOME": str(tmp_path)})).seal("new")
    assert running.open(sealed) == "new"


def test_the_command_rotates_and_forgets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALL2ME_HOME", str(tmp_path))
    run = CliRunner().invoke
    assert run(main, ["migrate"]).exit_code == 0
    (before,) = keys(tmp_path)
    assert "sealed with the newest key" in run(main, ["secrets", "rotate"]).output
    newest, older = keys(tmp_path)
    assert older == before
    assert run(main, ["secrets", "rotate", "--forget-old"]).exit_code == 0
    assert keys(tmp_path) == [newest]
    assert (tmp_path / "secrets.json").stat().st_mode & 0o077 == 0


def test_secrets_of_an_older_release_get_a_key_and_lose_nothing(tmp_path: Path) -> None:
    Settings.load({"CALL2ME_HOME": str(tmp_path)})
    path = tmp_path / "secrets.json"
    kept = json.loads(path.read_text())
    del kept["encryption_keys"]
    path.write_text(json.dumps(kept))
    first = Settings.load({"CALL2ME_HOME": str(tmp_path)}).secrets
    assert first == Settings.load({"CALL2ME_HOME": str(tmp_path)}).secrets
    assert first.jwt == kept["jwt_secret"]


def keys(home: Path) -> list[str]:
    found: list[str] = json.loads((home / "secrets.json").read_text())["encryption_keys"]
    return found
