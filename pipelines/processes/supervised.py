"""One process that is kept alive: started, watched, started again, stopped."""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from pipelines.processes.life import LifePipe
from pipelines.processes.output import Lines, RotatingLog
from pipelines.processes.running import Adopted, Launched, ProcessSpec, Running, Upkeep
from pipelines.processes.tree import descendants_of, kill_group, kill_processes, kill_tree

logger = logging.getLogger(__name__)

State = Literal["starting", "running", "waiting", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits between restarts: doubling, with jitter, and from the start again after a healthy while."""

    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    healthy_seconds: float = 20.0

    def delay(self, failures: int) -> float:
        """Seconds to wait after this many failures in a row (1 is the first): half to all of the step."""
        step: float = min(self.longest_seconds, self.first_seconds * 2 ** min(failures - 1, 30))
        return step * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, keeps no secret


class Supervised:
    """One process that is kept alive until it is stopped."""

    def __init__(
        self,
        spec: ProcessSpec,
        life: LifePipe,
        *,
        backoff: Backoff,
        on_line: Callable[["Supervised", str], None] | None,
        on_exit: Callable[["Supervised", int], None] | None,
    ) -> None:
        self.spec = spec
        self.state: State = "starting"
        self.restarts = 0
        self.exit_code: int | None = None
        """Of the last end: negative is the signal's number, 127 a program that could not be started."""
        self.started_at: float | None = None
        self._life = life
        self._backoff = backoff
        self._on_line = on_line
        self._on_exit = on_exit
        self._running: Running | None = None
        self._is_left = False
        self._exited = asyncio.Event()
        self._is_stopping = False
        self._hurry = asyncio.Event()  # no waiting before the next start: a restart or a stop was asked for
        self._task = asyncio.create_task(self._keep_alive(), name=f"supervise {spec.name}")

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """The running process's id, None between two runs."""
        return self._running.pid if self._running is not None else None

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after `stop_seconds`; returns when it and all it started are gone."""
        self.give_up()
        await self._end()
        await asyncio.shield(self._task)

    async def restart(self) -> None:
        """Stop the process and let it start again at once, without backoff and not counted as a failure."""
        self._hurry.set()
        await self._end()

    def ask_to_stop(self) -> None:
        """SIGTERM, ahead of the one of `stop`: whoever needs time for it has that much more."""
        if self._running is not None:
            self._running.ask_to_stop()

    def kill(self) -> None:
        """SIGKILL now, and no restart."""
        self.give_up()
        if self.pid is not None:
            kill_tree(self.pid)

    def give_up(self) -> None:
        """Let it run, but do not start it again when it ends."""
        self._is_stopping = True
        self._hurry.set()

    async def leave(self) -> None:
        """Let it run for whoever supervises it next."""
        self._is_left = True
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def wait(self) -> None:
        """Return when it was stopped for good."""
        await asyncio.shield(self._task)

    async def _end(self) -> None:
        if (process := self._running) is None:
            return
        descendants = descendants_of(process.pid)
        process.ask_to_stop()
        try:
            await asyncio.wait_for(self._exited.wait(), self.spec.stop_seconds)
        except TimeoutError:
            logger.warning("process did not stop in time, killing it", extra={"child": self.name})
            kill_tree(process.pid)
            await self._exited.wait()
        finally:
            # Its own children in other sessions; it should have stopped them and may not have.
            kill_processes(descendants)

    async def _keep_alive(self) -> None:
        failures = 0
        while not self._is_stopping:
            begun = time.monotonic()
            self.exit_code = await self._run_once()
            self.state = "waiting"
            if self._on_exit is not None:
                self._on_exit(self, self.exit_code)
            if self._is_stopping:
                break
            failures = 1 if time.monotonic() - begun >= self._backoff.healthy_seconds else failures + 1
            delay = self._backoff.delay(failures)
            if not self._hurry.is_set():
                logger.warning(
                    "process ended, starting it again",
                    extra={"child": self.name, "exit_code": self.exit_code, "delay_seconds": round(delay, 2)},
                )
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), delay)
                failures = 0
            self._hurry.clear()
            self.restarts += 1
        self.state = "stopped"

    async def _run_once(self) -> int:
        spec = self.spec
        log = RotatingLog(spec.log_path)
        lines = Lines(log, self._take_line)
        running: Running | None = None
        try:
            try:
                running = Adopted.of(spec) or Launched(spec, self._life, log, lines)
            except OSError as error:
                lines.feed(f"{spec.command[0]}: {error.strerror}\n".encode())
                return 127
            self._exited.clear()
            self._running, self.state, self.started_at = running, "running", time.time()
            async with Upkeep(log) if spec.outlives else contextlib.nullcontext():
                code = await running.ended()
            kill_group(running.pid)
            return code
        except asyncio.CancelledError:
            if running is not None and not self._is_left:
                kill_tree(running.pid)
            raise
        finally:
            self._running = None
            self._exited.set()
            if running is not None:
                running.close()
            lines.finish()
            log.close()

    def _take_line(self, line: str) -> None:
        if self._on_line is not None:
            self._on_line(self, line)
