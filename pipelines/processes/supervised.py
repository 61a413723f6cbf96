"""One process that is kept alive: started, watched, started again, stopped."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pipelines.processes.life import LIFE_FD, LifePipe
from pipelines.processes.output import Lines, RotatingLog
from pipelines.processes.tree import descendants_of, kill_group, kill_processes, kill_tree

logger = logging.getLogger(__name__)

LEASH = Path(__file__).with_name("leash.py")
State = Literal["starting", "running", "waiting", "stopped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process to keep alive."""

    name: str
    command: tuple[str, ...]
    log_path: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """What is added to the environment that this process was given itself."""
    cwd: Path | None = None
    stop_seconds: float = 5.0
    """From SIGTERM, which only the process itself gets, to SIGKILL for it and all it started."""
    watches_life_pipe: bool = True
    """False for a program that is not ours: it is put on a leash."""


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
        self._process: subprocess.Popen[bytes] | None = None
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
        return self._process.pid if self._process is not None else None

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL after `stop_seconds`; returns when it and all it started are gone."""
        self.give_up()
        await self._end()
        await asyncio.shield(self._task)

    async def restart(self) -> None:
        """Stop the process and let it start again at once, without backoff and not counted as a failure."""
        self._hurry.set()
        await self._end()

    def kill(self) -> None:
        """SIGKILL now, and no restart."""
        self.give_up()
        if self.pid is not None:
            kill_tree(self.pid)

    def give_up(self) -> None:
        """Let it run, but do not start it again when it ends."""
        self._is_stopping = True
        self._hurry.set()

    async def wait(self) -> None:
        """Return when it was stopped for good."""
        await asyncio.shield(self._task)

    async def _end(self) -> None:
        if (process := self._process) is None:
            return
        descendants = descendants_of(process.pid)
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
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
        loop = asyncio.get_running_loop()
        log = RotatingLog(self.spec.log_path)
        lines = Lines(log, self._take_line)
        read_fd, write_fd = os.pipe()
        transport: asyncio.BaseTransport | None = None
        process: subprocess.Popen[bytes] | None = None
        try:
            try:
                process = self._launch(write_fd)
            except OSError as error:
                lines.feed(f"{self.spec.command[0]}: {error.strerror}\n".encode())
                return 127
            finally:
                os.close(write_fd)
            self._exited.clear()
            self._process, self.state, self.started_at = process, "running", time.time()
            exited: asyncio.Future[int] = loop.create_future()
            # A thread of its own and not asyncio's subprocess: that one waits for the output pipe too, and a
            # straggler which holds the pipe would hide that the process itself is dead.
            waiting = threading.Thread(target=_wait, args=(process, loop, exited), daemon=True)
            waiting.start()
            output = _Output(lines)
            transport, _ = await loop.connect_read_pipe(lambda: output, os.fdopen(read_fd, "rb", 0))
            read_fd = -1
            code = await exited
            kill_group(process.pid)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(output.at_end.wait(), 0.5)
            return code
        except asyncio.CancelledError:
            if process is not None:
                kill_tree(process.pid)
            raise
        finally:
            self._process = None
            self._exited.set()
            if transport is not None:
                transport.close()
            if read_fd >= 0:
                os.close(read_fd)
            lines.finish()
            log.close()

    def _launch(self, output_fd: int) -> subprocess.Popen[bytes]:
        spec, life_fd = self.spec, self._life.read_fd
        command = list(spec.command)
        # The whole environment is handed on, not read: settings are read in the settings modules alone.
        env = {**os.environ, **spec.env}
        env.pop(LIFE_FD, None)
        if spec.watches_life_pipe:
            env[LIFE_FD] = str(life_fd)
        else:
            # The kernel's signal is bound to the starting thread, which must live as long as this process.
            watch = [] if threading.current_thread() is threading.main_thread() else ["--watch"]
            command = [sys.executable, "-I", "-S", str(LEASH), *watch, str(life_fd), *command]
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output_fd,
            stderr=output_fd,
            env=env,
            cwd=spec.cwd,
            pass_fds=(life_fd,),
            start_new_session=True,
        )

    def _take_line(self, line: str) -> None:
        if self._on_line is not None:
            self._on_line(self, line)


class _Output(asyncio.Protocol):
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.at_end = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._lines.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.at_end.set()


def _wait(
    process: subprocess.Popen[bytes], loop: asyncio.AbstractEventLoop, exited: "asyncio.Future[int]"
) -> None:
    code = process.wait()
    # The loop is closed when the program ended without stopping its children first.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, exited, code)


def _settle(exited: "asyncio.Future[int]", code: int) -> None:
    if not exited.done():
        exited.set_result(code)
