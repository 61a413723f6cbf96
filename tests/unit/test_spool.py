"""The spool's writing side: numbers, locks, and a disk that refuses."""

import json
import logging
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pipelines.contract.events import SEQUENCES_PER_ATTEMPT
from tests.support.spooling_call import ended, utterance
from worker import spool as spools
from worker.parcels import Parcel
from worker.spool import AlreadySpooled, Spool, SpoolKey


def lines(folder: Path, call_id: str = "call_1", attempt: int = 1) -> list[dict[str, object]]:
    return [json.loads(line) for line in SpoolKey(call_id, attempt).events(folder).read_bytes().splitlines()]


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """The kernel takes no byte of any file beyond `size`, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_events_get_the_numbers_of_their_attempt_and_the_name_of_their_call(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, "call_1", 2)
    spool.append(utterance(1))
    spool.append(ended())
    spool.close()
    found = [(e["call_id"], e["attempt"], e["sequence"]) for e in lines(tmp_path, attempt=2)]
    assert found == [("call_1", 2, SEQUENCES_PER_ATTEMPT), ("call_1", 2, SEQUENCES_PER_ATTEMPT + 1)]


def test_an_attempt_is_spooled_once(tmp_path: Path) -> None:
    Spool.open(tmp_path, "call_1", 1).close()
    with pytest.raises(AlreadySpooled):
        Spool.open(tmp_path, "call_1", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["call_1.1.jsonl"]


@pytest.mark.parametrize("call_id", ["", "../call", "a/b", "a.b", "a\0b", "x" * 129])
def test_an_id_that_names_no_file_is_refused(tmp_path: Path, call_id: str) -> None:
    with pytest.raises(ValueError, match="call id"):
        Spool.open(tmp_path, call_id, 1)
    assert not list(tmp_path.iterdir())


def test_nobody_else_can_read_a_spool(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, "call_1", 1)
    assert SpoolKey("call_1", 1).events(tmp_path).stat().st_mode & 0o777 == 0o600
    spool.close()


def test_a_spool_is_adopted_only_when_its_process_let_go(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, "call_1", 1)
    spool.append(utterance(1))
    assert Spool.adopt(tmp_path, spool.key) is None
    spool.close()
    adopted = Spool.adopt(tmp_path, spool.key)
    assert adopted is not None
    assert not adopted.is_ended
    adopted.append(ended())
    adopted.close()
    again = Spool.adopt(tmp_path, spool.key)
    assert again is not None
    assert again.is_ended
    again.close()
    assert [event["sequence"] for event in lines(tmp_path)] == [0, 1]


def test_a_full_disk_keeps_events_waiting_and_takes_them_in_order_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    spool = Spool.open(tmp_path, "call_1", 1)
    spool.append(utterance(0))
    size = SpoolKey("call_1", 1).events(tmp_path).stat().st_size
    with full_at(size + 20), caplog.at_level(logging.ERROR):
        for number in range(1, 6):
            spool.append(utterance(number))
        assert spool.is_behind
        assert SpoolKey("call_1", 1).events(tmp_path).stat().st_size == size  # nothing torn stays
    assert len(caplog.records) == 1
    spool.append(ended())
    assert not spool.is_behind
    spool.close()
    assert [event["sequence"] for event in lines(tmp_path)] == list(range(7))
    assert lines(tmp_path)[-1]["kind"] == "call_ended"


def test_what_a_full_disk_cost_is_told_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spools, "MAX_WAITING", 3)
    spool = Spool.open(tmp_path, "call_1", 1)
    with full_at(10):
        for number in range(5):
            spool.append(utterance(number))
        assert spool.lost == 2
        spool.append(ended())
    spool.close()
    kinds = [event["kind"] for event in lines(tmp_path)]
    assert kinds == ["utterance", "warning", "utterance", "utterance", "call_ended"]
    assert [event["sequence"] for event in lines(tmp_path)] == list(range(5))


def test_an_event_too_large_for_the_api_becomes_a_warning(tmp_path: Path) -> None:
    spool = Spool.open(tmp_path, "call_1", 1)
    spool.append(utterance(1, "x" * 300_000))
    spool.close()
    (event,) = lines(tmp_path)
    assert (event["kind"], event["code"]) == ("warning", "event_too_large")


def test_an_event_after_the_end_harms_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = Spool.open(tmp_path, "call_1", 1)
    spool.close()
    spool.append(utterance(1))
    spool.close()
    assert lines(tmp_path) == []
    assert caplog.records[0].getMessage() == "event after the end of its spool"


def test_a_lost_call_on_a_full_disk_is_told_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.parcels.RETRY_SECONDS", 0.0)
    spool = Spool.open(tmp_path, "call_1", 1)
    spool.append(utterance(0))
    spool.close()
    parcel = Parcel(tmp_path, SpoolKey("call_1", 1))
    with full_at(spool.key.events(tmp_path).stat().st_size + 5):
        parcel.finish_for_the_dead()
        assert not parcel.is_over
    parcel.finish_for_the_dead()
    assert parcel.is_over
    assert [event["kind"] for event in lines(tmp_path)] == ["utterance", "call_lost"]
