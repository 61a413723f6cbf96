"""One model's lane: a bounded queue and its threads, so that no model waits for another."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeVar

from pipelines.local.wire import Urgency

logger = logging.getLogger(__name__)

Engine = TypeVar("Engine")
LaneState = Literal["asleep", "loading", "ready", "unavailable"]
Part = tuple[Mapping[str, Any], bytes]
"""Fields of a reply's header, and its payload. The last part of a request is `done`."""
_IDLE_SHARE: Final = 4
"""What may only run in an idle lane takes at most a quarter of its time, whoever asks for it."""

Answer = Callable[[Mapping[str, Any], bytes], None]
"""Sends one part to whoever asked. Called from a lane's thread."""


@dataclass(eq=False)
class Task(Generic[Engine]):
    """One request in a lane. `work` runs in the lane's thread; closing it stops it between its parts."""

    work: Callable[[Engine, "Task[Engine]"], Iterator[Part]]
    answer: Answer
    deadline: float
    """`time.monotonic()` from which on nobody waits any more."""
    urgency: Urgency = "now"
    _is_cancelled: bool = field(default=False, init=False)

    def cancel(self) -> None:
        """Nobody wants the answer; safe from any thread, at any time."""
        self._is_cancelled = True

    @property
    def is_cancelled(self) -> bool:
        """True once nobody wants the answer."""
        return self._is_cancelled

    @property
    def is_too_late(self) -> bool:
        """True once the deadline has passed."""
        return time.monotonic() >= self.deadline

    def fail(self, code: str, message: str) -> None:
        """Answer with an error."""
        self.answer({"status": "error", "code": code, "message": message}, b"")


class Lane(Generic[Engine]):
    """Loads an engine in its own thread and then does what is asked, the urgent first, in order.

    Requests that come while it loads wait in the queue like any other. At most `bound` wait. A lazy lane
    sleeps until its first request, and loads then.
    """

    def __init__(
        self,
        name: str,
        load: Callable[[], Engine],
        *,
        threads: int = 1,
        bound: int = 32,
        is_lazy: bool = False,
    ) -> None:
        self.name = name
        self.state: LaneState = "asleep" if is_lazy else "loading"
        self.why = ""
        self.load_seconds = 0.0
        self.done = 0
        self._load = load
        self._engine: Engine | None = None
        self._bound = bound
        self._urgent: deque[Task[Engine]] = deque()
        self._later: deque[Task[Engine]] = deque()
        self._running = 0
        self._no_idle_work_before = 0.0
        self._is_closing = False
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._run, args=(place == 0,), name=f"{name}-{place}", daemon=True)
            for place in range(threads)
        ]

    def start(self) -> None:
        """Begin to load."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Start nothing more. What runs is not waited for."""
        with self._changed:
            self._is_closing = True
            self._urgent.clear()
            self._later.clear()
            self._changed.notify_all()

    def submit(self, task: Task[Engine]) -> None:
        """Queue a request, or answer at once why not."""
        with self._changed:
            waiting = len(self._urgent) + len(self._later)
            if self.state == "unavailable":
                refusal = ("unavailable", self.why)
            elif waiting >= self._bound or self._is_closing:
                refusal = ("busy", f"{waiting} requests wait for {self.name} already")
            elif task.urgency == "if_idle" and (waiting or not self._is_idle()):
                refusal = ("busy", f"{self.name} is not idle")
            else:
                (self._later if task.urgency == "later" else self._urgent).append(task)
                if self.state == "asleep":
                    self.state = "loading"
                    self._changed.notify_all()
                self._changed.notify()
                return
        task.fail(*refusal)

    def cancel(self, task: Task[Engine]) -> None:
        """Take it out of the queue, or stop it at its next part."""
        task.cancel()
        with self._changed:
            for queue in (self._urgent, self._later):
                if task in queue:
                    queue.remove(task)

    def health(self) -> dict[str, Any]:
        """How this lane is, for a health reply."""
        with self._changed:
            return {
                "state": self.state,
                "why": self.why,
                "waiting": len(self._urgent) + len(self._later),
                "running": self._running,
                "done": self.done,
                "load_seconds": round(self.load_seconds, 3),
            }

    def _is_idle(self) -> bool:
        is_rested = time.monotonic() >= self._no_idle_work_before
        return self.state == "ready" and not self._running and is_rested

    # ── in the lane's threads ──
    def _run(self, is_first: bool) -> None:
        if is_first and self._is_woken():
            self._load_engine()
        while (task := self._next()) is not None:
            started = time.monotonic()
            try:
                self._do(task)
            finally:
                with self._changed:
                    if task.urgency == "if_idle":
                        now = time.monotonic()
                        self._no_idle_work_before = now + (now - started) * (_IDLE_SHARE - 1)
                    self._running -= 1
                    self.done += 1

    def _is_woken(self) -> bool:
        """Sleep until there is something to load for; False when the lane closes first."""
        with self._changed:
            self._changed.wait_for(lambda: self.state != "asleep" or self._is_closing)
            return not self._is_closing

    def _load_engine(self) -> None:
        started = time.monotonic()
        engine: Engine | None = None
        why = ""
        try:
            engine = self._load()
        except Exception as error:  # noqa: BLE001 - whatever it is, the other models go on
            why = str(error) or type(error).__name__
            logger.warning("a model could not be loaded", extra={"model": self.name, "why": why})
        with self._changed:
            self.load_seconds = time.monotonic() - started
            self._engine, self.why = engine, why
            self.state = "unavailable" if engine is None else "ready"
            refused = [] if engine is not None else [*self._urgent, *self._later]
            if refused:
                self._urgent.clear()
                self._later.clear()
            self._changed.notify_all()
        for task in refused:
            task.fail("unavailable", why)
        if engine is not None:
            logger.info("model loaded", extra={"model": self.name, "seconds": round(self.load_seconds, 3)})

    def _next(self) -> Task[Engine] | None:
        with self._changed:
            while not self._is_closing:
                if self._engine is not None and (queue := self._urgent or self._later):
                    self._running += 1
                    return queue.popleft()
                self._changed.wait()
        return None

    def _do(self, task: Task[Engine]) -> None:
        if task.is_cancelled or self._engine is None:
            return
        if task.is_too_late:
            task.fail("deadline", f"{self.name} did not get to it in time")
            return
        parts = task.work(self._engine, task)
        try:
            for header, payload in parts:
                if task.is_cancelled:
                    return
                if task.is_too_late and header["status"] != "done":
                    task.fail("deadline", f"{self.name} did not finish in time")
                    return
                task.answer(header, payload)
        except ValueError as error:
            task.fail("bad_request", str(error))
        except Exception:
            if task.is_too_late:
                task.fail("deadline", f"{self.name} did not finish in time")
            elif not task.is_cancelled:
                logger.exception("a model failed", extra={"model": self.name})
                task.fail("failed", f"{self.name} failed")
        finally:
            if (close := getattr(parts, "close", None)) is not None:
                close()
