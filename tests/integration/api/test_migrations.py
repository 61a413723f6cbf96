"""Databases with rows in every table, taken up and down through every revision, on both engines.

To the revisions that there are a made-up one is added, which does to every table what a later one may do.
"""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from alembic.util import CommandError

from api import tables
from api.db import migrate, revision
from api.db.engine import Database
from api.db.vault import Vault
from api.secret_keys import fresh_encryption_key
from tests.support.rows import fill, rows, shared

HEAD = revision.newest()
NEXT = f"{int(HEAD) + 1:04}"
HEADING = f"""
import sqlalchemy as sa
from alembic import op

revision, down_revision, branch_labels, depends_on = {NEXT!r}, {HEAD!r}, None, None
"""
MADE_UP = """
def each():
    for name in sa.inspect(op.get_bind()).get_table_names():
        if name not in {"alembic_version", "made_up"}:
            with op.batch_alter_table(name) as batch:
                yield batch


def upgrade():
    for batch in each():
        batch.add_column(sa.Column("made_up", sa.String(), nullable=True))
    op.execute("UPDATE agents SET made_up = name")
    op.create_table("made_up", sa.Column("id", sa.Integer(), primary_key=True))
    op.execute("INSERT INTO made_up (id) VALUES (1)")


def downgrade():
    op.drop_table("made_up")
    for batch in each():
        batch.drop_column("made_up")  # SQLite copies the whole table
"""
BROKEN = """
def upgrade():
    op.create_table("made_up", sa.Column("id", sa.Integer(), primary_key=True))
    with op.batch_alter_table("users") as batch:
        batch.drop_column("full_name")
    op.execute("SELECT nothing FROM nowhere")


def downgrade():
    op.drop_table("made_up")
"""
CARELESS = """
def upgrade():
    op.execute("DELETE FROM users")


def downgrade():
    pass
"""


def versions_with(folder: Path, body: str) -> Path:
    """A folder of all revisions and one more."""
    shutil.copytree(migrate.VERSIONS, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / f"{NEXT}_made_up.py").write_text(HEADING + body)
    return folder


@pytest.fixture
async def filled(database_url: str) -> AsyncIterator[Database]:
    """At the newest revision, with a row in every table."""
    await migrate.upgrade(database_url)
    database = Database(database_url, Vault([fresh_encryption_key()]))
    try:
        await fill(database, tables.load())
        yield database
    finally:
        await database.close()


async def test_rows_of_every_table_come_up_and_go_down_and_come_up_again(
    filled: Database, database_url: str, tmp_path: Path
) -> None:
    versions = versions_with(tmp_path / "versions", MADE_UP)
    before = await rows(filled)
    assert {name: len(of) for name, of in before.items()} == dict.fromkeys(tables.load().tables, 1)

    await migrate.upgrade(database_url, versions=versions)
    up = await rows(filled)
    assert shared(up, before) == (before, before), "what an older version kept is as it was"
    assert up["agents"][0]["made_up"] == before["agents"][0]["name"]

    with pytest.raises(migrate.WouldLose) as would:
        await migrate.downgrade(database_url, HEAD, versions=versions)
    assert str(would.value) == "the table made_up (1 row); agents.made_up (1 row)"
    assert await migrate.current(database_url) == NEXT
    assert await rows(filled) == up, "a refusal changes nothing"

    lost = await migrate.downgrade(database_url, HEAD, loses_data=True, versions=versions)
    assert [str(one) for one in lost] == ["the table made_up (1 row)", "agents.made_up (1 row)"]
    assert await migrate.differences(database_url, tables.load()) == []
    assert await rows(filled) == before
    await migrate.upgrade(database_url, versions=versions)
    assert await rows(filled) == up


async def test_every_revision_goes_down_and_up_again_with_rows(filled: Database, database_url: str) -> None:
    known = [migrate.NOTHING, *revision.known()]
    at_first = await rows(filled)
    for older, newer in zip(reversed(known[:-1]), reversed(known[1:]), strict=True):
        before = await rows(filled)
        with pytest.raises(migrate.WouldLose):
            await migrate.downgrade(database_url, older)
        assert await migrate.current(database_url) == newer
        await migrate.downgrade(database_url, older, loses_data=True)
        kept, was = shared(await rows(filled), before)
        assert kept == was, f"from {newer} to {older}"
    assert await rows(filled) == {}, "before the first revision there is nothing"
    await migrate.upgrade(database_url)
    assert (await rows(filled)).keys() == at_first.keys()
    assert await migrate.differences(database_url, tables.load()) == []
    with pytest.raises(CommandError):
        await migrate.downgrade(database_url, "4711")
    assert await migrate.downgrade(database_url, migrate.NOTHING) == [], "empty tables are no loss"


async def test_a_revision_that_fails_half_way_leaves_everything_as_it_was(
    filled: Database, database_url: str, tmp_path: Path
) -> None:
    before = await rows(filled)
    for number, body in enumerate((BROKEN, CARELESS)):
        if body == CARELESS and not filled.is_sqlite:
            continue  # PostgreSQL lets whatever referred to them go with them, as the tables say
        with pytest.raises(Exception, match=r"nowhere|gone"):
            await migrate.upgrade(database_url, versions=versions_with(tmp_path / str(number), body))
        assert await migrate.current(database_url) == HEAD
        assert await rows(filled) == before
    assert await migrate.differences(database_url, tables.load()) == []
