"""What a call wrote down reaches the api once, whoever dies: real processes, a small real api."""

import asyncio
import json
import random
import time
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from pipelines.contract.events import SEQUENCES_PER_ATTEMPT
from pipelines.contract.websocket import HangUp
from tests.support.fake_api import FakeApi
from tests.support.spooling_call import ended, utterance
from tests.support.worker_host import calling, hosting, short_home, until
from worker.spool import Spool, SpoolKey


@pytest.fixture
def home() -> Iterator[Path]:
    with short_home() as folder:
        yield folder


def keep(home: Path, call_id: str, attempt: int = 1) -> Path:
    """Another name for a call's spool, under which it outlives its removal."""
    kept = home / f"{call_id}.kept"
    kept.hardlink_to(SpoolKey(call_id, attempt).events(home / "spool"))
    return kept


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def decoded_ms(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples * 1000 / frame.sample_rate for frame in container.decode(audio=0))


async def test_a_call_that_ends_well_is_delivered_whole_with_its_recording(home: Path) -> None:
    async with FakeApi().up() as api, hosting(home, api) as host:
        async with calling(home, "call_1", events=50) as process:
            assert await process.wait() == 0
            await until(lambda: host.is_empty)
        kinds = [event["kind"] for event in api.of("call_1")]
        assert kinds == ["utterance"] * 50 + ["call_ended"]
        assert [event["sequence"] for event in api.of("call_1")] == list(range(51))
        assert api.durations["call_1"] == str(50 * 200)
        assert api.repeated == 0
        assert host.lost == []


@pytest.mark.slow
async def test_twenty_kills_at_random_moments_lose_nothing_that_was_written(home: Path) -> None:
    dice = random.Random(11)  # noqa: S311 - moments, not secrets
    async with FakeApi().up() as api, hosting(home, api) as host:

        async def one(number: int) -> Path:
            call_id, attempt = f"call_{number}", 1 + number % 2
            async with calling(home, call_id, attempt=attempt) as process:
                await until(SpoolKey(call_id, attempt).events(host.spool).exists)
                kept = keep(home, call_id, attempt)
                await asyncio.sleep(dice.uniform(0.0, 0.5))
                process.kill()
                killed_at = time.monotonic()
                await process.wait()
                await until(lambda: any(e["kind"] == "call_lost" for e in api.of(call_id)), 5)
                assert time.monotonic() - killed_at < 2
                return kept

        for first in range(0, 20, 4):
            kept = await asyncio.gather(*(one(number) for number in range(first, first + 4)))
            for spool in kept:
                stored = api.of(spool.stem)
                # The api's own rendering of a moment may differ in its digits; everything else is equal.
                assert [dict(event, at=0) for event in stored] == [
                    dict(event, at=0) for event in lines(spool)
                ]
                start = (stored[0]["attempt"] - 1) * SEQUENCES_PER_ATTEMPT
                assert [event["sequence"] for event in stored] == list(range(start, start + len(stored)))
        await until(lambda: host.is_empty)
        for number in range(20):
            last = api.of(f"call_{number}")[-1]
            assert last["kind"] == "call_lost"
            if last["has_recording"]:
                recording = home / "whole.ogg"
                recording.write_bytes(api.recordings[f"call_{number}"])
                assert decoded_ms(recording) == pytest.approx(float(api.durations[f"call_{number}"]), abs=50)
        assert api.recordings
        assert len(host.lost) == 20


async def test_a_kill_is_noticed_in_milliseconds(home: Path) -> None:
    async with FakeApi().up() as api, hosting(home, api) as host, calling(home, "call_1") as process:
        await until(lambda: "call_1" in host.liveness.calls)
        process.kill()
        killed_at = time.monotonic()
        await until(lambda: host.lost)
        assert time.monotonic() - killed_at < 0.25


async def test_events_wait_while_the_api_is_down_and_the_call_goes_on(home: Path) -> None:
    api = FakeApi()
    async with api.up():
        pass  # now it has a port, and nobody listens there
    async with hosting(home, api) as host:
        async with calling(home, "call_1", events=300) as process:
            assert await process.wait() == 0
        await asyncio.sleep(0.3)
        assert host.reporter.call_ids == {"call_1"}
        async with api.up():
            await until(lambda: host.is_empty)
    assert [event["sequence"] for event in api.of("call_1")] == list(range(301))
    assert "call_1" in api.recordings


async def test_an_api_that_fails_for_a_while_gets_everything_later(home: Path) -> None:
    async with FakeApi(mood="broken").up() as api, hosting(home, api) as host:
        async with calling(home, "call_1", events=20) as process:
            await process.wait()
        await until(lambda: api.requests > 2)
        assert api.events == {}
        api.mood = "well"
        await until(lambda: host.is_empty)
    assert len(api.of("call_1")) == 21


async def test_an_api_that_dies_between_commit_and_answer_keeps_each_event_once(home: Path) -> None:
    async with FakeApi(mood="commits and drops").up() as api, hosting(home, api) as host:
        async with calling(home, "call_1", events=100) as process:
            await process.wait()
        await until(lambda: api.repeated > 0)
        api.mood = "well"
        await until(lambda: host.is_empty)
    assert [event["sequence"] for event in api.of("call_1")] == list(range(101))


async def test_an_upload_whose_answer_was_lost_is_sent_again(home: Path) -> None:
    async with FakeApi().up() as api, hosting(home, api) as host:
        async with calling(home, "call_1", events=200) as process:
            await until(lambda: api.of("call_1"))
            api.mood = "commits and drops"
            await process.wait()
            await until(lambda: len(api.of("call_1")) == 201)
        # The last events are known and not acknowledged; from now on only uploads lose their answers.
        api.drops_recordings_only = True
        await until(lambda: "call_1" in api.recordings)
        api.recordings.clear()
        api.mood = "well"
        await until(lambda: host.is_empty, 15)
    assert "call_1" in api.recordings


async def test_a_slow_api_does_not_slow_a_call(home: Path) -> None:
    async with FakeApi(delay_seconds=0.5).up() as api, hosting(home, api) as host:
        spool = Spool.open(host.spool, "call_1", 1)
        began = time.perf_counter()
        for number in range(500):
            spool.append(utterance(number))
        spool.append(ended())
        assert time.perf_counter() - began < 0.5
        spool.close()
        await until(lambda: host.is_empty)
    assert len(api.of("call_1")) == 501


async def test_one_poisoned_event_is_put_aside_and_all_others_arrive(home: Path) -> None:
    async with FakeApi(poison="cannot be stored").up() as api, hosting(home, api) as host:
        for call_id in ("call_1", "call_2"):
            spool = Spool.open(host.spool, call_id, 1)
            for number in range(20):
                poisoned = call_id == "call_1" and number == 7
                spool.append(utterance(number, "cannot be stored" if poisoned else ""))
            spool.append(ended())
            spool.close()
        await until(lambda: not host.reporter.call_ids and not list(host.spool.glob("*.jsonl")))
        assert [event["sequence"] for event in api.of("call_1")] == [n for n in range(21) if n != 7]
        assert len(api.of("call_2")) == 21
        (rejected,) = host.spool.iterdir()
        assert [event["sequence"] for event in lines(rejected)] == [7]
        assert rejected.stat().st_mode & 0o777 == 0o600


async def test_an_api_that_knows_another_key_is_asked_until_it_knows_ours(home: Path) -> None:
    async with FakeApi().up() as api, hosting(home, api) as host:
        host.reporter._http.headers["X-Internal-Key"] = "wrong"
        spool = Spool.open(host.spool, "call_1", 1)
        spool.append(ended())
        spool.close()
        await until(lambda: api.requests > 2)
        assert SpoolKey("call_1", 1).events(host.spool).exists()


async def test_a_call_that_the_api_wants_no_more_of_is_dropped_with_its_files(home: Path) -> None:
    async with FakeApi(refuses={"call_1"}).up() as api, hosting(home, api) as host:
        async with calling(home, "call_1", events=30) as process:
            await process.wait()
        await until(lambda: host.is_empty)
    assert api.events == {}
    assert api.recordings == {}


async def test_a_call_that_another_process_has_is_left_and_what_it_said_until_then_arrives(
    home: Path,
) -> None:
    async with FakeApi().up() as api, hosting(home, api) as host:
        async with calling(home, "call_1") as replaced, calling(home, "call_2"):
            await until(lambda: {call for call, _ in api.events} == {"call_1", "call_2"})
            assert host.liveness.alive == {"call_1": 1, "call_2": 1}
            api.replaced = {"call_1": 1}
            assert await replaced.wait() == 0
            await until(lambda: "call_1" in api.recordings)
            assert host.liveness.alive == {"call_2": 1}
        stored = api.of("call_1")
        assert [event["sequence"] for event in stored] == list(range(len(stored)))
        assert (stored[-1]["kind"], stored[-1]["is_handed_over"]) == ("call_lost", True)
        await until(lambda: host.is_empty)


async def test_what_a_dead_call_left_torn_is_cut_and_the_loss_told(home: Path) -> None:
    spool = Spool.open(home / "spool", "call_1", 3)
    spool.append(utterance(1))
    spool.close()
    with SpoolKey("call_1", 3).events(home / "spool").open("ab") as file:
        file.write(b'{"kind": "utterance", "call_id": "call_1", "atte')
    async with FakeApi().up() as api, hosting(home, api) as host:
        await until(lambda: host.is_empty)
    start = 2 * SEQUENCES_PER_ATTEMPT
    assert [(e["sequence"], e["kind"]) for e in api.of("call_1")] == [
        (start, "utterance"),
        (start + 1, "call_lost"),
    ]


async def test_lines_that_are_no_events_do_not_stand_in_the_way(home: Path) -> None:
    spool = Spool.open(home / "spool", "call_1", 1)
    spool.append(utterance(1))
    with SpoolKey("call_1", 1).events(home / "spool").open("ab") as file:
        file.write(b"\x00\xff garbage\n{}\n[1]\n" + b"x" * 300_000 + b"\n")
        foreign = utterance(9).model_copy(update={"call_id": "call_2", "sequence": 5})
        file.write(foreign.model_dump_json().encode() + b"\n")
    spool.append(ended())
    spool.close()
    async with FakeApi().up() as api, hosting(home, api) as host:
        await until(lambda: not list(host.spool.glob("*.jsonl")))
    assert [e["kind"] for e in api.of("call_1")] == ["utterance", "call_ended"]
    assert api.of("call_2") == []
    assert [path.name for path in (home / "spool").iterdir()] == ["call_1.1.rejected"]


async def test_a_call_that_is_alive_without_its_socket_is_not_called_lost(home: Path) -> None:
    async with FakeApi().up() as api, hosting(home, api) as host:
        spool = Spool.open(host.spool, "call_1", 1)
        spool.append(utterance(1))
        await until(lambda: len(api.of("call_1")) == 1)
        await asyncio.sleep(0.4)
        assert len(api.of("call_1")) == 1
        spool.append(ended())
        spool.close()
        await until(lambda: host.is_empty)
    assert [e["kind"] for e in api.of("call_1")] == ["utterance", "call_ended"]


async def test_a_call_finds_a_watcher_that_comes_later_and_takes_its_orders(home: Path) -> None:
    async with FakeApi().up() as api, calling(home, "call_1") as process, hosting(home, api) as host:
        await until(lambda: "call_1" in host.liveness.calls)
        assert host.liveness.hang_up(HangUp(call_id="call_1", reason="ended by its owner"))
        assert await asyncio.wait_for(process.wait(), 5) == 0
        await until(lambda: host.is_empty)
        assert api.of("call_1")[-1]["kind"] == "call_ended"
        assert not host.liveness.hang_up(HangUp(call_id="call_1", reason="again"))


async def test_calls_that_talk_much_do_not_keep_others_waiting(home: Path) -> None:
    async with FakeApi().up() as api:
        talkative = Spool.open(home / "spool", "call_1", 1)
        for number in range(3000):
            talkative.append(utterance(number))
        brief = Spool.open(home / "spool", "call_2", 1)
        brief.append(utterance(1))
        async with hosting(home, api):
            await until(lambda: api.of("call_2"))
            assert len(api.of("call_1")) < 3000
            await until(lambda: len(api.of("call_1")) == 3000)
        talkative.close()
        brief.close()


async def test_delivery_stops_also_in_the_moment_it_is_woken(home: Path) -> None:
    async with FakeApi().up() as api:
        for _ in range(20):
            async with hosting(home, api) as host:
                await asyncio.sleep(0.01)
                host.reporter.look_now()
                # Leaving cancels it in the same turn of the loop; hanging here is the failure.
