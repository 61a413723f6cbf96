"""The parts of `call2me up` that need nothing running."""

import errno
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from alembic.util import CommandError
from sqlalchemy.exc import OperationalError

from api.db.migrate import OrphanedRows
from api.settings import Settings
from api.up import console, preflight, status, status_text, telling
from api.up.console import Console, important, last_words
from api.up.database import told
from api.up.errors import CannotStart
from api.up.first_start import Owner, Prepared
from tests.support.ports import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ports = {"CALL2ME_PORT": free_port(), "CALL2ME_LIVEKIT_PORT": free_port()}
    ports["CALL2ME_LIVEKIT_UDP_PORT"] = free_port(socket.SOCK_DGRAM)
    found = {name: str(port) for name, port in ports.items()}
    return Settings.load({"CALL2ME_HOME": str(tmp_path / "home"), **found})


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (OrphanedRows("In calls are rows that refer to rows of users that are gone."), "delete those rows"),
        (CommandError("Can't locate revision identified by '9999'"), "Use the version that it was last used"),
        (TimeoutError(), "Stop whatever else uses it"),
        (OperationalError("SELECT", {}, Exception("disk full")), r"\(disk full\)"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_tables_that_could_not_be_changed_are_a_sentence_that_says_what_to_do(
    wrong: Exception, says: str
) -> None:
    with pytest.raises(CannotStart, match=says) as raised, told():
        raise wrong
    assert "as it was" in raised.value.message


# ── what must hold before ────────────────────────────────────────────────────────────────────────
def test_a_full_disk_is_said_with_how_much_is_missing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    preflight.check(settings)
    usage = type(shutil.disk_usage("/"))(10**12, 10**12, 100 * 2**20)
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage)
    with pytest.raises(CannotStart, match=r"Only 100 MB are free for .* and 500 MB are needed"):
        preflight.check(settings)


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    # Nobody can write into a folder that is not there, not even the superuser.
    (tmp_path / "home").mkdir()
    with pytest.raises(CannotStart, match="home/run cannot be written"):
        preflight.check_folder(tmp_path / "home")


def test_a_disk_that_has_just_been_filled_is_not_called_unwritable(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_path: Path, _data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(CannotStart, match=r"There is no room left for .*: make room"):
        preflight.check_folder(settings.home)


def test_a_file_that_another_user_left_in_the_folder_is_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As after one `sudo make run`; the superuser, who may run this test, is refused nothing.
    database = settings.home / "call2me.sqlite"
    database.touch()
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != database)
    with pytest.raises(CannotStart, match=r"call2me\.sqlite, which belongs to .*: `sudo chown -R"):
        preflight.check(settings)


def test_a_home_is_held_by_one_at_a_time_and_given_back(settings: Settings) -> None:
    assert not preflight.is_running(settings)
    with preflight.only_one(settings):
        assert preflight.is_running(settings)
        with (
            pytest.raises(CannotStart, match=r"already running in .* \(process \d+\)"),
            preflight.only_one(settings),
        ):
            pass
        assert preflight.is_running(settings)
    assert not preflight.is_running(settings)
    with preflight.only_one(settings):
        pass


def test_an_address_that_is_not_this_machines_is_no_taken_port() -> None:
    trouble = preflight.port_trouble("CALL2ME_PORT", "192.0.2.77", 8000, socket.SOCK_STREAM)
    assert trouble is not None
    assert "no address of this machine; set CALL2ME_HOST" in trouble
    named = preflight.port_trouble("CALL2ME_PORT", "nowhere.invalid", 8000, socket.SOCK_STREAM)
    assert "set CALL2ME_HOST" in str(named)
    elsewhere = preflight.port_trouble("CALL2ME_SIP_LISTEN", "192.0.2.77", 5060, socket.SOCK_DGRAM)
    assert "set CALL2ME_SIP_LISTEN" in str(elsewhere)


def test_two_servers_on_one_port_are_told_before_they_start(settings: Settings) -> None:
    port = str(settings.port)
    both = Settings.load(
        {
            "CALL2ME_HOME": str(settings.home),
            "CALL2ME_PORT": port,
            "CALL2ME_LIVEKIT_PORT": port,
            "CALL2ME_LIVEKIT_UDP_PORT": port,  # UDP and TCP do not meet
        }
    )
    with pytest.raises(CannotStart, match=f"CALL2ME_PORT and CALL2ME_LIVEKIT_PORT are both {port}"):
        preflight.check(both)
    figures = Settings.load(
        {"CALL2ME_HOME": str(settings.home), "CALL2ME_PORT": port, "CALL2ME_METRICS_PORT": port}
    )
    with pytest.raises(CannotStart, match=f"CALL2ME_PORT and CALL2ME_METRICS_PORT are both {port}"):
        preflight.check(figures)


@pytest.mark.parametrize(("log_format", "is_kept"), [("human", False), ("human", True), ("json", False)])
def test_credentials_are_shown_to_a_person_and_written_into_no_journal(
    settings: Settings, log_format: str, is_kept: bool
) -> None:
    at = Settings.load({"CALL2ME_HOME": str(settings.home), "CALL2ME_LOG_FORMAT": log_format})
    owner = Owner(email="owner@example.com", password="a good horse", api_key="sk_call2me_1")
    said: list[str] = []
    telling.tell(at, Prepared(link="once_1", owner=owner), 5.0, said.append, is_kept=is_kept)
    text = "\n".join(said)
    is_shown = not is_kept and log_format == "human"
    assert [secret in text for secret in ("once_1", "a good horse", "sk_call2me_1")] == [is_shown] * 3
    assert "user link" in text
    assert "Stop        Ctrl-C" in text


def test_a_socket_to_print_to_is_systemds_journal() -> None:
    asked = [sys.executable, "-c", "from api.up.telling import is_kept; import sys; sys.exit(is_kept())"]
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert subprocess.run(asked, stdout=theirs.fileno(), check=False, timeout=30).returncode == 1
    assert subprocess.run(asked, stdout=subprocess.PIPE, check=False, timeout=30).returncode == 0


# ── what is shown of the log files ───────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('{"level": "INFO", "message": "request answered"}', None),
        (
            '{"level": "INFO", "message": "call started", "call_id": "c1"}',
            ("INFO", "call started  call_id=c1"),
        ),
        (
            '{"at": "now", "level": "WARNING", "logger": "x", "message": "slow", "ms": 12}',
            ("WARNING", "slow  ms=12"),
        ),
        (
            '{"level":"error","ts":1.5,"logger":"livekit","caller":"a.go:1","msg":"no disk","error":"x"}',
            ("ERROR", "no disk  error=x"),
        ),
        # livekit-server says so of each participant who leaves.
        ('{"level":"warn","logger":"livekit","msg":"error reading data channel","error":"abort"}', None),
        ("Traceback (most recent call last):", ("ERROR", "Traceback (most recent call last):")),
        ('  File "x.py", line 1, in <module>', None),
        ("{not json", None),
        ('["a list"]', None),
    ],
)
def test_only_what_matters_of_a_log_is_shown(line: str, shown: tuple[str, str] | None) -> None:
    assert important(line) == shown


def test_a_flood_is_cut_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    written: list[str] = []
    shown = Console(written.append)
    for _ in range(50):
        shown.log_line("api", '{"level": "ERROR", "message": "again"}')
    assert len(written) == console.MOST_LINES
    now[0] += 60
    shown.log_line("api", '{"level": "ERROR", "message": "later"}')
    assert written[-2:] == [
        "  (42 more such lines are in the log files)",
        "\x1b[31m  api: later\x1b[0m",
    ]


def test_warnings_wait_until_all_parts_run() -> None:
    written: list[str] = []
    shown = Console(written.append)
    shown.log_line("worker", '{"level": "WARNING", "message": "no link yet"}')
    shown.log_line("worker", '{"level": "ERROR", "message": "broken"}')
    assert ["broken" in line for line in written] == [True]
    shown.shows_warnings = True
    shown.log_line("worker", '{"level": "WARNING", "message": "slow"}')
    assert len(written) == 2


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("worker: the key is missing", "worker: the key is missing"),
        ('{"message": "cannot start", "why": "the key is missing"}', "the key is missing"),
        ('{"msg": "no port"}', "no port"),
        ("3", "3"),
    ],
)
def test_last_words_are_the_reason(line: str, words: str) -> None:
    assert last_words(line) == words


# ── status and doctor ────────────────────────────────────────────────────────────────────────────
def test_status_of_a_home_where_nothing_runs(settings: Settings) -> None:
    # What an `up` that was killed left behind is not believed.
    status.write(settings, {"pid": 1, "processes": {"api": {"pid": 1}}})
    found = status.read(settings)
    assert not found["is_running"]
    assert found["processes"] == {}
    assert found["ports"]["CALL2ME_PORT"] == settings.port
    assert "is not running" in status_text.as_text(found)
    json.dumps(found)


def test_status_tells_of_what_runs_and_not_of_its_own_settings(settings: Settings) -> None:
    status.write(settings, {"pid": 1, "where": status.whereabouts(settings)})
    elsewhere = Settings.load({"CALL2ME_HOME": str(settings.home), "CALL2ME_PORT": "4242"})
    with preflight.only_one(settings):
        found = status.read(elsewhere)
        assert status.sign_in_address(elsewhere, "once").startswith(settings.public_url)
    assert found["url"] == settings.public_url
    assert found["ports"]["CALL2ME_PORT"] == settings.port
    assert status.read(elsewhere)["ports"]["CALL2ME_PORT"] == 4242


@pytest.mark.parametrize("body", [b"404 page not found", b"[]", b'"up"', b"\xff", b"{}"])
@pytest.mark.parametrize("code", [200, 404, 503])
def test_a_stranger_on_our_port_is_not_taken_for_ours(settings: Settings, body: bytes, code: int) -> None:
    class Stranger(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(code)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", settings.port), Stranger) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            assert status.ready(settings) == (False, {})
        finally:
            server.shutdown()
            thread.join()


def test_a_process_that_is_gone_is_not_shown_as_running(settings: Settings) -> None:
    gone = {"pid": 2**22 - 3, "state": "running", "restarts": 2, "started_at": 1.0}
    status.write(settings, {"pid": 1, "started_at": 1.0, "processes": {"api": gone}})
    with preflight.only_one(settings):
        found = status.read(settings)
    assert found["processes"]["api"]["pid"] is None
    text = status_text.as_text(found)
    assert "restarted 2 times" in text
    assert "not ready" in text
