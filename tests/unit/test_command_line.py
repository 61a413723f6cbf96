"""The commands that need nothing running, as a person types them."""

import contextlib
import json
import socket
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from api.db import migrate, revision
from api.durable import slots
from tests.support.stack import COMMAND, ROOT, environment


def call2me(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [*COMMAND, *arguments],
        env=environment(home, **settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done


@pytest.mark.parametrize("arguments", [["--help"], ["status"], ["livekit", "--help"]])
def test_help_and_status_answer_at_once_and_load_no_database(tmp_path: Path, arguments: list[str]) -> None:
    call2me(tmp_path, *arguments)  # bytecode, where it may be written
    begun = time.perf_counter()
    call2me(tmp_path, *arguments)
    assert time.perf_counter() - begun < 1.5
    source = f"import sys\nfrom api.cli import main\nmain({arguments!r}, standalone_mode=False)"
    loaded = subprocess.run(
        [COMMAND[0], "-X", "importtime", "-c", source],
        env=environment(tmp_path),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    ).stderr
    assert "click.core" in loaded
    assert not any(name in loaded for name in ("sqlalchemy", "aiohttp", "livekit.", "numpy", "pydantic"))


@pytest.mark.parametrize(
    "arguments", [["serve"], ["user", "link"], ["user", "add", "a@example.com", "--password", "long enough"]]
)
def test_a_database_that_was_never_migrated_is_one_sentence(tmp_path: Path, arguments: list[str]) -> None:
    done = call2me(tmp_path, *arguments, CALL2ME_PORT="0")
    assert done.returncode == 1
    assert done.stderr == "Error: The database is at revision none of 0001; run `call2me migrate` first.\n"


def test_users_are_added_once_and_with_a_proper_address_and_password(tmp_path: Path) -> None:
    assert call2me(tmp_path, "migrate").stdout == f"The database is at revision {revision.newest()}.\n"
    assert "There is no user yet" in call2me(tmp_path, "user", "link").stderr
    added = call2me(tmp_path, "user", "add", "ada@example.com", "--name", "Ada", "--password", "")
    assert "Added ada@example.com." in added.stdout
    assert "Password: " in added.stdout
    again = call2me(tmp_path, "user", "add", "Ada@example.com", "--password", "long enough")
    assert again.returncode == 1
    assert "already registered" in again.stderr
    assert "email: is not an email address" in call2me(tmp_path, "user", "add", "x", "--password", "").stderr
    short = call2me(tmp_path, "user", "add", "b@example.com", "--password", "short")
    assert short.returncode == 1
    assert "password: " in short.stderr
    assert ".." not in call2me(tmp_path, "user", "add", "x", "--password", "long enough").stderr
    assert "#link=once_" in call2me(tmp_path, "user", "link").stdout
    assert "no user nobody@example.com" in call2me(tmp_path, "user", "link", "nobody@example.com").stderr


def test_a_database_that_refuses_is_one_sentence(tmp_path: Path) -> None:
    call2me(tmp_path, "migrate")
    with contextlib.closing(sqlite3.connect(tmp_path / "call2me.sqlite")) as database:
        database.execute(
            "CREATE TRIGGER x BEFORE INSERT ON one_time_links BEGIN SELECT RAISE(FAIL, 'no'); END"
        )
    call2me(tmp_path, "user", "add", "ada@example.com", "--password", "long enough")
    done = call2me(tmp_path, "user", "link")
    assert done.returncode == 1
    assert done.stderr == "Error: The database cannot be used now (no).\n"


def test_a_database_from_before_its_revision_was_finished_is_told_by_everything(tmp_path: Path) -> None:
    call2me(tmp_path, "migrate")
    with contextlib.closing(sqlite3.connect(tmp_path / "call2me.sqlite")) as database:
        database.execute("ALTER TABLE calls DROP COLUMN forwarded_to")
        database.execute("DROP TABLE sms_messages")
    for command in (["serve"], ["migrate"], ["db", "status"]):
        done = call2me(tmp_path, *command, CALL2ME_PORT="0")
        assert done.returncode == 1, command
        said = done.stdout + done.stderr
        assert (
            "it lacks calls.forwarded_to, sms_messages: a version of call2me made it from before that" in said
        )
        assert "begin with a new database" in said
        assert "Traceback" not in said


def test_a_port_that_is_taken_is_one_sentence_of_the_api_alone_too(tmp_path: Path) -> None:
    call2me(tmp_path, "migrate")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = call2me(tmp_path, "serve", CALL2ME_PORT=port)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: TCP port {port} is taken")
    assert done.stderr.count("\n") == 1


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    call2me(tmp_path, "migrate")
    subprocess.run(
        [COMMAND[0], "-c", "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); "
         "c.execute(\"UPDATE alembic_version SET version_num = '9999'\"); c.commit()",
         str(tmp_path / "call2me.sqlite")],
        check=True,
    )  # fmt: skip
    done = call2me(tmp_path, "serve", CALL2ME_PORT="0")
    assert done.returncode == 1
    assert "of a newer version of call2me" in done.stderr
    done = call2me(tmp_path, "migrate")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "its revision is not one of this version of call2me" in done.stderr


def test_the_newest_revision_is_the_one_alembic_knows() -> None:
    scripts = ScriptDirectory(str(Path(migrate.__file__).with_name("migrations")))
    assert revision.newest() == scripts.get_current_head()


def test_the_openapi_document_is_printed_without_a_database(tmp_path: Path) -> None:
    document = json.loads(call2me(tmp_path, "openapi").stdout)
    assert document["openapi"].startswith("3.1")
    assert "/v1/agents" in document["paths"]
    assert not (tmp_path / "call2me.sqlite").exists()


def test_the_worker_is_another_program(tmp_path: Path) -> None:
    assert "python -m worker" in call2me(tmp_path, "worker", "--help").stdout


@pytest.mark.parametrize("name", ["CALL2ME_PORT", "CALL2ME_LOG_FORMAT"])
def test_a_setting_that_cannot_be_used_is_one_sentence(tmp_path: Path, name: str) -> None:
    done = call2me(tmp_path, "status", **{name: "nonsense"})
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {name} must be ")


def test_a_database_says_where_it_is_and_does_not_go_back_with_what_is_in_it(tmp_path: Path) -> None:
    fresh = call2me(tmp_path, "db", "status")
    assert (fresh.returncode, "at revision none of 0001" in fresh.stdout) == (1, True)
    assert call2me(tmp_path, "db", "upgrade").stdout == "The database is at revision 0001.\n"
    assert call2me(tmp_path, "db", "upgrade").returncode == 0
    right = call2me(tmp_path, "db", "status")
    assert (right.returncode, right.stdout) == (
        0,
        "The database is at revision 0001, the newest, and its tables are right.\n",
    )
    assert call2me(tmp_path, "user", "add", "a@example.com", "--password", "long enough").returncode == 0
    refused = call2me(tmp_path, "db", "downgrade", "base")
    assert refused.returncode == 1
    assert "would lose the table users (1 row). Nothing was changed." in refused.stderr
    assert "there are 0001, base" in call2me(tmp_path, "db", "downgrade", "0815").stderr
    assert "which is not newer" in call2me(tmp_path, "db", "downgrade", "0001").stderr
    slot = slots.take(tmp_path / "run")
    try:
        assert "Something runs" in call2me(tmp_path, "db", "downgrade", "base", "--lose-data").stderr
    finally:
        slot.release()
    with contextlib.closing(sqlite3.connect(tmp_path / "call2me.sqlite")) as database:
        database.execute("ALTER TABLE users DROP COLUMN full_name")
    wrong = call2me(tmp_path, "db", "status")
    assert (wrong.returncode, "it lacks users.full_name" in wrong.stdout) == (1, True)
    gone = call2me(tmp_path, "db", "downgrade", "base", "--lose-data")
    assert gone.stdout == "The database is at revision none. Lost: the table users (1 row).\n"
    assert call2me(tmp_path, "db", "upgrade").returncode == 0
