"""`call2me doctor`: what it finds of each part, and how that is mended."""

import asyncio
import dataclasses
import shutil
import socket
from pathlib import Path

import pytest

from api.db.columns import now
from api.db.engine import Database
from api.db.migrate import upgrade
from api.settings import Settings
from api.stuck.table import StuckRow
from api.up import doctor, examinations
from api.up.examinations import Finding
from api.up.prepare import in_database
from tests.support.ports import free_port


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    ports = {"CALL2ME_PORT": free_port(), "CALL2ME_LIVEKIT_PORT": free_port()}
    ports["CALL2ME_LIVEKIT_UDP_PORT"] = free_port(socket.SOCK_DGRAM)
    found = {name: str(port) for name, port in ports.items()}
    return Settings.load({"CALL2ME_HOME": str(tmp_path / "home"), **found})


def test_the_doctor_says_how_to_mend_what_is_broken(settings: Settings) -> None:
    (settings.home / "secrets.json").chmod(0o644)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", settings.port))
        taken.listen()
        written: list[str] = []
        assert not doctor.examine(settings, written.append)
    text = "\n".join(written)
    assert f"chmod 600 '{settings.home / 'secrets.json'}'" in text
    assert f"TCP port {settings.port} is taken" in text
    assert "Mend what is BROKEN" in text


@pytest.mark.parametrize(("rust", "mend"), [("/usr/bin/cargo", "make phones"), (None, "install Rust")])
def test_the_doctor_says_how_to_get_phones(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, rust: str | None, mend: str
) -> None:
    monkeypatch.setattr(examinations, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda program: rust)
    (finding,) = examinations.phones(settings)
    assert finding.verdict == "note"
    assert finding.mend.startswith(mend)


def test_the_doctor_wants_no_engine_where_livekit_sip_has_the_phones(settings: Settings) -> None:
    (finding,) = examinations.phones(dataclasses.replace(settings, has_livekit_sip=True))
    assert (finding.verdict, finding.mend) == ("ok", "")


def test_the_doctor_says_whether_telephones_reach_the_engine(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examinations, "find_spec", lambda name: object())
    monkeypatch.setenv("CALL2ME_HOME", str(settings.home))
    monkeypatch.delenv("CALL2ME_SIP_LISTEN", raising=False)
    (finding,) = examinations.phones(settings)
    assert (finding.verdict, "CALL2ME_SIP_LISTEN" in finding.mend) == ("note", True)

    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setenv("CALL2ME_SIP_LISTEN", f"udp:127.0.0.1:{port}")
        listens, trouble = examinations.phones(settings)
    assert (listens.verdict, f"udp:127.0.0.1:{port}" in listens.what) == ("ok", True)
    assert f"UDP port {port} is taken" in trouble.what

    monkeypatch.setenv("CALL2ME_SIP_LISTEN", "nonsense")
    (finding,) = examinations.phones(settings)
    assert finding.verdict == "broken"
    assert "CALL2ME_SIP_LISTEN must be" in finding.mend


def test_the_doctor_names_each_page_that_was_not_built(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(examinations, "DIST", tmp_path)
    (finding,) = examinations.page(settings)
    assert (finding.verdict, finding.what) == ("broken", "the page was not built")
    (tmp_path / "widget").mkdir()
    for name in examinations.PAGES:
        (tmp_path / name).write_text("built")
    assert [found.verdict for found in examinations.page(settings)] == ["ok"]
    (tmp_path / "widget/embed.js").unlink()
    (finding,) = examinations.page(settings)
    assert (finding.verdict, finding.what) == ("broken", "not built: widget/embed.js")


def test_the_doctor_survives_an_examination_that_breaks(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    def heart_rate(_settings: Settings) -> list[Finding]:
        raise RuntimeError("no pulse")

    monkeypatch.setattr(doctor, "ALL", (heart_rate, examinations.python))
    written: list[str] = []
    assert not doctor.examine(settings, written.append)
    assert "heart rate" in written[0]
    assert "no pulse" in written[0]
    assert "python" in written[1]


def test_a_machine_with_loopback_alone_cannot_take_calls(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psutil

    loopback = {"lo": addresses} if (addresses := psutil.net_if_addrs().get("lo")) else {}
    monkeypatch.setattr(psutil, "net_if_addrs", lambda: loopback)
    (finding,) = examinations.network(settings)
    assert finding.verdict == "broken"
    assert "bring any interface up" in finding.mend


def test_the_doctor_mentions_what_was_given_up(settings: Settings) -> None:
    async def give_up(database: Database) -> None:
        async with database.transaction() as session:
            session.add(StuckRow(kind="rent", key="order_1", given_up_at=now()))
            session.add(StuckRow(kind="rent", key="order_2"))

    asyncio.run(upgrade(settings.database_url))
    assert [found.verdict for found in examinations.database(settings)] == ["ok"]
    in_database(settings, give_up)
    (sound, found) = examinations.database(settings)
    assert (sound.verdict, found.verdict, found.what) == ("ok", "note", "1 that failed for a day")
    assert "call2me wallet stuck" in found.mend
