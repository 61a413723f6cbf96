"""`call2me up` with the real parts: livekit-server, the api, the worker."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sqlite3
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from bench.parts.caller import Caller
from tests.support.engineless import without_engine
from tests.support.ports import free_port
from tests.support.telephone import telephone
from tests.support.telephony import Caller as Telephoner
from tests.support.telephony import calling, sockets
from tests.support.up import Up, is_alive, listed, nobody_is_left, post, printed_value, running
from worker.exchange import sdp, sip

LONGER_THAN_PARTING_SECONDS = 9.0
"""The worker is given 5 s more than calls have."""
EVERYBODY = sip.Admission(sources=None, per_second=100, burst=100)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a space in its path, that was started once."""
    return tmp_path_factory.mktemp("a home")


@pytest.fixture(scope="module")
def first(home: Path) -> Iterator[Up]:
    """The first start in this home; tests share it, in the order they stand here."""
    with running(home) as up:
        up.until_ready()
        up.learned = [base["status"] for base in listed(up, "knowledge-base")]
        yield up


@pytest.fixture
def started(first: Up) -> Path:
    """A data folder that was started once and is not running, whichever tests were chosen."""
    if first.process.poll() is None:
        first.stop()
    return first.home


def test_the_first_start_prints_a_link_a_login_and_a_key_that_work(first: Up) -> None:
    token = printed_value(first, "Open").partition("#link=")[2]
    assert post(first, "/v1/auth/quick-login/verify", {"token": token})["access_token"]
    email = printed_value(first, "Login")
    password = printed_value(first, "Password")
    assert post(first, "/v1/auth/login", {"email": email, "password": password})["access_token"]
    assert "agent_id" in listed(first, "agents")[0]


def test_what_the_demo_agent_knows_is_read_before_the_link_is_printed(first: Up) -> None:
    assert first.learned == ["complete"]


def test_status_lists_processes_ports_and_versions(first: Up) -> None:
    status = first.status()
    assert status["is_running"]
    assert status["is_ready"]
    assert list(status["processes"]) == ["livekit", "api", "worker"]
    for process in status["processes"].values():
        assert psutil.pid_exists(process["pid"])
        assert process["state"] == "running"
        assert Path(process["log"]).exists()
    assert status["ports"]["CALL2ME_PORT"] == int(first.env["CALL2ME_PORT"])
    assert status["versions"]["livekit-server"].startswith("1.13.")
    assert first.ask("status").returncode == 0


def test_no_other_user_can_read_a_secret(first: Up) -> None:
    secrets = json.loads((first.home / "secrets.json").read_text())
    assert (first.home / "secrets.json").stat().st_mode & 0o077 == 0
    assert first.home.joinpath("run").stat().st_mode & 0o077 == 0
    assert secrets["livekit_api_secret"] not in (first.home / "run" / "livekit.yaml").read_text()
    kept = [each for value in secrets.values() for each in (value if isinstance(value, list) else [value])]
    for process in psutil.Process(first.process.pid).children(recursive=True):
        assert not any(secret in " ".join(process.cmdline()) for secret in kept)


def test_what_is_printed_once_is_in_no_log(first: Up) -> None:
    shown = [printed_value(first, name).rpartition("=")[2] for name in ("Password", "API key", "Open")]
    logs = "".join(log.read_text() for log in (first.home / "logs").iterdir())
    assert logs
    assert [value for value in shown if value in logs] == []


def test_everything_listens_on_loopback_only(first: Up) -> None:
    for process in [psutil.Process(first.process.pid), *first.seen.values()]:
        if not is_alive(process):
            continue
        for connection in process.net_connections("inet"):
            is_listening = connection.status == psutil.CONN_LISTEN or (
                connection.type == socket.SOCK_DGRAM and not connection.raddr
            )
            if is_listening:
                assert connection.laddr.ip in {"127.0.0.1", "::1"}, (process.cmdline(), connection)


def test_a_second_up_in_the_same_home_says_that_one_runs(first: Up) -> None:
    second = first.ask("up")
    assert second.returncode == 1
    assert f"already running in {first.home} (process {first.process.pid})" in second.stderr
    assert "Traceback" not in second.stdout + second.stderr
    assert first.status()["is_ready"]


def test_the_doctor_finds_a_running_machine_sound(first: Up) -> None:
    found = first.ask("doctor")
    assert "a call could be answered now" in found.stdout
    assert "answers at ws://127.0.0.1" in found.stdout
    # The page may not have been built where only these tests run.
    broken = [line for line in found.stdout.splitlines() if line.startswith("BROKEN")]
    assert [line for line in broken if "page" not in line] == []


@pytest.mark.parametrize("name", ["worker", "api", "livekit"])
def test_a_process_that_is_killed_is_started_again(first: Up, name: str) -> None:
    before = first.status()["processes"][name]
    os.kill(before["pid"], signal.SIGKILL)

    def is_back() -> bool:
        status = first.status()
        now = status["processes"][name]
        return bool(status["is_ready"] and now["pid"] and now["restarts"] == before["restarts"] + 1)

    first.until(is_back, 60)
    assert f"{name} was killed by signal 9, starting it again" in first.printed
    assert not psutil.pid_exists(before["pid"])


def test_ctrl_c_stops_everything_within_ten_seconds_and_leaves_no_process(first: Up) -> None:
    seconds = first.stop()
    assert first.process.returncode == 0
    assert seconds < 10
    assert first.left() == []
    assert len(first.seen) >= 5
    status = first.ask("status", "--json")
    assert status.returncode == 1
    assert json.loads(status.stdout)["is_running"] is False


def test_a_second_start_shows_no_password_and_keeps_what_was_made(first: Up, started: Path) -> None:
    with running(started) as up:
        up.until_ready()
        assert "Password" not in up.printed
        assert "API key" not in up.printed
        assert post(
            up,
            "/v1/auth/login",
            {"email": printed_value(first, "Login"), "password": printed_value(first, "Password")},
        )["access_token"]
        up.stop(signal.SIGTERM)
        assert up.process.returncode == 0
        assert up.left() == []


async def test_without_a_sip_engine_browsers_and_texts_are_answered_and_phones_say_what_to_do(
    first: Up, started: Path, tmp_path: Path
) -> None:
    key = printed_value(first, "API key")
    wanted = f"udp:127.0.0.1:{free_port(socket.SOCK_DGRAM)}"
    phones = {"CALL2ME_SIP_LISTEN": wanted, "CALL2ME_ALLOW_HOSTS": "127.0.0.1"}
    with running(started, PYTHONPATH=without_engine(tmp_path), **phones) as up:
        up.until_ready()
        agent_id = listed(up, "agents", key)[0]["agent_id"]
        chat = post(up, "/v1/chats", {"agent_id": agent_id}, key)
        asked = {"content": "What are your opening hours on Saturday?"}
        told = post(up, f"/v1/chats/{chat['session_id']}/messages", asked, key, seconds=60)
        assert "9" in told["assistant_message"]["content"]
        ticket = post(up, "/v1/livekit/token", {"agent_id": agent_id}, key)
        async with Caller.joined(ticket["url"], ticket["token"]) as caller:
            await caller.hear(after=0)

        trunk = post(up, "/v1/sip-trunks", {"name": "Carrier", "sip_server": "127.0.0.1:5060"}, key)
        number = {"number": "+905331112233", "agent_id": agent_id, "trunk_id": trunk["trunk_id"]}
        post(up, "/v1/phone-numbers", number, key)
        with pytest.raises(urllib.error.HTTPError) as refused:
            post(up, "/v1/calls", {"agent_id": agent_id, "to_number": "+905331112244"}, key)
        assert refused.value.code == 503
        detail = json.load(refused.value)["detail"]
        assert "the SIP engine is not installed: run make phones; `call2me doctor` says" in detail
        health = listed(up, "sip/health", key)
        assert "run make phones" in health["detail"], health
        tested = post(up, f"/v1/sip-trunks/{trunk['trunk_id']}/test", {}, key)
        assert "the SIP engine is not installed: run make phones" in tested["message"]
        found = up.ask("doctor").stdout
        assert re.search(
            r"^note +phones +no SIP engine: browsers can call, phones cannot$", found, re.MULTILINE
        )
        assert "make phones" in found.partition("no SIP engine")[2]
        assert "a call could be answered now" in found
        up.stop()


@contextlib.asynccontextmanager
async def telephoned(
    first: Up, home: Path, carrier: sip.Engine, number: str, **agent: object
) -> AsyncIterator[tuple[Up, Telephoner, str]]:
    """Everything runs, with a minute for calls when it is to stop, and somebody has called a new agent.

    It must have been asked to stop when this ends: the caller hangs up, and nothing is left.
    """
    port, rtp = free_port(socket.SOCK_DGRAM), free_port() // 2 * 2
    phones = {
        "CALL2ME_SIP_LISTEN": f"udp:127.0.0.1:{port}",
        "CALL2ME_RTP_PORTS": f"{rtp}-{min(rtp + 100, 65_535)}",
        "CALL2ME_ALLOW_HOSTS": "127.0.0.1",
        "CALL2ME_DRAIN_SECONDS": "60",
    }
    key = printed_value(first, "API key")
    with running(home, **phones) as up:
        up.until_ready()
        server = f"127.0.0.1:{carrier.addresses[0][2]}"
        trunk = post(up, "/v1/sip-trunks", {"name": number, "sip_server": server}, key)
        engine = {"type": "call2me-llm", "system_prompt": "You answer the telephone."}
        made = post(
            up,
            "/v1/agents",
            {"agent_name": "Desk", "voice_id": "default", "response_engine": engine, **agent},
            key,
        )
        bound = {"number": number, "agent_id": made["agent_id"], "trunk_id": trunk["trunk_id"]}
        post(up, "/v1/phone-numbers", bound, key)
        await asyncio.sleep(4)  # the exchange asks for trunks every three seconds
        async with calling(SimpleNamespace(sip_port=port), carrier, number) as caller:  # type: ignore[arg-type]
            yield up, caller, key
        await asyncio.to_thread(up.process.wait, 12)
        assert "Running calls have 60 s to end (CALL2ME_DRAIN_SECONDS)" in up.printed
        assert (up.process.returncode, up.left()) == (0, [])


async def hears_on_after_sigterm(up: Up, caller: Telephoner) -> None:
    """Longer than whoever has no call would be waited for."""
    up.remember()
    up.process.send_signal(signal.SIGTERM)
    await asyncio.sleep(LONGER_THAN_PARTING_SECONDS)
    heard = len(caller.phone.heard)
    await asyncio.sleep(0.5)
    assert len(caller.phone.heard) > heard + 15
    assert not any(isinstance(event, sip.Ended) for event in caller.seen)


def ends_of(home: Path, number: str) -> list[tuple[str, str]]:
    """Of calls to a number."""
    with contextlib.closing(sqlite3.connect(home / "call2me.sqlite")) as database:
        asked = "SELECT status, disconnection_reason FROM calls WHERE to_number = ?"
        return database.execute(asked, (number,)).fetchall()


@pytest.mark.phones
async def test_a_call_has_its_time_when_everything_is_asked_to_stop(first: Up, started: Path) -> None:
    number = "+905331112255"
    async with (
        sip.Engine([sip.Listener("udp", "127.0.0.1", 0)], admission=EVERYBODY) as carrier,
        telephoned(first, started, carrier, number) as (up, caller, _),
    ):
        await hears_on_after_sigterm(up, caller)
    assert ends_of(started, number) == [("completed", "user_hangup")]


@pytest.mark.phones
async def test_two_who_were_put_through_have_their_time_too(first: Up, started: Path) -> None:
    number = "+14155550123"
    desk = {"name": "Desk", "type": "phone", "value": "+14155550177"}
    async with (
        sip.Engine([sip.Listener("udp", "127.0.0.1", 0)], admission=EVERYBODY) as carrier,
        telephoned(first, started, carrier, number, transfer_targets=[desk]) as (up, caller, key),
    ):
        call_id = next(
            one["call_id"] for one in listed(up, "calls", key)["calls"] if one["to_number"] == number
        )
        asked = None
        while asked is None:  # 409 until the agent can be told
            with contextlib.suppress(urllib.error.HTTPError):
                await asyncio.to_thread(post, up, f"/v1/calls/{call_id}/transfer", {"target": "Desk"}, key)
            await asyncio.sleep(0.5)
            asked = next((each for each in caller.seen if isinstance(each, sip.Referred)), None)
        asked.refuse(603)
        person = await asyncio.wait_for(anext(carrier.invitations()), 15)
        mine, address = sockets()
        answer, media = sdp.Ours(address, 3).answer(sdp.read(person.invitation.body))
        person.answer(answer)
        async with telephone(mine, media.remote):
            await hears_on_after_sigterm(up, caller)
    assert ends_of(started, number) == [("transferred", "transferred")]


def test_nothing_outlives_an_up_that_was_killed(started: Path) -> None:
    with running(started) as up:
        up.until_ready()
        up.process.kill()
        up.process.wait()
        nobody_is_left(up)


def test_a_part_that_hangs_delays_the_end_only_so_long_and_a_second_ctrl_c_not_at_all(started: Path) -> None:
    for patience, longest in ((True, 10.0), (False, 5.0)):
        with running(started) as up:
            worker = up.until(lambda up=up: up.status()["processes"].get("worker", {}).get("pid"))
            up.until_ready()
            os.kill(worker, signal.SIGSTOP)
            if not patience:
                up.remember()
                up.process.send_signal(signal.SIGINT)
                time.sleep(0.5)
            assert up.stop() < longest
            nobody_is_left(up)
            assert up.process.returncode == (0 if patience else 130)


def test_ctrl_c_while_it_starts_leaves_nothing(tmp_path: Path) -> None:
    with running(tmp_path) as up:
        up.until(lambda: "Starting call2me" in up.printed)
        time.sleep(0.5)
        assert up.stop() < 10
        assert up.process.returncode == 0
        assert up.left() == []
