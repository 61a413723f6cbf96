"""`call2me up` where it cannot start: one sentence that says why, and nothing left."""

import os
import socket
import subprocess
from pathlib import Path

import pytest

from tests.support.stack import COMMAND, ROOT, environment, ports_of


def refused(home: Path, **settings: str) -> str:
    """What `up` says when it cannot start: one sentence, exit code 1, and nothing left."""
    env = environment(home, **settings)
    done = subprocess.run(
        [*COMMAND, "up"], env=env, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "starting it again" not in done.stdout + done.stderr
    sentence = done.stderr.strip()
    assert sentence.startswith("Error: ")
    assert "\n" not in sentence
    return sentence


@pytest.mark.parametrize(
    ("setting", "kind"),
    [
        ("CALL2ME_PORT", socket.SOCK_STREAM),
        ("CALL2ME_LIVEKIT_PORT", socket.SOCK_STREAM),
        ("CALL2ME_LIVEKIT_UDP_PORT", socket.SOCK_DGRAM),
    ],
)
def test_a_port_that_is_taken_is_named_with_who_has_it(
    tmp_path: Path, setting: str, kind: socket.SocketKind
) -> None:
    ports = ports_of(tmp_path)
    with socket.socket(socket.AF_INET, kind) as taken:
        taken.bind(("127.0.0.1", int(ports[setting])))
        if kind is socket.SOCK_STREAM:
            taken.listen()
        sentence = refused(tmp_path, **ports)
    assert f"port {ports[setting]} is taken" in sentence
    assert f"set {setting} to another port" in sentence
    if os.geteuid() == 0:
        assert f"(process {os.getpid()})" in sentence


def test_a_data_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    sentence = refused(tmp_path / "file" / "home")
    assert f"The data folder {tmp_path / 'file' / 'home'} cannot be used" in sentence
    assert "CALL2ME_HOME" in sentence


def test_a_livekit_server_that_does_not_run_is_named(tmp_path: Path) -> None:
    sentence = refused(tmp_path, **ports_of(tmp_path), CALL2ME_LIVEKIT_SERVER="/bin/false")
    assert "CALL2ME_LIVEKIT_SERVER is /bin/false, which is no livekit-server" in sentence


def test_a_part_that_cannot_work_as_configured_is_not_tried_forever(tmp_path: Path) -> None:
    sentence = refused(tmp_path, **ports_of(tmp_path), CALL2ME_WORKER_ID="no spaces allowed")
    assert "worker cannot start: " in sentence
    assert "CALL2ME_WORKER_ID must be" in sentence
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        sentence = refused(tmp_path, **ports_of(tmp_path), CALL2ME_WORKER_METRICS_PORT=port)
    assert f"worker cannot start: TCP port {port} on 127.0.0.1 cannot be used" in sentence
    assert "set CALL2ME_WORKER_METRICS_PORT to another port" in sentence


def test_an_address_of_telephones_that_something_else_has_is_named(tmp_path: Path) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        listen = f"udp:127.0.0.1:{taken.getsockname()[1]}"
        sentence = refused(tmp_path, **ports_of(tmp_path), CALL2ME_SIP_LISTEN=listen)
    assert f"worker cannot start: {listen} cannot be listened on (Address already in use)" in sentence
    assert "set CALL2ME_SIP_LISTEN to another address" in sentence


def test_a_database_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    url = "postgresql://nobody@127.0.0.1:1/none"
    sentence = refused(tmp_path, **ports_of(tmp_path), CALL2ME_DATABASE_URL=url)
    assert "The database could not be prepared" in sentence


def test_a_file_that_is_no_database_is_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "letter.txt"
    file.write_bytes(b"Dear Ada, " * 1000)
    sentence = refused(tmp_path, **ports_of(tmp_path), CALL2ME_DATABASE_URL=f"sqlite:///{file}")
    assert "file is not a database" in sentence
