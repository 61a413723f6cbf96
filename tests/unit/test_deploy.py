"""What `deploy/` names is there: settings, targets, files, commands."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import click
import yaml

from api.cli import main
from api.settings import Settings
from api.up.run import PARTING_SECONDS

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text("utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text("utf-8"))
# livekit-server reads its own.
KNOWN = set(re.findall(r"^### (\w+)$", (ROOT / "docs" / "configuration.md").read_text("utf-8"), re.MULTILINE))


def test_every_setting_of_the_image_and_of_compose_is_one() -> None:
    service = COMPOSE["services"]["call2me"]
    image = set(re.findall(r"\b(CALL2ME_\w+)=", DOCKERFILE))
    assert (set(service["environment"]) | image) - KNOWN <= {"NODE_IP"}
    postgres = COMPOSE["services"]["postgres"]["environment"]
    url = service["environment"]["CALL2ME_DATABASE_URL"]
    assert url.startswith(f"postgresql://{postgres['POSTGRES_USER']}:")
    assert url.endswith(f"/{postgres['POSTGRES_DB']}")


def test_what_compose_builds_and_keeps_is_declared() -> None:
    service = COMPOSE["services"]["call2me"]
    assert (ROOT / "deploy" / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
    assert set(service["depends_on"]) <= set(COMPOSE["services"])
    kept = {volume.split(":")[0] for one in COMPOSE["services"].values() for volume in one["volumes"]}
    assert kept == set(COMPOSE["volumes"])
    assert service["volumes"] == ["call2me:" + str(re.search(r"^VOLUME (\S+)", DOCKERFILE, re.MULTILINE)[1])]  # type: ignore[index]


def test_the_image_runs_targets_and_commands_that_exist() -> None:
    targets = set(
        re.findall(r"^([a-z]+)(?: [a-z ]+)?:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    )
    assert set(re.findall(r"\bmake ([a-z]+)", DOCKERFILE)) - {"python"} <= targets
    (command,) = re.findall(r"^CMD (\[.*\])", DOCKERFILE, re.MULTILINE)
    program, word = json.loads(command)
    assert program == "call2me"
    assert isinstance(main, click.Group)
    assert word in main.commands
    stages = set(re.findall(r" AS (\w+)", DOCKERFILE))
    assert set(re.findall(r"--from=(\w+)", DOCKERFILE)) == stages


def test_a_stop_waits_longer_than_running_calls_get() -> None:
    service = COMPOSE["services"]["call2me"]
    given = int(re.findall(r":-(\d+)", service["environment"]["CALL2ME_DRAIN_SECONDS"])[0])
    assert int(service["stop_grace_period"].removesuffix("m")) * 60 >= given + PARTING_SECONDS + 10
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    (patience,) = re.findall(r"^TimeoutStopSec=(\d+)$", page, re.MULTILINE)
    (given_there,) = re.findall(r"^CALL2ME_DRAIN_SECONDS=(\d+)", page, re.MULTILINE)
    assert int(patience) >= int(given_there) + PARTING_SECONDS + 10


def test_the_documented_environment_is_one_that_systemd_and_we_can_read(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "deployment.md").read_text("utf-8")
    (block,) = re.findall(r"```sh\n(CALL2ME_HOME=.*?)```", page, re.DOTALL)
    lines = [line for line in block.splitlines() if not line.startswith("#")]
    assert [line for line in lines if " #" in line] == [], (
        "systemd would take the comment for the value's end"
    )
    given = dict(line.split("=", 1) for line in lines)
    read = {name: value.strip('"') for name, value in given.items()}
    settings = Settings.load({**read, "CALL2ME_HOME": str(tmp_path)})
    assert (settings.trusted_proxies, settings.signup, settings.misspelt) == (1, "closed", ())
    assert set(given) - KNOWN == {"NODE_IP"}
    sourced = subprocess.run(
        ["sh", "-c", f"set -a\n{block}\nexec env"], capture_output=True, text=True, check=True, timeout=10
    ).stdout.splitlines()
    assert [line for line in sourced if line.startswith("CALL2ME_MAIL_FROM=")] == [
        "CALL2ME_MAIL_FROM=Voice <voice@example.com>"
    ]


def test_what_is_built_here_is_not_sent_to_the_builder() -> None:
    ignored = set((ROOT / ".dockerignore").read_text("utf-8").split())
    assert {".git", "**/.venv", "**/node_modules", "**/dist"} <= ignored
