"""A backup taken while somebody writes, put back on another machine, passes every check."""

import contextlib
import io
import os
import sqlite3
import subprocess
import sys
import tarfile
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import AGENT, PASSWORD, ROOT, Person, running_api
from tests.support.knowledge import uploaded
from tests.support.postgres import new_database


def command(home: Path, database_url: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    kept = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    return subprocess.run(
        [sys.executable, "-m", "api.cli", *arguments],
        env={
            **kept,
            "PYTHONPATH": str(ROOT),
            "CALL2ME_HOME": str(home),
            "CALL2ME_DATABASE_URL": database_url,
        },
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def write_on(person: Person, stop: threading.Event, made: list[str]) -> None:
    while not stop.is_set():
        reply = person.ask("POST", "/v1/agents", AGENT)
        if reply.status == 201:
            made.append(reply.json["agent_id"])


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_backup_of_what_runs_is_restored_elsewhere_and_right(
    tmp_path: Path, request: pytest.FixtureRequest, kind: str
) -> None:
    url, other_url = new_database(request, kind), new_database(request, kind)
    home, other, file = tmp_path / "one", tmp_path / "other", tmp_path / "all.tar"
    with running_api(home, url) as api:
        person = api.person()
        base = uploaded(person, {"files": ("hours.txt", b"Open on Monday at nine.")}, name="Mine")
        key = person.made("/v1/api-keys", {"name": "k"})["api_key"]
        person.ask(
            "PUT", "/v1/webhooks", {"webhook_url": "https://hooks.example.com/a", "webhook_secret": "s" * 32}
        )
        (home / "recordings" / "call_0123456789abcdef.ogg").write_bytes(b"OggS" * 1000)
        (home / "functions" / "mine.py").write_text("# mine\n")
        credited = command(home, url, "wallet", "credit", person.email, "12.5", "--note", "x")
        assert credited.returncode == 0, credited.stderr
        before = [agent["agent_id"] for agent in person.ask("GET", "/v1/agents").json]
        stop, made = threading.Event(), list(before)
        writers = [threading.Thread(target=write_on, args=(person, stop, made)) for _ in range(3)]
        for writer in writers:
            writer.start()
        try:
            taken = command(home, url, "backup", str(file))
        finally:
            sure = list(made)
            stop.set()
            for writer in writers:
                writer.join()
        assert taken.returncode == 0, taken.stderr
        assert file.stat().st_mode & 0o777 == 0o600
        assert command(home, url, "backup", str(file)).returncode == 1  # never over another one
        assert command(home, url, "restore", "--replace", str(file)).returncode == 1  # while it runs
        assert len(sure) > len(before)
    flags = ["--replace"] if kind == "postgresql" else []
    restored = command(other, other_url, "restore", *flags, str(file))
    assert restored.returncode == 0, restored.stderr
    assert "the book is right" in restored.stdout
    assert command(other, other_url, "wallet", "check").stdout == "The book is right.\n"
    assert (other / "recordings" / "call_0123456789abcdef.ogg").read_bytes() == b"OggS" * 1000
    assert (other / "functions" / "mine.py").read_text() == "# mine\n"
    with running_api(other, other_url) as back:
        signed_in = back.ask("POST", "/v1/auth/login", {"email": person.email, "password": PASSWORD})
        assert signed_in.status == 200
        again = Person(back, person.email, signed_in.json)
        assert again.ask("GET", "/v1/wallet/balance").json["balance_usd"] == 12.5
        agents = {agent["agent_id"] for agent in again.ask("GET", "/v1/agents?limit=1000").json}
        assert set(before) <= agents <= set(made)
        assert back.ask("GET", "/v1/agents", token=key).status == 200
        found = again.ask("GET", f"/v1/knowledge-base/{base['knowledge_base_id']}").json
        assert found["knowledge_base_sources"][0]["filename"] == "hours.txt"
        assert any((other / "knowledge").rglob("*"))
        assert again.ask("GET", "/v1/webhooks").json["has_secret"] is True  # opened with the restored keys
        assert again.ask("GET", "/health/ready").status in {200, 503}
    if kind == "sqlite":
        _replaced(other, file)


def _replaced(home: Path, file: Path) -> None:
    refused = command(home, "", "restore", str(file))
    assert (refused.returncode, "--replace" in refused.stderr) == (1, True)
    done = command(home, "", "restore", "--replace", str(file))
    assert done.returncode == 0, done.stderr
    aside = max(home.glob("before-restore-*"))
    with sqlite3.connect(aside / "call2me.sqlite") as old:
        assert old.execute("SELECT count(*) FROM users").fetchone()[0] == 1


def _on_a_full_disk(home: Path, file: Path) -> str:
    """What `backup` says where no file may become larger than 64 kB."""
    script = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))
from api.cli import main
main(["backup", {str(file)!r}])
"""
    environment = {**os.environ, "CALL2ME_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr, done.stderr.count("\n")) == (1, False, 1), (
        done.stderr
    )
    return done.stderr


def _rewritten(source: Path, target: Path, change: Any) -> None:
    with tarfile.open(source) as read, tarfile.open(target, "w") as written:
        for entry in read:
            raw = read.extractfile(entry).read()  # type: ignore[union-attr]
            for new, content in change(entry, raw):
                new.size = len(content)
                written.addfile(new, io.BytesIO(content))


def test_a_backup_that_is_not_whole_changes_nothing(tmp_path: Path) -> None:
    home, file = tmp_path / "one", tmp_path / "all.tar"
    assert command(home, "", "migrate").returncode == 0
    assert command(home, "", "backup", str(file)).returncode == 0
    evil = tarfile.TarInfo("../evil")
    link = tarfile.TarInfo("functions/link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    changes: dict[str, Any] = {
        "flipped": lambda e, raw: [(e, raw[:-1] + b"x" if e.name == "secrets.json" else raw)],
        "more": lambda e, raw: [
            (e, raw),
            *([(tarfile.TarInfo("functions/x.py"), b"x")] if e.name == "secrets.json" else []),
        ],
        "less": lambda e, raw: [] if e.name == "call2me.sqlite" else [(e, raw)],
        "outside": lambda e, raw: [(e, raw), *([(evil, b"x")] if e.name == "secrets.json" else [])],
        "link": lambda e, raw: [(e, raw), *([(link, b"")] if e.name == "secrets.json" else [])],
        "without a manifest": lambda e, raw: [] if e.name == "manifest.json" else [(e, raw)],
    }
    bad = [tmp_path / "cut.tar", tmp_path / "text.tar"]
    bad[0].write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    bad[1].write_text("no tar at all")
    for name, change in changes.items():
        bad.append(tmp_path / f"{name}.tar")
        _rewritten(file, bad[-1], change)
    (tmp_path / "full").mkdir()
    assert "could not be written to" in _on_a_full_disk(home, tmp_path / "full" / "b.tar")
    assert list((tmp_path / "full").iterdir()) == []
    with contextlib.closing(sqlite3.connect(home / "call2me.sqlite")) as older:
        older.execute("ALTER TABLE calls DROP COLUMN forwarded_to")
    bad.append(tmp_path / "older.tar")
    assert command(home, "", "backup", str(bad[-1])).returncode == 0
    other = tmp_path / "other"
    for one in bad:
        refused = command(other, "", "restore", str(one))
        assert refused.returncode == 1, one
        assert "Traceback" not in refused.stderr
        assert not (other / "call2me.sqlite").exists()
        assert list(other.glob("restore-*")) == []
    assert not (tmp_path / "evil").exists()
    assert command(other, "", "restore", str(file)).returncode == 0
