"""docs/api.md is true: each language's examples run from top to bottom against a started server."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.api import ROOT, Api, Person

PAGE = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
COMMANDS = {
    "bash": ("examples.sh", ["bash", "-euo", "pipefail"]),
    "python": ("examples.py", [sys.executable, "-W", "error"]),
    "javascript": ("examples.mjs", ["node"]),
}


@pytest.mark.parametrize("language", COMMANDS)
def test_all_examples_of_a_language_run(language: str, api: Api, person: Person, tmp_path: Path) -> None:
    blocks = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 5
    name, command = COMMANDS[language]
    script = tmp_path / name
    script.write_text("\n".join(blocks), encoding="utf-8")
    key = person.made("/v1/api-keys", {"name": "docs"})["api_key"]
    done = subprocess.run(
        [*command, str(script)],
        env=os.environ | {"CALL2ME_URL": api.url, "CALL2ME_API_KEY": key},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]


def test_every_group_has_all_three_languages() -> None:
    sections = re.split(r"^## ", PAGE, flags=re.MULTILINE)[1:-1]
    for section in sections:
        named = section.split("\n")[0]
        assert [f"```{language}" in section for language in COMMANDS] == [True] * 3, named
