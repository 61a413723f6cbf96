"""The worker's supervisor as it is started: its processes, what it tells the api, and its deaths."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from pipelines.contract.actions import Hold
from pipelines.contract.websocket import Dial, HangUp, Order, TryFunction, Withdraw
from tests.support.fake_api import KEY, FakeApi
from tests.support.worker_host import ROOT, calling, short_home, until

pytestmark = pytest.mark.slow


@pytest.fixture
def home() -> Iterator[Path]:
    with short_home() as folder:
        yield folder


def start(home: Path, api: FakeApi, **settings: str) -> "subprocess.Popen[bytes]":
    """`python -m worker`, whose livekit-server is not there and whose models are not loaded."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CALL2ME_", "LIVEKIT_", "OPENAI_", "DEEPGRAM_"))
    }
    ours = {
        "CALL2ME_HOME": str(home),
        "CALL2ME_API_URL": api.url,
        "CALL2ME_INTERNAL_KEY": KEY,
        "CALL2ME_LOCAL_MODELS": "off",
        "CALL2ME_DRAIN_SECONDS": "1",
        "DEEPGRAM_API_KEY": "d",
        "LIVEKIT_URL": "ws://127.0.0.1:9",
        "LIVEKIT_API_KEY": "key",
        "LIVEKIT_API_SECRET": "s" * 32,
        "PYTHONPATH": str(ROOT),
    }
    with (home / "supervisor.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "worker"],
            cwd=ROOT,
            env={**kept, **ours, **settings},
            stdout=log,
            stderr=log,
        )


@asynccontextmanager
async def supervising(home: Path, api: FakeApi, **settings: str) -> AsyncIterator["subprocess.Popen[bytes]"]:
    process = start(home, api, **settings)
    children: list[psutil.Process] = []
    try:
        seen = len(api.statuses)
        await until(lambda: len(api.statuses) > seen and "agents" in api.statuses[-1].processes, 20)
        children = psutil.Process(process.pid).children(recursive=True)
        yield process
    finally:
        (home / "run" / "worker.life").unlink(missing_ok=True)  # nobody comes after it
        process.kill()
        process.wait()
        await until(lambda: not any(is_alive(child) for child in children), 10)


@asynccontextmanager
async def following(home: Path, api: FakeApi) -> AsyncIterator["subprocess.Popen[bytes]"]:
    """The next supervisor on a folder; ended, whatever the test finds."""
    process = start(home, api)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_it_introduces_itself_and_says_why_it_is_not_ready(home: Path) -> None:
    async with FakeApi().up() as api, supervising(home, api) as process:
        (hello,) = api.hellos
        offered = {(one.kind, one.provider): one for one in hello.available}
        assert offered["stt", "deepgram"].is_available
        assert not offered["tts", "openai"].is_available
        assert offered["tts", "openai"].hint
        assert not api.statuses[-1].is_ready
        await until(lambda: "livekit-server" in api.statuses[-1].why_not, 30)
        assert api.statuses[-1].processes["supervisor"] == process.pid
        # Small, and free of what only calls need.
        if sys.platform == "linux":
            mapped = [mapping.path for mapping in psutil.Process(process.pid).memory_maps()]
            assert not [path for path in mapped if "livekit" in path or "numpy" in path]
        assert psutil.Process(process.pid).memory_full_info().uss < 45e6


async def test_a_part_that_dies_is_started_again(home: Path) -> None:
    async with FakeApi().up() as api, supervising(home, api):
        first = api.statuses[-1].processes["agents"]
        os.kill(first, signal.SIGKILL)
        await until(lambda: api.statuses[-1].processes.get("agents", first) != first)


async def test_there_are_two_agent_servers_and_one_that_dies_is_forked_again(home: Path) -> None:
    def mains() -> set[int]:
        return {pid for name, pid in api.statuses[-1].processes.items() if name.startswith("main-")}

    async with FakeApi().up() as api, supervising(home, api):
        await until(lambda: len(mains()) == 2, 30)
        dying, other = sorted(mains())
        os.kill(dying, signal.SIGKILL)
        await until(lambda: len(mains()) == 2 and dying not in mains(), 30)
        assert other in mains(), "it has calls of its own"
        image = api.statuses[-1].processes["agents"]
        before = mains()
        os.kill(image, signal.SIGKILL)
        await until(lambda: len(mains()) == 2 and not mains() & before, 60)
        await until(lambda: not any(psutil.pid_exists(pid) for pid in before), 30)


async def test_asked_to_stop_it_hands_its_calls_to_another_worker_where_there_is_one(home: Path) -> None:
    api = FakeApi(has_another_worker=True)
    async with api.up(), supervising(home, api) as process, calling(home, "call_1") as call:
        await until(lambda: api.of("call_1"))
        process.send_signal(signal.SIGTERM)
        await until(lambda: process.poll() is not None, 15)
        assert await call.wait() == 0
        last = api.of("call_1")[-1]
        assert (last["kind"], last["is_handed_over"]) == ("call_lost", True)
        assert list((home / "spool").iterdir()) == []


async def test_an_order_to_steer_a_call_reaches_it_once_or_is_answered_for_it(home: Path) -> None:
    async with FakeApi().up() as api, supervising(home, api), calling(home, "call_1") as call:
        await until(lambda: "call_1" in api.statuses[-1].call_ids)
        await api.order(Order(order_id="o1", call_id="call_2", action=Hold()))
        await until(lambda: api.obeyed)
        (answer,) = api.obeyed
        assert (answer.order_id, answer.outcome) == ("o1", "not_here")
        # No exchange is here: nobody is called, but for what came of an order before there is nobody to say.
        dial = {"call_id": "o", "trunk_id": "t", "to_number": "+14155550123", "from_number": ""}
        await api.order(Dial.model_validate({"order_id": "o3", **dial}))
        await api.order(Withdraw(order_id="o4", call_id="o"))
        await until(lambda: len(api.obeyed) == 3)
        told = [(answer.order_id, answer.outcome) for answer in api.obeyed[1:]]
        assert told == [("o3", "refused"), ("o4", "not_here")]
        await api.order(Order(order_id="o2", call_id="call_1", action=Hold()))
        assert await asyncio.wait_for(call.wait(), 5) == 0, "it got an order"


async def test_an_order_to_hang_up_reaches_the_call(home: Path) -> None:
    async with FakeApi().up() as api, supervising(home, api), calling(home, "call_1") as call:
        await until(lambda: "call_1" in api.statuses[-1].call_ids)
        await api.order(HangUp(call_id="call_1", reason="ended by its owner"))
        assert await asyncio.wait_for(call.wait(), 5) == 0
        await until(lambda: api.of("call_1") and api.of("call_1")[-1]["kind"] == "call_ended")
        await until(lambda: "call_1" not in api.statuses[-1].call_ids)


async def test_a_call_is_named_in_the_status_until_the_api_has_its_end(home: Path) -> None:
    async with FakeApi().up() as api, supervising(home, api):
        api.poison = "call_lost"  # so that its end cannot be accepted quickly
        async with calling(home, "call_1"):
            await until(lambda: api.of("call_1"))
            api.mood = "broken"
        seen = len(api.statuses)
        await until(lambda: len(api.statuses) > seen + 2)
        assert "call_1" in api.statuses[-1].call_ids
        api.poison, api.mood = "", "well"
        await until(lambda: "call_1" not in api.statuses[-1].call_ids)
        assert api.of("call_1")[-1]["kind"] == "call_lost"


async def test_a_call_that_dies_before_its_brief_is_lost_under_its_attempt(home: Path) -> None:
    async with FakeApi(attempts={"call_1": 2}).up() as api, supervising(home, api):
        async with calling(home, "call_1", attempt=0):
            await until(lambda: "call_1" in api.statuses[-1].call_ids)
        await until(lambda: api.of("call_1"), 5)
        (event,) = api.of("call_1")
        assert (event["kind"], event["attempt"], event["sequence"]) == ("call_lost", 2, 1_000_000)


async def test_killed_its_successor_goes_on_with_its_children_and_finishes_the_calls(home: Path) -> None:
    async with (
        FakeApi().up() as api,
        calling(home, "call_1") as call,
        calling(home, "call_2"),
        supervising(home, api) as process,
    ):
        await until(lambda: len(_mains(api)) == 2, 30)
        before = {**api.statuses[-1].processes}
        await until(lambda: len(api.of("call_1")) > 10)
        process.kill()
        process.wait()
        call.kill()
        await call.wait()
        delivered = len(api.of("call_1"))
        async with following(home, api) as successor:
            await until(lambda: api.statuses[-1].processes["supervisor"] == successor.pid)
            await until(lambda: len(_mains(api)) == 2, 10)
            after = api.statuses[-1].processes
            # Numbers of agent servers are in the order in which they connected.
            assert {*after.values()} - {successor.pid} == {*before.values()} - {process.pid}
            await until(lambda: api.of("call_1")[-1]["kind"] == "call_lost")
            assert "call_2" in api.statuses[-1].call_ids
            assert api.statuses[-1].alive == {"call_2": 1}
            await until(lambda: "call_1" in api.recordings)
            # One of those that it did not start itself.
            os.kill(after["agents"], signal.SIGKILL)
            await until(lambda: api.statuses[-1].processes.get("agents", after["agents"]) != after["agents"])
            last = [*api.statuses[-1].processes.values(), *after.values()]
            successor.terminate()
            await until(lambda: successor.poll() is not None, 15)
        await until(lambda: not any(map(psutil.pid_exists, last)), 5)
        assert not (home / "run" / "worker.life").exists()
        stored = api.of("call_1")
        assert [event["sequence"] for event in stored] == list(range(len(stored)))
        assert len(stored) > delivered


async def test_what_was_started_with_other_settings_is_started_anew(home: Path) -> None:
    async with FakeApi().up() as api:
        first = start(home, api)
        await until(lambda: api.statuses and "agents" in api.statuses[-1].processes, 20)
        await until((home / "run" / "agents.place").exists)
        agents = api.statuses[-1].processes["agents"]
        first.kill()
        first.wait()
        assert psutil.pid_exists(agents)
        async with supervising(home, api, CALL2ME_MAX_CALLS="3"):
            assert api.statuses[-1].processes["agents"] != agents
            await until(lambda: not psutil.pid_exists(agents), 5)


async def test_without_a_successor_its_children_end(home: Path) -> None:
    async with FakeApi().up() as api:
        process = start(home, api)
        await until(lambda: api.statuses and "agents" in api.statuses[-1].processes, 20)
        await until(lambda: len(_mains(api)) == 2, 30)
        children = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait()
        await asyncio.sleep(5)
        assert all(is_alive(child) for child in children)
        await until(lambda: not any(is_alive(child) for child in children), 20)


def _mains(api: FakeApi) -> set[int]:
    return {pid for name, pid in api.statuses[-1].processes.items() if name.startswith("main-")}


async def test_asked_to_stop_it_ends_its_calls_says_goodbye_and_leaves_nothing(home: Path) -> None:
    async with FakeApi().up() as api, supervising(home, api) as process, calling(home, "call_1") as call:
        children = psutil.Process(process.pid).children(recursive=True)
        await until(lambda: api.of("call_1"))
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        await until(lambda: process.poll() is not None, 15)
        assert process.returncode == 0
        assert time.monotonic() - began < 8
        assert await call.wait() == 0
        assert api.of("call_1")[-1]["kind"] == "call_ended"
        assert api.goodbyes == 1
        assert not api.statuses[-1].is_ready
        assert api.statuses[-1].why_not == "the worker is stopping"
        assert not any(is_alive(child) for child in children)
        assert list((home / "spool").iterdir()) == []


async def test_an_api_that_comes_later_or_restarts_is_found(home: Path) -> None:
    api = FakeApi()
    async with api.up():
        pass
    process = start(home, api)
    try:
        await asyncio.sleep(2)
        for _ in range(2):
            seen = len(api.hellos)
            async with api.up():
                await until(lambda seen=seen: len(api.hellos) > seen, 5)  # type: ignore[misc]
    finally:
        process.kill()
        process.wait()


async def test_functions_are_told_once_they_are_known_and_told_at_once_the_next_time(home: Path) -> None:
    (home / "functions").mkdir()
    (home / "functions" / "booking.py").write_text(
        "from livekit.agents import function_tool\n\n"
        "print('a module may print')\n\n"
        "@function_tool\nasync def book(day: str) -> str:\n    '''Book a visit.'''\n    return day\n"
    )
    async with FakeApi().up() as api:
        async with supervising(home, api):
            await until(lambda: api.hellos[-1].functions, 60)
            (book,) = api.hellos[-1].functions
            assert (book.name, book.description) == ("book", "Book a visit.")
            assert "day" in book.parameters["properties"]
            await api.order(TryFunction(order_id="try_1", name="book", arguments={"day": "Friday"}))
            await until(lambda: api.tried, 60)
            assert (api.tried[0].order_id, api.tried[0].ok, api.tried[0].result) == ("try_1", True, "Friday")
        seen = len(api.hellos)
        async with supervising(home, api):
            await until(lambda: len(api.hellos) > seen and api.hellos[-1].functions, 5)


async def test_a_second_worker_on_one_folder_is_refused_in_a_sentence(home: Path) -> None:
    async with FakeApi().up() as api, supervising(home, api):
        second = start(home, api)
        assert await asyncio.to_thread(second.wait, 20) == 2
        assert "Another worker" in (home / "supervisor.log").read_text()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"CALL2ME_INTERNAL_KEY": ""}, "CALL2ME_INTERNAL_KEY is not set"),
        ({"CALL2ME_MAX_CALLS": "none"}, "CALL2ME_MAX_CALLS must be a whole number"),
    ],
)
async def test_what_cannot_start_says_so_in_a_sentence(
    home: Path, settings: dict[str, str], sentence: str
) -> None:
    process = start(home, FakeApi(port=9), **settings)
    assert await asyncio.to_thread(process.wait, 20) == 2
    text = (home / "supervisor.log").read_text()
    assert sentence in text
    assert "Traceback" not in text


def test_help_names_the_parts() -> None:
    told = subprocess.run(
        [sys.executable, "-m", "worker", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert "agents" in told
    assert "models" in told


def test_the_log_is_json_when_asked(home: Path) -> None:
    process = start(home, FakeApi(port=9), CALL2ME_LOG_FORMAT="json")
    try:
        log = home / "supervisor.log"
        deadline = time.monotonic() + 20
        while not log.read_bytes().count(b"\n") and time.monotonic() < deadline:
            time.sleep(0.1)
        assert all(json.loads(line)["level"] for line in log.read_text().splitlines())
    finally:
        process.terminate()
        process.wait(20)
