"""docs/functions.md is true: its tutorial is followed, its names are the code's."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from api.agents.fields import BuiltinEngine
from pipelines.function_config import RunsLike, WebhookFunction

ROOT = Path(__file__).resolve().parents[2]
DOCS = (ROOT / "docs" / "functions.md").read_text()
FILES = re.findall(r"`([\w./]+\.(?:py|ini))`:\n\n```\w+\n(.*?)```", DOCS, re.DOTALL)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody's own project, with every file that the tutorial names."""
    folder = tmp_path_factory.mktemp("restaurant")
    assert [name for name, _ in FILES] == [
        "functions/restaurant.py",
        "tests/test_restaurant.py",
        "pytest.ini",
    ]
    for name, text in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def ran(project: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "CALL2ME_HOME": str(project / "home")}
    return subprocess.run(
        [sys.executable, "-m", *command],
        cwd=project,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_its_tests_pass_with_our_fixtures(project: Path) -> None:
    # By name, since the plugin need not be installed here; and only once where it is.
    done = ran(project, "pytest", "-q", "-p", "no:call2me", "-p", "pipelines.pytest_plugin")
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_file_that_does_not_load_fails_them_with_the_reason(project: Path) -> None:
    broken = project / "functions" / "half.py"
    broken.write_text("def half(:\n")
    done = ran(project, "pytest", "-q", "-x", "-p", "no:call2me", "-p", "pipelines.pytest_plugin")
    broken.unlink()
    assert "half.py did not load: SyntaxError" in done.stdout


def test_its_commands_do_what_they_say(project: Path) -> None:
    block = DOCS.split("```sh\n")[1].split("```")[0]
    commands = [line.removeprefix("call2me ").split(maxsplit=5) for line in block.strip().splitlines()]
    check, listed, called = [
        ran(project, "api.cli", *[word.strip("'") for word in command]) for command in commands
    ]
    assert (check.returncode, check.stdout) == (0, "2 functions, nothing to mend.\n")
    assert "book_table(name, day, size)\n    Book a table." in listed.stdout
    assert called.stdout == "A table for 2 on Friday is booked for Ada.\n"


def test_what_is_wrong_is_said_with_an_exit_code(project: Path) -> None:
    bad = project / "bad"
    bad.mkdir()
    (bad / "a.py").write_text(
        "from livekit.agents import function_tool\n@function_tool\nasync def f(x: int):\n    return 1\n"
    )
    (bad / "b.py").write_text("import nothing_like_this\n")
    done = ran(project, "api.cli", "functions", "check", "--folder", "bad")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "b.py did not load: ModuleNotFoundError: No module named 'nothing_like_this'",
        "f has no docstring: a model cannot know when to call it.",
        "f: x has no description; add it under Args: in the docstring.",
        "f does not say what it returns.",
    ]
    failed = ran(project, "api.cli", "functions", "call", "--folder", "bad", "f", '{"x": "no"}')
    assert failed.returncode == 1
    assert failed.stdout.startswith("Failed: Error parsing arguments for `f`")


def test_the_example_is_an_engine_that_can_be_saved() -> None:
    BuiltinEngine.model_validate(json.loads(DOCS.split("```json\n")[1].split("```")[0]))


def test_the_docs_name_every_field_and_every_built_in() -> None:
    for name in {*RunsLike.model_fields, *WebhookFunction.model_fields} - {"type"}:
        assert f"`{name}`" in DOCS, name
    offered = re.findall(
        r'"(\w+)",',
        str(BuiltinEngine.model_json_schema()["properties"]["builtin_functions"]).replace("'", '"'),
    )
    assert {"end_call", "send_digits"} <= set(offered)
    for name in offered:
        if "_" in name:
            assert f"`{name}`" in DOCS, name
