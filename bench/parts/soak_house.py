"""The product in a soak: started as an operator does it, killed part by part, looked at from outside."""

import asyncio
import contextlib
import random
import re
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.support.stack import COMMAND, ROOT, environment, ports_of

AGAIN_SECONDS = 1.0
"""After which whoever runs `call2me up` starts it again."""
FATAL_RESTARTS = 200
PATIENCE_SECONDS = 120.0
_KINDS = (
    ("up", "api.cli up"),
    ("api", "api.cli serve"),
    ("exchange", "worker exchange"),
    ("shard", "worker shard"),
    ("models", "worker models"),
    ("text", "worker text"),
    ("agents", "worker agents"),
    ("supervisor", "-m worker"),
    ("livekit", "livekit-server"),
)


def kind_of(command: str) -> str:
    """Which of our processes this is."""
    return next((kind for kind, sign in _KINDS if sign in command), "other")


@dataclass
class Footprint:
    """All processes of a kind at a moment."""

    processes: int = 0
    descriptors: int = 0
    udp: int = 0
    threads: int = 0
    mb: float = 0.0


class House:
    """A running product, and what one asks it."""

    def __init__(self, home: Path, settings: dict[str, str]) -> None:
        self.home = home
        self.environment = environment(home, **ports_of(home), **settings)
        self.url = f"http://127.0.0.1:{self.environment['CALL2ME_PORT']}"
        self.key = ""
        self.starts = 0
        self.killed: list[tuple[float, str, int]] = []
        self.unanswered: Counter[str] = Counter()
        """Requests that were made again: why."""
        self.http: aiohttp.ClientSession
        self._up: asyncio.subprocess.Process | None = None
        self._is_stopping = False

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["House"]:
        """Started, and started again whenever it ends, until the block does."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as self.http:
            keeping = asyncio.create_task(self._keep())
            try:
                await self.ready()
                yield self
            finally:
                self._is_stopping = True
                if self._up is not None and self._up.returncode is None:
                    self._up.terminate()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._up.wait(), 30)
                keeping.cancel()
                await asyncio.gather(keeping, return_exceptions=True)
                for process in self.processes():
                    with contextlib.suppress(psutil.Error):
                        process.kill()

    async def _keep(self) -> None:
        log = self.home / "up.log"
        while not self._is_stopping:
            with log.open("ab") as written:
                self._up = await asyncio.create_subprocess_exec(
                    *COMMAND, "up", env=self.environment, cwd=ROOT, stdout=written, stderr=written
                )
            self.starts += 1
            await self._up.wait()
            await asyncio.sleep(AGAIN_SECONDS)

    async def ready(self) -> None:
        """It takes calls, and we have the key that it printed."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with self.http.get(f"{self.url}/ready") as reply:
                        if reply.status == 200:
                            break
                await asyncio.sleep(0.2)
            printed = self.home / "up.log"
            while not (found := re.search(r"sk_call2me_\w+", printed.read_text())):  # noqa: ASYNC110
                await asyncio.sleep(0.2)
        self.key = found.group()

    async def ask(
        self, method: str, path: str, body: Any = None, *, key: str = "", seconds: float = PATIENCE_SECONDS
    ) -> tuple[int, Any]:
        """What it answers in the end: a lost answer, a 5xx and a 409 that says so are asked again under the
        same key. 0 where no answer came in time."""
        headers = {"Authorization": f"Bearer {self.key}"} | ({"Idempotency-Key": key} if key else {})
        until, status, told = time.time() + seconds, 0, None
        while time.time() < until:
            try:
                async with self.http.request(method, self.url + path, json=body, headers=headers) as reply:
                    told = await reply.json(content_type=None)
                    status = reply.status
                    if status < 500 and not (status == 409 and "Retry-After" in reply.headers):
                        return status, told
                    self.unanswered[f"{method} {path.split('/')[2]} {status}"] += 1
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
                self.unanswered[f"{method} {path.split('/')[2]} {type(error).__name__}"] += 1
                status = 0
            await asyncio.sleep(0.7)
        return status, told

    async def get(self, path: str) -> Any:
        """The JSON of a GET that must succeed."""
        status, told = await self.ask("GET", path)
        assert status == 200, f"{path}: {status} {told}"
        return told

    async def made(self, path: str, body: Any, method: str = "POST") -> Any:
        """The JSON of a request that must succeed."""
        status, told = await self.ask(
            method, path, body, key=f"made-{time.time()}" if method == "POST" else ""
        )
        assert 200 <= status < 300, f"{path}: {status} {told}"
        return told

    async def every(self, path: str, name: str, limit: int = 100) -> list[dict[str, Any]]:
        """All pages of a list."""
        found: list[dict[str, Any]] = []
        while True:
            mark = "&" if "?" in path else "?"
            told = await self.get(f"{path}{mark}limit={limit}&offset={len(found)}")
            found += told[name]
            if not told[name] or len(found) >= told.get("total", 0):
                return found

    # ── what is killed, and what is held ────────────────────────────────────────────────────────────────────

    def processes(self) -> list[psutil.Process]:
        """All of this home's, whoever is their parent by now."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.environ().get("CALL2ME_HOME") == str(self.home):
                    found.append(process)
        return found

    def by_kind(self) -> dict[str, list[psutil.Process]]:
        """The same, sorted."""
        sorted_: dict[str, list[psutil.Process]] = defaultdict(list)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                if process.status() != psutil.STATUS_ZOMBIE:
                    sorted_[kind_of(" ".join(process.cmdline()))].append(process)
        return sorted_

    def kill_one(self, chance: random.Random, kinds: set[str]) -> str:
        """Kill one of ours, each kind as likely as the next; which, empty where none of them is there now."""
        here = {kind: found for kind, found in sorted(self.by_kind().items()) if not kinds or kind in kinds}
        if not here:
            return ""
        kind = chance.choice(sorted(here))
        victim = chance.choice(sorted(here[kind], key=lambda one: one.pid))
        with contextlib.suppress(psutil.Error):
            victim.kill()
        self.killed.append((time.time(), kind, victim.pid))
        return kind

    def footprint(self) -> dict[str, Footprint]:
        """What they hold now."""
        told: dict[str, Footprint] = defaultdict(Footprint)
        for kind, processes in self.by_kind().items():
            for process in processes:
                with contextlib.suppress(psutil.Error):
                    here = told[kind]
                    here.descriptors += process.num_fds()
                    here.udp += len(process.net_connections("udp"))
                    here.threads += process.num_threads()
                    here.mb += process.memory_full_info().pss / 1e6
                    here.processes += 1
        return dict(told)


@dataclass
class Verdict:
    """One thing that must be so: how many were looked at, and each that was not so."""

    what: str
    looked_at: int
    wrong: list[str] = field(default_factory=list)
    notes: str = ""

    def told(self) -> str:
        """A line, and the first of what is wrong below it."""
        mark = "ok  " if not self.wrong else "FAIL"
        more = f" ({self.notes})" if self.notes else ""
        lines = [f"{mark} {self.what}: {self.looked_at - len(self.wrong)} of {self.looked_at}{more}"]
        return "\n".join([*lines, *(f"       {one}" for one in self.wrong[:12])])
