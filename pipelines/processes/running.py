"""One run of a process: started here, or by a predecessor that died and found again by its place."""

import asyncio
import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol

from pipelines.processes import place
from pipelines.processes.life import LIFE_FD, LIFE_WAIT, LifePipe
from pipelines.processes.output import Lines, RotatingLog
from pipelines.processes.tree import kill_group, kill_tree

logger = logging.getLogger(__name__)

LEASH = Path(__file__).with_name("leash.py")
SUCCESSOR_SECONDS = 15.0
"""How long a process with a place goes on without anybody who supervises it."""
UNKNOWN_CODE = 255
"""Of a process that a predecessor started: only its parent is told how it ended."""
TURN_OVER_SECONDS = 1.0


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
    place: Path | None = None
    """The file that the process itself locks (`place.take`): with it, it outlives its supervisor for a while,
    and the next one goes on with it. It writes its log itself, so nobody is told its lines."""
    identity: str = ""
    """What it must have taken its place with; one that was started as something else is killed."""

    @property
    def outlives(self) -> bool:
        """True when the next supervisor may go on with it."""
        return self.place is not None and place.IS_POSSIBLE


class Running(Protocol):
    """A process that runs."""

    @property
    def pid(self) -> int:
        """Its id."""

    def ask_to_stop(self) -> None:
        """SIGTERM, if it is still there."""

    async def ended(self) -> int:
        """Wait for its end; returns its exit code, `UNKNOWN_CODE` where nobody tells."""

    def close(self) -> None:
        """Let go of it, whether it runs or not."""


class Launched:
    """Started here. Raises OSError when it cannot be."""

    def __init__(self, spec: ProcessSpec, life: LifePipe, log: RotatingLog, lines: Lines) -> None:
        self._output = _Output(lines)
        self._transport: asyncio.BaseTransport | None = None
        self._read_fd = -1
        if spec.outlives:
            self._process = _launch(spec, life.read_fd, log.fd)
            return
        self._read_fd, write_fd = os.pipe()
        try:
            self._process = _launch(spec, life.read_fd, write_fd)
        except BaseException:
            os.close(self._read_fd)
            raise
        finally:
            os.close(write_fd)

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    def ask_to_stop(self) -> None:
        """SIGTERM, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for its end and for the last of what it said."""
        loop = asyncio.get_running_loop()
        exited: asyncio.Future[int] = loop.create_future()
        # A thread of its own and not asyncio's subprocess: that one waits for the output pipe too, and a
        # straggler which holds the pipe would hide that the process itself is dead.
        waiting = threading.Thread(target=_wait, args=(self._process, loop, exited), daemon=True)
        waiting.start()
        if self._read_fd < 0:
            return await exited
        pipe, self._read_fd = os.fdopen(self._read_fd, "rb", 0), -1
        self._transport, _ = await loop.connect_read_pipe(lambda: self._output, pipe)
        code = await exited
        kill_group(self._process.pid)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._output.at_end.wait(), 0.5)
        return code

    def close(self) -> None:
        """Let go of its output."""
        if self._transport is not None:
            self._transport.close()
        if self._read_fd >= 0:
            os.close(self._read_fd)
            self._read_fd = -1


class Adopted:
    """Started by a predecessor; watched by its descriptor."""

    def __init__(self, pid: int, descriptor: int) -> None:
        self.pid = pid
        self._descriptor = descriptor

    @classmethod
    def of(cls, spec: ProcessSpec) -> "Adopted | None":
        """Whoever holds the spec's place; one that was started as something else is killed first."""
        if spec.place is None or not spec.outlives or (held := place.holder(spec.place)) is None:
            return None
        try:
            descriptor = os.pidfd_open(held.pid)
        except ProcessLookupError:
            return None
        # Who holds it still did so after the descriptor was made, so the descriptor is its.
        if place.holder(spec.place) != held:
            os.close(descriptor)
            return None
        if held.identity != spec.identity:
            logger.warning("one that was started otherwise is ended", extra={"child": spec.name})
            kill_tree(held.pid)
            os.close(descriptor)
            return None
        logger.info("going on with a predecessor's process", extra={"child": spec.name})
        return cls(held.pid, descriptor)

    def ask_to_stop(self) -> None:
        """SIGTERM, if it is still there."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._descriptor, signal.SIGTERM)

    async def ended(self) -> int:
        """Wait for its end."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        loop.add_reader(self._descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self._descriptor)
        return UNKNOWN_CODE

    def close(self) -> None:
        """Let go of the descriptor."""
        os.close(self._descriptor)


class Upkeep:
    """Keeps the log of a process that writes it itself within its limits, as long as this lasts."""

    def __init__(self, log: RotatingLog) -> None:
        self._log = log
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> None:
        self._task = asyncio.create_task(self._turn_over(), name="log")

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _turn_over(self) -> None:
        while True:
            await asyncio.sleep(TURN_OVER_SECONDS)
            await asyncio.to_thread(self._log.turn_over)


class _Output(asyncio.Protocol):
    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self.at_end = asyncio.Event()

    def data_received(self, data: bytes) -> None:
        self._lines.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self.at_end.set()


def _launch(spec: ProcessSpec, life_fd: int, output_fd: int) -> "subprocess.Popen[bytes]":
    command = list(spec.command)
    # The whole environment is handed on, not read: settings are read in the settings modules alone.
    env = {**os.environ, **spec.env}
    env.pop(LIFE_FD, None)
    env.pop(LIFE_WAIT, None)
    if spec.watches_life_pipe:
        env[LIFE_FD] = str(life_fd)
        if spec.outlives:
            env[LIFE_WAIT] = str(SUCCESSOR_SECONDS)
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


def _wait(
    process: "subprocess.Popen[bytes]", loop: asyncio.AbstractEventLoop, exited: "asyncio.Future[int]"
) -> None:
    code = process.wait()
    # The loop is closed when the program ended without stopping its children first.
    with contextlib.suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, exited, code)


def _settle(exited: "asyncio.Future[int]", code: int) -> None:
    if not exited.done():
        exited.set_result(code)
