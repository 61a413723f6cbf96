"""What the repository promises: locks without addresses, a README whose commands exist."""

import json
import re
import subprocess
from pathlib import Path

import click
import pytest

from api.cli import main

ROOT = Path(__file__).resolve().parents[2]
FILES = subprocess.run(
    ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
).stdout.split("\0")
LOCKS = [name for name in FILES if name.endswith((".lock", "lock.json", "lock.yaml"))]
PAGES = ["README.md", "CONTRIBUTING.md", *(name for name in FILES if re.fullmatch(r"docs/[\w/-]+\.md", name))]


def test_there_is_a_lock_for_python_and_one_for_the_page() -> None:
    assert {"requirements.lock", "api/web/package-lock.json"} <= set(LOCKS)
    assert "Cargo.lock" not in FILES


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_versions_and_hashes_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    assert re.findall(r"https?://\S+|git\+\S+|--index-url|--find-links|\"resolved\"", text) == []
    assert "sha256:" in text or '"integrity": "sha512-' in text


def targets() -> set[str]:
    lines = (ROOT / "Makefile").read_text().splitlines()
    return {
        name
        for line in lines
        if (rule := re.match(r"([a-z][\w -]*):(?!=)", line))
        for name in rule[1].split()
    }


@pytest.mark.parametrize("page", PAGES)
def test_every_make_target_that_a_page_names_exists(page: str) -> None:
    named = set(re.findall(r"(?:^|`|\s)make ([a-z][a-z0-9-]*)`?", (ROOT / page).read_text(), re.MULTILINE))
    named = {name for name in named if f"`make {name}" in (ROOT / page).read_text()} | set(
        re.findall(r"^make ([a-z0-9-]+)", (ROOT / page).read_text(), re.MULTILINE)
    )
    assert named <= targets()


@pytest.mark.parametrize("page", PAGES)
def test_every_call2me_command_that_a_page_names_exists(page: str) -> None:
    for words in re.findall(r"(?:`|^|/)call2me ((?:[a-z]+ ?)+)", (ROOT / page).read_text(), re.MULTILINE):
        command: click.Command = main
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            assert word in command.commands, f"{page}: call2me {words}"
            command = command.commands[word]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_that_a_page_links_to_is_there(page: str) -> None:
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / page).read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (folder / target).exists(), f"{page} links to {target}"


@pytest.mark.parametrize("page", PAGES)
def test_every_heading_that_a_page_links_to_is_there(page: str) -> None:
    for target, heading in re.findall(r"\]\(([^):#]*)#([^)]+)\)", (ROOT / page).read_text()):
        linked = (ROOT / page).parent / target if target else ROOT / page
        assert heading in headings(linked), f"{page} links to {target}#{heading}"


def headings(page: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    found = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}


def test_every_make_target_says_what_it_does() -> None:
    lines = (ROOT / "Makefile").read_text().splitlines()
    silent = [line for line in lines if re.match(r"[a-z][\w -]*:(?!=)", line) and "## " not in line]
    assert silent == []


def test_help_says_what_each_command_does() -> None:
    commands = [main, *main.commands.values()]
    assert all(command.help and len(command.help) > 15 for command in commands)
    # Where commands are listed, none is cut off.
    shown = [each for each in commands for each in getattr(each, "commands", {}).values() if not each.hidden]
    assert [
        each.get_short_help_str(66) for each in shown if each.get_short_help_str(66).endswith("...")
    ] == []


def test_every_decision_is_in_the_list_with_its_title() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = dict(re.findall(r"- \[(.+)\]\((.+)\)", (folder / "README.md").read_text()))
    pages = {path for path in folder.glob("*.md") if path.name != "README.md"}
    titles = {path.read_text().splitlines()[0].removeprefix("# "): path.name for path in pages}
    assert listed == titles


def test_the_pages_lock_has_the_packages_of_every_platform() -> None:
    packages = json.loads((ROOT / "api" / "web" / "package-lock.json").read_text())["packages"]
    wanted = {name for entry in packages.values() for name in entry.get("optionalDependencies", {})}
    # A package may hold another version of its own below it.
    locked = {path.rpartition("node_modules/")[2] for path in packages}
    assert wanted - locked == set()
