"""The scripts behind `make run`: what they say where something is slow or missing."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def run(*command: str | Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    """A script of ours, with PATH as given."""
    env = {**os.environ, **({"PATH": path} if path is not None else {})}
    return subprocess.run(
        list(map(str, command)), cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.fixture
def hurried(tmp_path: Path) -> str:
    """A PATH where a pause takes a tenth of a second."""
    pause = tmp_path / "sleep"
    pause.write_text("#!/bin/sh\nexec /bin/sleep 0.1\n")
    pause.chmod(0o755)
    return f"{tmp_path}:{os.environ['PATH']}"


def test_a_slow_step_says_that_it_goes_on(hurried: str) -> None:
    ended = run(".ci/patiently", "installing", "/bin/sleep", "0.5", path=hurried)
    assert ended.returncode == 0
    assert ended.stdout.count("  still installing (") >= 2


def test_a_step_that_fails_keeps_its_exit_code_and_ends_the_waiting() -> None:
    ended = run(".ci/patiently", "installing", "sh", "-c", "echo no >&2; exit 3")
    assert (ended.returncode, ended.stdout, ended.stderr) == (3, "", "no\n")


def program(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A PATH with what a shell script needs and nothing else."""
    folder = tmp_path / "bare"
    folder.mkdir()
    program(folder, "uname", "echo Linux")
    program(folder, "rm", 'exec /bin/rm "$@"')
    return folder


def test_without_node_one_sentence_says_what_to_get(bare: Path) -> None:
    ended = run("/bin/sh", ".ci/node", path=str(bare))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("Node 20.19 or later with npm is needed")


def test_without_a_python_that_will_do_one_sentence_says_what_to_get(bare: Path, tmp_path: Path) -> None:
    program(bare, "python3", "exit 1")  # as an old one answers whether it is new enough
    ended = run("/bin/sh", ".ci/venv", tmp_path / "venv", path=str(bare))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith("Python 3.11, 3.12 or 3.13 is needed")


def test_without_rust_one_sentence_says_what_to_get(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARGO_HOME", str(bare))
    ended = run("/bin/sh", ".ci/phones", ".venv", path=str(bare))
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "https://rustup.rs" in ended.stderr
    assert "make phones" in ended.stderr
