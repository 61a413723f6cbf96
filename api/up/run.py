"""Starts livekit-server, the api and the worker, waits until a call could be answered, stops them all."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

from api.settings import Settings
from api.up import first_start, livekit_config, status, telling
from api.up.command import spelled
from api.up.console import Console, last_words
from api.up.errors import CannotStart
from api.up.livekit_server import Found, get
from api.up.preflight import check, only_one
from pipelines.processes import Backoff, Group, ProcessSpec, Supervised

POLL_SECONDS = 0.2
LEARNING_SECONDS = 60.0
RESTARTS = Backoff(first_seconds=0.1)
"""Calls wait for whatever died."""
REMIND_SECONDS = 10.0
NOT_AS_CONFIGURED = 2
"""Exit code of a part whose settings cannot be used; trying again would not help."""
PARTING_SECONDS = 5.0
"""What the worker needs beside the time that calls get: it ends those that are left, and tells of them."""
LONG_SECONDS = 5
"""Whoever waits longer for calls to end is told so."""
MOST_EARLY_ENDS = 3
"""A process that ends this often before a call could be answered will not do better."""


def up(settings: Settings) -> None:
    """Run everything until Ctrl-C or SIGTERM; raises `CannotStart` with a sentence for a person."""
    console = Console()
    # What supervision would log, the console says in its own words.
    logging.getLogger("pipelines.processes").setLevel(logging.CRITICAL)
    # While nothing is supervised yet. Service managers stop with SIGTERM, a terminal by hanging up.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with only_one(settings):
        # Of an `up` that was killed; its processes' ids may be others' now.
        status.path(settings).unlink(missing_ok=True)
        check(settings)
        server = get(settings, console.say) if settings.livekit.is_ours else None
        # Getting livekit-server for the first time has told its own minutes.
        was_killed = asyncio.run(_Run(settings, server, console, time.monotonic()).run())
    if was_killed:
        raise SystemExit(128 + signal.SIGINT)


class _Run:
    def __init__(self, settings: Settings, server: Found | None, console: Console, begun: float) -> None:
        self._settings = settings
        self._server = server
        self._console = console
        self._begun = begun
        self._started_at = round(time.time(), 3)
        self._stop = asyncio.Event()
        self._doubt = asyncio.Event()  # something ended: ask again whether a call could be answered
        self._is_ready = False
        self._is_killed = False
        self._early_ends: dict[str, int] = {}
        self._last_lines: dict[str, str] = {}
        self._failure: str | None = None
        self._written: dict[str, Any] = {}
        self._group: Group | None = None

    async def run(self) -> bool:
        """Until stopped; True when a second Ctrl-C cut the stopping short."""
        self._console.say("Starting call2me …")
        for sentence in self._settings.misspelt:
            self._console.say(f"  {sentence}")
        group = self._group = Group(backoff=RESTARTS, on_line=self._on_line, on_exit=self._on_exit)
        with self._signals():
            async with group:
                # The worker takes longest and needs nothing to begin; the api needs its database first.
                if self._server is not None:
                    group.start(self._livekit(self._server))
                preparing = asyncio.create_task(first_start.in_own_process(self._settings), name="prepare")
                group.start(self._worker())
                self._write_status()
                if not await self._until_stopped(preparing):
                    try:
                        prepared = preparing.result()
                    except CannotStart:
                        self._stop.set()  # what ends from here on is not started again
                        raise
                    # Before the worker in the order of stopping: the worker delivers to it until its end.
                    group.start(self._api(), before="worker")
                    await self._watch(prepared)
                if not self._failure:
                    self._console.say(f"\nStopping …{self._patience()}")
            status.path(self._settings).unlink(missing_ok=True)
        if self._failure:
            raise CannotStart(self._failure)
        self._console.say("Stopped." if not self._is_killed else "Killed.")
        return self._is_killed

    async def _until_stopped(self, work: "asyncio.Task[first_start.Prepared]") -> bool:
        """Wait for some work; True when stopping was asked for first, and the work is given up then."""
        stopping = asyncio.create_task(self._stop.wait(), name="stop")
        await asyncio.wait({work, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self._stop.is_set():
            work.cancel()
            with contextlib.suppress(asyncio.CancelledError, CannotStart):
                await work
            return True
        return False

    async def _watch(self, prepared: first_start.Prepared) -> None:
        """Wait until ready, tell, and then see after each end of a process that it becomes ready again."""
        was_told = False
        while await self._ready():
            if was_told:
                self._console.say("  ready again")
            else:
                if prepared.owner:
                    await self._learned(prepared.owner.api_key)
                self._tell(prepared)
                was_told = True
            self._doubt.clear()
            await self._stopped_or(self._doubt)
            if self._stop.is_set():
                return
            self._is_ready = False
            self._write_status()

    async def _ready(self) -> bool:
        """Wait until a call could be answered; False when stopped first."""
        told, told_at = "", time.monotonic()
        while not self._stop.is_set():
            is_ready, checks = await asyncio.to_thread(status.ready, self._settings)
            # The api may not have noticed yet that a part is gone.
            if is_ready and self._all_run():
                self._is_ready = self._console.shows_warnings = True
                self._write_status()
                return True
            self._write_status()
            waiting = _waits_for(checks)
            is_due = time.monotonic() - told_at > REMIND_SECONDS
            if waiting and (waiting != told or is_due):
                told, told_at = waiting, time.monotonic()
                self._console.say(f"  waiting for {waiting} ({time.monotonic() - self._begun:.0f} s)")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), POLL_SECONDS)
        return False

    async def _learned(self, api_key: str) -> None:
        """Give a first start's knowledge the seconds it takes, so that the first question finds it."""
        ends_at = time.monotonic() + LEARNING_SECONDS
        is_told = False
        while time.monotonic() < ends_at and not self._stop.is_set():
            if not await asyncio.to_thread(status.is_learning, self._settings, api_key):
                return
            if not is_told:
                self._console.say("  waiting for the demo agent to read what it should know")
                is_told = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stop.wait(), POLL_SECONDS)

    def _all_run(self) -> bool:
        processes = self._group.processes.values() if self._group is not None else ()
        return all(process.state == "running" for process in processes)

    async def _stopped_or(self, event: asyncio.Event) -> None:
        waits = [asyncio.create_task(self._stop.wait()), asyncio.create_task(event.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for wait in waits:
            wait.cancel()

    def _tell(self, prepared: first_start.Prepared) -> None:
        seconds = time.monotonic() - self._begun
        telling.tell(self._settings, prepared, seconds, self._console.say, is_kept=telling.is_kept())

    def _livekit(self, server: Found) -> ProcessSpec:
        return ProcessSpec(
            name="livekit",
            command=(str(server.path), "--config", str(livekit_config.write(self._settings))),
            log_path=self._settings.logs / "livekit.log",
            env=livekit_config.keys(self._settings),
            # It would wait for the last participant to leave.
            stop_seconds=1.0,
            watches_life_pipe=False,
        )

    def _api(self) -> ProcessSpec:
        return ProcessSpec(
            name="api",
            command=(sys.executable, "-m", "api.cli", "serve"),
            log_path=self._settings.logs / "api.log",
            env=self._environment(),
            stop_seconds=1.5,
        )

    def _worker(self) -> ProcessSpec:
        return ProcessSpec(
            name="worker",
            command=(sys.executable, "-m", "worker"),
            log_path=self._settings.logs / "worker.log",
            env=self._environment(),
            stop_seconds=self._settings.drain_seconds + PARTING_SECONDS,
        )

    def _environment(self) -> dict[str, str]:
        # JSON whatever the person chose for a terminal: the log files are read by programs, this one first.
        return {
            "CALL2ME_HOME": str(self._settings.home),
            "CALL2ME_API_URL": status.address(self._settings),
            "CALL2ME_LOG_FORMAT": "json",
            "PYTHONUNBUFFERED": "1",
        }

    def _on_line(self, process: Supervised, line: str) -> None:
        self._last_lines[process.name] = line
        self._console.log_line(process.name, line)

    def _on_exit(self, process: Supervised, code: int) -> None:
        if self._stop.is_set():
            return
        how = f"was killed by signal {-code}" if code < 0 else f"ended with {code}"
        self._doubt.set()
        self._write_status()
        if code == NOT_AS_CONFIGURED:
            self._failure = (
                f"{process.name} cannot start: {last_words(self._last_lines.get(process.name, ''))}"
            )
            self._stop.set()
            return
        self._console.say(f"  {process.name} {how}, starting it again")
        if self._is_ready:
            return
        ends = self._early_ends[process.name] = self._early_ends.get(process.name, 0) + 1
        if ends >= MOST_EARLY_ENDS:
            self._failure = (
                f"{process.name} ended {ends} times and does not start; "
                f"see {process.spec.log_path}, or run `{spelled('doctor')}`."
            )
            self._stop.set()

    def _patience(self) -> str:
        if (seconds := self._settings.drain_seconds) <= LONG_SECONDS:
            return ""
        return f" Running calls have {seconds} s to end (CALL2ME_DRAIN_SECONDS); Ctrl-C again does not wait."

    def _write_status(self) -> None:
        processes = self._group.processes if self._group is not None else {}
        livekit = self._server.version if self._server is not None else None
        found = {
            "pid": os.getpid(),
            "started_at": self._started_at,
            "is_ready": self._is_ready,
            "where": status.whereabouts(self._settings),
            "processes": {
                name: {
                    "pid": process.pid,
                    "state": process.state,
                    "restarts": process.restarts,
                    "started_at": process.started_at,
                    "log": str(process.spec.log_path),
                }
                for name, process in processes.items()
            },
            "versions": status.versions(livekit),
        }
        if found != self._written:
            self._written = found
            status.write(self._settings, found)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        for number in numbers:
            loop.add_signal_handler(number, self._on_signal)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def _on_signal(self) -> None:
        if not self._stop.is_set():
            self._stop.set()
        elif self._group is not None:
            self._is_killed = True
            self._group.kill()


def _waits_for(checks: dict[str, str]) -> str:
    """The parts that are not up, with their reasons, for a person."""
    if not checks:
        return "the api"
    return "; ".join(f"{name}: {why}" for name, why in checks.items() if why != "up")
