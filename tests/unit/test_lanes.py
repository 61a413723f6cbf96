"""One model's lane."""

import queue
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from worker.lanes import Lane, Part, Task


class Asked:
    """A request whose work waits until the test lets it go on, and which remembers its answers."""

    def __init__(self, parts: int = 1, **fields: Any) -> None:
        self.answers: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self.go_on = threading.Semaphore(0)
        self.begun = threading.Event()
        self.stopped_at: int | None = None
        self._parts = parts
        fields.setdefault("deadline", time.monotonic() + 5)
        self.task: Task[str] = Task(self._work, lambda header, _payload: self.answers.put(header), **fields)

    def _work(self, engine: str, _task: Task[str]) -> Iterator[Part]:
        self.begun.set()
        part = 0
        try:
            for part in range(self._parts):  # noqa: B007 - read when it is closed
                self.go_on.acquire()
                yield {"status": "chunk", "engine": engine}, b""
            yield {"status": "done"}, b""
        except GeneratorExit:
            self.stopped_at = part
            raise

    def answer(self) -> Mapping[str, Any]:
        return self.answers.get(timeout=2)


@pytest.fixture
def lane() -> Iterator[Lane[str]]:
    lane = Lane("test", lambda: "engine", bound=2)
    lane.start()
    yield lane
    lane.close()


def busy(lane: Lane[str]) -> Asked:
    first = Asked()
    lane.submit(first.task)
    assert first.begun.wait(2)
    return first


def test_requests_are_done_in_order_the_urgent_first(lane: Lane[str]) -> None:
    first = busy(lane)
    later, now = Asked(parts=0, urgency="later"), Asked(parts=0)
    done: list[str] = []
    lane.submit(Task(later.task.work, lambda *_: done.append("later"), later.task.deadline, "later"))
    lane.submit(Task(now.task.work, lambda *_: done.append("now"), now.task.deadline))
    first.go_on.release()
    wait_until(lambda: len(done) == 2)
    assert done == ["now", "later"]


def test_a_full_queue_says_busy(lane: Lane[str]) -> None:
    first = busy(lane)
    waiting = [Asked(), Asked()]
    for asked in waiting:
        lane.submit(asked.task)
    refused = Asked()
    lane.submit(refused.task)
    assert refused.answer()["code"] == "busy"
    for asked in (first, *waiting):
        asked.go_on.release()


def test_what_may_only_run_in_an_idle_lane_is_refused_in_another(lane: Lane[str]) -> None:
    first = busy(lane)
    draft = Asked(urgency="if_idle")
    lane.submit(draft.task)
    assert draft.answer()["code"] == "busy"
    first.go_on.release()


def test_what_only_runs_in_an_idle_lane_takes_a_small_share_of_it(lane: Lane[str]) -> None:
    drafts = 0
    started = time.monotonic()
    while time.monotonic() < started + 1.0:
        answers: queue.Queue[Mapping[str, Any]] = queue.Queue()

        def draft(_engine: str, _task: Task[str]) -> Iterator[Part]:
            time.sleep(0.05)
            yield {"status": "done"}, b""

        def answer(header: Mapping[str, Any], _: bytes, answers: Any = answers) -> None:
            answers.put(header)

        lane.submit(Task(draft, answer, time.monotonic() + 5, "if_idle"))
        drafts += answers.get(timeout=2)["status"] == "done"
        time.sleep(0.005)
    assert 2 <= drafts <= 6


def test_a_request_that_waited_too_long_is_not_begun(lane: Lane[str]) -> None:
    first = busy(lane)
    late = Asked(deadline=time.monotonic() + 0.05)
    lane.submit(late.task)
    time.sleep(0.1)
    first.go_on.release()
    assert late.answer()["code"] == "deadline"
    assert not late.begun.is_set()


def test_a_cancelled_request_leaves_the_queue(lane: Lane[str]) -> None:
    first = busy(lane)
    dropped = Asked()
    lane.submit(dropped.task)
    lane.cancel(dropped.task)
    assert lane.health()["waiting"] == 0
    first.go_on.release()
    wait_until(lambda: lane.health()["running"] == 0)
    assert not dropped.begun.is_set()
    assert dropped.answers.empty()


def test_work_under_way_stops_between_its_parts(lane: Lane[str]) -> None:
    speaking = Asked(parts=100)
    lane.submit(speaking.task)
    speaking.go_on.release()
    assert speaking.answer()["status"] == "chunk"
    lane.cancel(speaking.task)
    speaking.go_on.release()
    wait_until(lambda: speaking.stopped_at is not None)
    assert speaking.stopped_at == 1
    assert speaking.answers.empty()


def test_a_model_that_cannot_be_loaded_says_why() -> None:
    def load() -> str:
        raise FileNotFoundError("no weights")

    lane: Lane[str] = Lane("test", load)
    early, late = Asked(), Asked()
    lane.submit(early.task)
    lane.start()
    assert early.answer() == {"status": "error", "code": "unavailable", "message": "no weights"}
    lane.submit(late.task)
    assert late.answer()["code"] == "unavailable"
    lane.close()


def test_a_model_that_fails_once_goes_on(lane: Lane[str]) -> None:
    def fail(_engine: str, _task: Task[str]) -> Iterator[Part]:
        raise RuntimeError("secret words")
        yield

    broken, fine = Asked(), Asked(parts=0)
    lane.submit(Task(fail, broken.task.answer, time.monotonic() + 5))
    lane.submit(fine.task)
    assert broken.answer() == {"status": "error", "code": "failed", "message": "test failed"}
    assert fine.answer()["status"] == "done"


def wait_until(claim: Any) -> None:
    deadline = time.monotonic() + 2
    while not claim():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_a_lazy_lane_loads_when_it_is_first_asked() -> None:
    loaded = threading.Event()

    def load() -> str:
        loaded.set()
        return "engine"

    lane = Lane("test", load, threads=2, is_lazy=True)
    lane.start()
    assert lane.health()["state"] == "asleep"
    assert not loaded.wait(0.05)
    asked = Asked(parts=0)
    lane.submit(asked.task)
    assert asked.answer() == {"status": "done"}
    assert lane.health()["state"] == "ready"
    lane.close()


def test_a_lazy_lane_that_cannot_load_says_so_then() -> None:
    def load() -> str:
        raise ValueError("not for this machine")

    lane = Lane("test", load, is_lazy=True)
    lane.start()
    asked = Asked(parts=0)
    lane.submit(asked.task)
    assert asked.answer()["message"] == "not for this machine"
    assert lane.health()["state"] == "unavailable"
    lane.close()
