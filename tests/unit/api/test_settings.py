"""Settings: what is read, what is made, what is refused; and that the docs name every one."""

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.settings import FOLDERS, Settings
from pipelines.environment import SettingsError
from pipelines.setting_names import NAMES

ROOT = Path(__file__).resolve().parents[3]
DOCS = ROOT / "docs" / "configuration.md"


class Watched(Mapping[str, str]):
    """An environment that remembers what it was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        self.values_by_name = values
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> str:
        self.asked.add(name)
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


def load(home: Path, **more: str) -> Settings:
    return Settings.load({"CALL2ME_HOME": str(home), **more})


def test_the_docs_name_every_setting_and_no_other(tmp_path: Path) -> None:
    environment = Watched({"CALL2ME_HOME": str(tmp_path)})
    Settings.load(environment)
    section = DOCS.read_text().split("\n## Api\n")[1].split("\n## ")[0]
    assert set(re.findall(r"^### (\w+)$", section, re.MULTILINE)) == environment.asked


def test_nothing_needs_to_be_set(tmp_path: Path) -> None:
    settings = load(tmp_path / "new")
    assert (settings.host, settings.port, settings.public_url) == ("127.0.0.1", 8000, "http://127.0.0.1:8000")
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/new/call2me.sqlite"
    assert settings.livekit.url == settings.livekit.public_url == "ws://127.0.0.1:7880"
    assert settings.livekit.is_ours
    assert settings.signup == "open"
    assert all((settings.home / name).is_dir() for name in FOLDERS)


def test_secrets_are_made_once_and_only_for_their_owner(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        loaded = list(pool.map(lambda _: load(tmp_path).secrets, range(16)))
    assert len({secrets.jwt for secrets in loaded}) == 1
    path = tmp_path / "secrets.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert set(json.loads(path.read_text())) == {
        "jwt_secret",
        "internal_key",
        "livekit_api_key",
        "livekit_api_secret",
        "encryption_keys",
    }
    assert [p.name for p in tmp_path.glob("secrets*")] == ["secrets.json"]


def test_secrets_do_not_show_when_settings_are_printed(tmp_path: Path) -> None:
    settings = load(tmp_path, CALL2ME_DATABASE_URL="postgresql://me:hunter2@db/x")
    shown = repr(settings)
    assert "hunter2" not in shown
    assert settings.secrets.jwt not in shown
    assert settings.secrets.livekit_api_secret not in shown


def test_a_secret_of_ones_own_goes_before_the_kept_one(tmp_path: Path) -> None:
    assert load(tmp_path, CALL2ME_INTERNAL_KEY="k" * 20).secrets.internal_key == "k" * 20


def test_beyond_this_machine_signing_up_is_closed_unless_opened(tmp_path: Path) -> None:
    assert load(tmp_path, CALL2ME_HOST="192.0.2.1").signup == "closed"
    assert load(tmp_path, CALL2ME_HOST="192.0.2.1", CALL2ME_SIGNUP="open").signup == "open"
    assert load(tmp_path, CALL2ME_HOST="::1").public_url == "http://[::1]:8000"


def test_a_server_of_ones_own_is_not_ours_to_start(tmp_path: Path) -> None:
    livekit = load(tmp_path, LIVEKIT_URL="wss://livekit.example.com/").livekit
    assert (livekit.url, livekit.public_url, livekit.is_ours) == (
        "wss://livekit.example.com",
        "wss://livekit.example.com",
        False,
    )


def test_further_names_of_ours_are_kept_as_a_browser_says_them(tmp_path: Path) -> None:
    named = "WWW.a.example., b.example:443"
    assert load(tmp_path, CALL2ME_OWN_HOSTS=named).own_hosts == ("www.a.example", "b.example")


def test_private_hosts_are_named_with_a_port_or_without(tmp_path: Path) -> None:
    named = "files.internal, localhost:11434,10.0.0.5,[::1]:8080,::1"
    assert load(tmp_path, CALL2ME_ALLOW_HOSTS=named).allowed_hosts == tuple(named.replace(" ", "").split(","))


@pytest.mark.parametrize(
    ("url", "read"),
    [
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgresql+asyncpg://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("sqlite:////tmp/x.sqlite", "sqlite+aiosqlite:////tmp/x.sqlite"),
    ],
)
def test_a_database_url_is_read_as_people_write_it(tmp_path: Path, url: str, read: str) -> None:
    assert load(tmp_path, CALL2ME_DATABASE_URL=url).database_url == read


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CALL2ME_PORT", "eighty"),
        ("CALL2ME_PORT", "70000"),
        ("CALL2ME_PORT", "-1"),
        ("CALL2ME_ALLOW_HOSTS", "https://files.internal"),
        ("CALL2ME_ALLOW_HOSTS", "localhost:port"),
        ("CALL2ME_ALLOW_HOSTS", "*.internal"),
        ("CALL2ME_LOG_FORMAT", "xml"),
        ("CALL2ME_SIGNUP", "maybe"),
        ("CALL2ME_DATABASE_URL", "mysql://x/y"),
        ("CALL2ME_DATABASE_URL", "/a/path"),
        ("CALL2ME_JWT_SECRET", "short"),
        ("CALL2ME_INTERNAL_KEY", "short"),
        ("CALL2ME_PUBLIC_URL", "voice.example.com"),
        ("CALL2ME_PUBLIC_URL", "https://voice example.com"),
        ("CALL2ME_PUBLIC_URL", "https://voice.example.com:port"),
        ("CALL2ME_HOST", "http://0.0.0.0"),
        ("CALL2ME_HOST", "0.0.0.0:8000"),
        ("CALL2ME_CORS_ORIGINS", "app.example.com"),
        ("CALL2ME_CORS_ORIGINS", "https://app.example.com/path"),
        ("CALL2ME_CORS_ORIGINS", "*"),
        ("CALL2ME_MAIL_FROM", "Voice"),
        ("CALL2ME_CONTACT_EMAIL", "me"),
        ("LIVEKIT_URL", "livekit.example.com"),
        ("LIVEKIT_PUBLIC_URL", "rtc://livekit.example.com"),
        ("OPENAI_BASE_URL", "localhost:11434"),
        ("DEEPGRAM_BASE_URL", "deepgram"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "127.0.0.1:4318"),
    ],
)
def test_a_bad_value_is_one_sentence_that_names_its_setting(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=rf"^{name} must .*\.$"):
        load(tmp_path, **{name: value})


def test_a_variable_that_is_nearly_a_setting_is_told_with_the_one_that_is_meant(tmp_path: Path) -> None:
    told = load(
        tmp_path,
        CALL2ME_DRAIN_SECOND="hunter2",
        CALL2ME_ANYTHING="x",
        CALL2ME_KEY="sk",
        CALL2ME_WEBHOOK_SECRET="whsec",
        PATH="/bin",
    ).misspelt
    assert told == (
        "CALL2ME_ANYTHING is no setting and is ignored.",
        "CALL2ME_DRAIN_SECOND is no setting and is ignored; is CALL2ME_DRAIN_SECONDS meant?",
    )
    assert set(re.findall(r"^### (CALL2ME_\w+)$", DOCS.read_text(), re.MULTILINE)) == NAMES


@pytest.mark.parametrize("text", ["", "{", "[]", '{"jwt_secret": "x"}', "\xff"])
def test_broken_secrets_are_a_sentence_and_are_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.json"
    path.write_text(text, "latin-1")
    with pytest.raises(SettingsError, match=r"secrets\.json"):
        load(tmp_path)
    assert path.read_text("latin-1") == text


def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(SettingsError, match="CALL2ME_HOME"):
        load(tmp_path / "file" / "home")


def test_the_environment_is_read_in_one_place() -> None:
    root = DOCS.parents[1] / "api"
    reading = re.compile(r"os\.environ(\[|\.get)|os\.getenv")
    readers = [
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        if "node_modules" not in path.parts and reading.search(path.read_text())
    ]
    assert set(readers) - {"settings.py"} == set()


def test_a_disk_without_room_for_the_secrets_is_a_sentence(tmp_path: Path) -> None:
    script = f"""
import resource
from api.settings import Settings, SettingsError
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
try:
    Settings.load({{"CALL2ME_HOME": {str(tmp_path)!r}}})
except SettingsError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=30, cwd=ROOT
    )
    assert "secrets.json cannot be written" in done.stdout
    assert list(tmp_path.glob("secrets*")) == []
