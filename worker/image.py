"""What agent servers and calls are made of, loaded once, and two agent servers forked from it.

    agents           imports everything, runs nothing, forks an agent server again when one ends
      ├─ main 1      registers with livekit-server
      │   └─ nursery 1 ── a process for each of its calls
      └─ main 2
          └─ nursery 2 ── …

An agent server takes all its calls along when it dies, so there are always two. All of them are forked
from one image: what was imported is in memory once, and a new one is there within a moment.
"""

import functools
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from multiprocessing import connection, forkserver, resource_tracker
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from pipelines.processes import life
from worker import agents, memory
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

MAINS = 2
HEALTHY_SECONDS = 10.0
FIRST_WAIT_SECONDS = 0.1
LONGEST_WAIT_SECONDS = 10.0

Start = Callable[[int], None]
"""Runs the agent server of that number until it was asked to stop."""


def serve(settings: WorkerSettings) -> None:
    """Keep the agent servers until SIGTERM (calls may end) or SIGINT (they are ended)."""
    if sys.platform != "linux":
        # Frameworks of macOS do not survive a fork; one agent server must do there.
        agents.serve(settings)
        return
    agents.preload(settings)
    keep(functools.partial(_main, settings))


def keep(start: Start, mains: int = MAINS) -> None:
    """Fork `mains` agent servers from this process, and each again when it ends, until a signal."""
    resource_tracker.ensure_running()  # one for all of them
    # What is frozen is not touched by the collectors of all those processes: it stays shared.
    memory.settle()
    _Image(start).run(mains)


def _main(settings: WorkerSettings, number: int) -> None:
    agents.serve(agents.share(settings, number, MAINS))


class _Image:
    def __init__(self, start: Start) -> None:
        self._start = start
        self._pid = os.getpid()
        self._running: dict[int, tuple[int, float]] = {}
        """Process id to an agent server's number and when it was started."""
        self._waits: dict[int, float] = {}
        self._is_stopping = False

    def run(self, mains: int) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._pass_on)
        for child in range(1, mains + 1):
            self._fork(child, 0.0)
        while self._running:
            pid, status = os.waitpid(-1, 0)
            if pid not in self._running:
                continue
            child, started = self._running.pop(pid)
            if self._is_stopping:
                continue
            code = os.waitstatus_to_exitcode(status)
            logger.error(
                "an agent server ended, forking it again", extra={"child": number, "exit_code": code}
            )
            before = 0.0 if time.monotonic() - started > HEALTHY_SECONDS else self._waits.get(child, 0.0)
            self._waits[child] = min(LONGEST_WAIT_SECONDS, before * 2 or FIRST_WAIT_SECONDS)
            self._fork(child, before)

    def _fork(self, number: int, wait: float) -> None:
        # Blocked, or a signal between the fork and its note here would miss the newborn.
        signals = {signal.SIGTERM, signal.SIGINT}
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        try:
            if (pid := os.fork()) == 0:
                self._become(number, wait, signals)
            self._running[pid] = (number, time.monotonic())
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        if self._is_stopping:
            os.kill(pid, signal.SIGTERM)

    def _become(self, number: int, wait: float, signals: set[signal.Signals]) -> NoReturn:
        """In the new process: be the agent server of this number, and end with it."""
        code = 1
        try:
            for one in signals:
                signal.signal(one, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
            # A group of its own: should the image die, its agent servers go on until their calls are over.
            os.setpgid(0, 0)
            life.watch_again()
            time.sleep(wait)
            _fork_nursery()
            self._start(number)
            code = 0
        except BaseException:
            logger.exception("an agent server failed", extra={"child": number})
        finally:
            logging.shutdown()
            os._exit(code)

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        self._is_stopping = True
        for pid in self._running:
            os.kill(pid, number)


def _fork_nursery() -> None:
    """Start multiprocessing's fork server as a fork of this process, instead of a program of its own.

    Only so do processes of calls share the image. Should it die, multiprocessing starts one the usual way.
    """
    server: Any = forkserver._forkserver
    address = connection.arbitrary_address("AF_UNIX")  # type: ignore[attr-defined]
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    Path(address).chmod(0o600)
    listener.listen()
    alive_r, alive_w = os.pipe()
    if (pid := os.fork()) == 0:
        os.close(alive_w)
        try:
            forkserver.main(listener.detach(), alive_r, [])
        finally:
            os._exit(0)
    os.close(alive_r)
    listener.close()
    server._forkserver_address = address
    server._forkserver_alive_fd = alive_w
    server._forkserver_pid = pid
