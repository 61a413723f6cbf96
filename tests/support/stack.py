"""The whole product as a person starts it: `call2me up` in a home of its own."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import psutil

from tests.support.ports import free_port

ROOT = Path(__file__).resolve().parents[2]

READY_SECONDS = 120


@dataclass
class Stack:
    """A running `call2me up`."""

    home: Path
    url: str
    process: asyncio.subprocess.Process
    api_key: str
    http: aiohttp.ClientSession
    printed: list[str] = field(default_factory=list)
    seconds_to_ready: float = 0.0

    async def get(self, path: str, **options: Any) -> Any:
        """The JSON of a GET that must succeed, asked as the SDKs ask."""
        return await self._json("GET", path, **options)

    async def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON of a POST that must succeed."""
        return await self._json("POST", path, json=body or {})

    async def patch(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON of a PATCH that must succeed."""
        return await self._json("PATCH", path, json=body)

    async def _json(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.api_key}", "Content-Type": "application/json"}
        async with self.http.request(method, self.url + path, headers=headers, **options) as reply:
            text = await reply.text()
            assert reply.ok, f"{method} {path}: {reply.status} {text}"
            return json.loads(text) if text else None

    async def status(self) -> dict[str, Any]:
        """What `call2me status --json` says."""
        probe = await asyncio.create_subprocess_exec(
            *COMMAND, "status", "--json", env=dict(environment(self.home)), stdout=asyncio.subprocess.PIPE
        )
        out, _ = await probe.communicate()
        status: dict[str, Any] = json.loads(out)
        return status

    async def ended(self, call_id: str, *, timeout: float = 15) -> dict[str, Any]:
        """The call, once it is over."""
        async with asyncio.timeout(timeout):
            while True:
                call: dict[str, Any] = await self.get(f"/v1/calls/{call_id}")
                if call["call_status"] not in {"pending", "ringing", "in_progress"}:
                    return call
                await asyncio.sleep(0.1)


async def process_of(call_id: str) -> psutil.Process:
    """The process that holds this call: it has the call's spool open."""
    async with asyncio.timeout(15):
        while (found := _process_of(call_id)) is None:
            await asyncio.sleep(0.02)
    return found


def _process_of(call_id: str) -> psutil.Process | None:
    # Not only among those below `up`: they outlive their supervisor.
    for process in psutil.process_iter():
        # Read by hand: the name under which a spool was opened is gone, and psutil passes such over.
        with contextlib.suppress(OSError):
            for file in Path(f"/proc/{process.pid}/fd").iterdir():
                if call_id in os.fspath(file.readlink()):
                    return process
    return None


async def service_of(home: Path, *arguments: str) -> psutil.Process:
    """The process of this home that was started with these arguments of Python."""
    async with asyncio.timeout(30):
        while (found := _service_of(home, list(arguments))) is None:
            await asyncio.sleep(0.02)
    return found


def _service_of(home: Path, arguments: list[str]) -> psutil.Process | None:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_one = process.cmdline()[1 : len(arguments) + 1] == arguments
            if is_one and process.environ().get("CALL2ME_HOME") == str(home):
                return process
    return None


COMMAND = (sys.executable, "-m", "api.cli")


def environment(home: Path, **more: str) -> dict[str, str]:
    """This process's environment without any setting of ours, for a stack of its own."""
    ours = ("CALL2ME_", "LIVEKIT_", "OPENAI_", "DEEPGRAM_")
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(ours) or name == "CALL2ME_LIVEKIT_SERVER"
    }
    # A test looks again and again, more often than a person may.
    steady = {"CALL2ME_RATE_LIMITS": "off"}
    return {**kept, **steady, "CALL2ME_HOME": str(home), "PYTHONPATH": str(ROOT), **more}


def ports_of(home: Path) -> dict[str, str]:
    """The same free ports each time for the same home, as settings."""
    kept = home / "test-ports.json"
    if not kept.exists():
        home.mkdir(parents=True, exist_ok=True)
        ports = {
            "CALL2ME_PORT": free_port(),
            "CALL2ME_LIVEKIT_PORT": free_port(),
            "CALL2ME_LIVEKIT_UDP_PORT": free_port(socket.SOCK_DGRAM),
        }
        kept.write_text(json.dumps({name: str(port) for name, port in ports.items()}))
    found: dict[str, str] = json.loads(kept.read_text())
    return found


@contextlib.asynccontextmanager
async def running(home: Path, **settings: str) -> AsyncIterator[Stack]:
    """Start, wait until a call could be answered, stop as Ctrl-C does and see that it stopped."""
    env = environment(home, **ports_of(home), **settings)
    url = f"http://127.0.0.1:{env['CALL2ME_PORT']}"
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "up", env=env, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    printed: list[str] = []

    async def keep() -> None:
        assert process.stdout is not None
        async for line in process.stdout:
            printed.append(line.decode().rstrip())

    reading = asyncio.ensure_future(keep())
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15)) as http:
        try:
            await _ready(url, http, process, printed)
            stack = Stack(home, url, process, "", http, printed, time.perf_counter() - began)
            stack.api_key = await _api_key(home, printed)
            yield stack
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), 15)
            finally:
                if process.returncode is None:
                    process.kill()
                reading.cancel()


async def _ready(
    url: str, http: aiohttp.ClientSession, process: asyncio.subprocess.Process, printed: list[str]
) -> None:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while True:
                if process.returncode is not None:
                    raise AssertionError(f"up ended with {process.returncode}:\n" + "\n".join(printed))
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                    async with http.get(url + "/ready", timeout=aiohttp.ClientTimeout(total=2)) as reply:
                        if reply.status == 200:
                            return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError("not ready in time:\n" + "\n".join(printed)) from None


async def _api_key(home: Path, printed: list[str]) -> str:
    """Printed once, on the first start; kept beside the home for the next start of the same home."""
    kept = home / "test-api-key"
    if not kept.exists():
        async with asyncio.timeout(75):  # the demo agent reads what it should know first
            while not (found := re.search(r"sk_call2me_\w+", "\n".join(printed))):
                await asyncio.sleep(0.05)
        kept.write_text(found.group())
    return kept.read_text()
