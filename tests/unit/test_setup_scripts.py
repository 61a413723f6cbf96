"""The scripts behind `make run`: what they say where something is slow or missing."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.engineless import without_engine

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


FEW_TESTS = """
import importlib.machinery, importlib.util, sys
loader = importlib.machinery.SourceFileLoader("ci_tests", ".ci/tests")
spec = importlib.util.spec_from_loader("ci_tests", loader)
ci_tests = sys.modules["ci_tests"] = importlib.util.module_from_spec(spec)
loader.exec_module(ci_tests)
ci_tests.TALKING = ("tests/integration/sip/test_torture.py", "tests/unit/test_slots.py")
ci_tests.COMPUTING = ("tests/unit/test_sdp.py",)
sys.exit(ci_tests.main())
"""
"""What `make test` runs, with few files in each lane: one of them is of the SIP engine."""


@pytest.mark.parametrize(("phones", "code"), [("", 1), ("off", 0)])
def test_without_rust_all_other_tests_run_and_that_is_a_failure_unless_it_is_wanted(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, phones: str, code: int
) -> None:
    monkeypatch.setenv("CARGO_HOME", str(bare))
    for name in ("sh", "nice"):
        program(bare, name, f'exec /usr/bin/{name} "$@"')
    assert run("/bin/sh", ".ci/phones", "--can", path=str(bare)).returncode == 1
    monkeypatch.setenv("PYTHONPATH", without_engine(tmp_path))
    monkeypatch.setenv("PHONES", phones)
    ended = run(sys.executable, "-c", FEW_TESTS, path=str(bare))
    assert ended.returncode == code, ended.stdout + ended.stderr
    assert "tests of phones were left out: there is no SIP engine" in ended.stdout
    assert "Install Rust 1.88 or newer (https://rustup.rs), then: make phones" in ended.stdout
    assert ended.stdout.count("This counts as a failure; PHONES=off") == (0 if phones else 1)
    assert "Again, alone" not in ended.stdout
    assert re.search(r"\n[1-9]\d* passed, 0 failed\n$", ended.stdout), ended.stdout
