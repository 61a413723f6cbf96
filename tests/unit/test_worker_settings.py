"""What the worker reads from its environment, and that the documentation names all of it."""

import json
import re
from pathlib import Path

import pytest

from pipelines.environment import SettingsError
from tests.support.worker_host import ROOT, short_home
from worker.settings import WorkerSettings

SECRETS = {"internal_key": "i" * 32, "livekit_api_key": "key", "livekit_api_secret": "s" * 32}


def load(home: Path, **environ: str) -> WorkerSettings:
    return WorkerSettings.load({"CALL2ME_HOME": str(home), **environ})


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "secrets.json").write_text(json.dumps(SECRETS))
    return tmp_path


def test_secrets_come_from_the_file_that_the_api_made_unless_they_are_set(home: Path) -> None:
    settings = load(home, LIVEKIT_API_KEY="another")
    assert settings.internal_key == "i" * 32
    assert settings.livekit_api_key == "another"
    assert "i" * 32 not in repr(settings)


def test_a_worker_without_a_key_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"CALL2ME_INTERNAL_KEY is not set.*start the api"):
        load(tmp_path)


def test_the_worker_is_the_same_after_a_restart_and_another_on_another_folder(home: Path) -> None:
    assert load(home).worker_id == load(home).worker_id
    other = home / "other"
    other.mkdir()
    (other / "secrets.json").write_text(json.dumps(SECRETS))
    assert load(other).worker_id != load(home).worker_id
    assert load(home, CALL2ME_WORKER_ID="berlin-1").worker_id == "berlin-1"


def test_local_models_run_unless_providers_hear_and_speak(home: Path) -> None:
    assert load(home).has_models_process
    assert load(home, OPENAI_API_KEY="k").has_models_process
    assert not load(home, OPENAI_API_KEY="k", DEEPGRAM_API_KEY="d").has_models_process
    both = {"OPENAI_API_KEY": "k", "DEEPGRAM_API_KEY": "d"}
    assert load(home, **both, OPENAI_BASE_URL="http://127.0.0.1:11434/v1").has_models_process
    assert load(home, **both, CALL2ME_LOCAL_MODELS="on").has_models_process
    assert not load(home, CALL2ME_LOCAL_MODELS="off").has_models_process


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALL2ME_API_URL", "127.0.0.1:8000"),
        ("LIVEKIT_URL", "ftp://x"),
        ("CALL2ME_IDLE_PROCESSES", "0"),
        ("CALL2ME_MAX_CALLS", "many"),
        ("CALL2ME_DRAIN_SECONDS", "-1"),
        ("CALL2ME_VAD", "other"),
        ("CALL2ME_LOCAL_MODELS", "perhaps"),
        ("CALL2ME_WORKER_ID", 'a"b'),
        ("CALL2ME_LOG_LEVEL", "loud"),
        ("CALL2ME_SIP_STRANGERS", "200"),
        ("CALL2ME_SIP_STRANGERS", "ignore"),
        ("CALL2ME_SIP_CA_FILE", "/nowhere/ca.pem"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(home: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load(home, **{name: value})


def test_a_folder_too_deep_for_sockets_is_refused_in_a_sentence() -> None:
    with short_home() as home, pytest.raises(SettingsError, match="CALL2ME_HOME to a shorter one"):
        load(home / ("x" * 100))


def test_secrets_that_are_not_json_are_refused_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "secrets.json").write_text("{")
    with pytest.raises(SettingsError, match="is not JSON"):
        load(tmp_path)


def test_every_setting_of_the_worker_has_its_heading() -> None:
    source = (ROOT / "worker" / "settings.py").read_text("utf-8")
    source += (ROOT / "pipelines" / "providers.py").read_text("utf-8").split("def providers_of", 1)[1]
    names = r'read[,.](?:\w+\()?\s*"([A-Z][A-Z0-9_]+)"'
    read = set(re.findall(names, source))
    text = (ROOT / "docs" / "configuration.md").read_text("utf-8")
    section = text.split("\n## Worker\n", 1)[1].split("\n## ", 1)[0]
    assert set(re.findall(r"^### ([A-Z0-9_]+)$", section, re.MULTILINE)) == read
