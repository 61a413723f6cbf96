"""A worker on a real livekit-server, with an api that hands out briefs and nothing else."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

import aiohttp
import psutil
from aiohttp import web
from livekit import api

from api.outside.rooms import DEPARTURE_TIMEOUT_SECONDS
from bench.parts.caller import Caller
from pipelines.contract.actions import Action
from pipelines.contract.brief import AGENT_NAME, BriefRequest, CallBrief, JobMetadata
from pipelines.contract.events import EVENT, CallEvent, UtteranceHeard
from pipelines.contract.websocket import Obeyed, Order
from tests.support.livekit_server import binary
from tests.support.stack import ROOT, free_port
from worker.liveness import Liveness

Kind = Literal["standard", "sip"]
"""What somebody in a room is; livekit-sip brings the latter."""

KEY, SECRET = "rehearsal", "rehearsal-secret-of-more-than-32-letters"

_WORKER = "from tests.support.instant_worker import main; main()"
_LIVEKIT = """
port: {port}
bind_addresses: ["127.0.0.1"]
keys: {{ {key}: "{secret}" }}
logging: {{ level: warn, json: true, pion_level: error }}
rtc:
  node_ip: 127.0.0.1
  use_external_ip: false
  enable_loopback_candidate: true
  ips: {{ includes: ["127.0.0.0/8"] }}
  udp_port: {udp_port}
  tcp_port: 0
  stun_servers: ["127.0.0.1:3478"]
turn: {{ enabled: false }}
room: {{ auto_create: true, empty_timeout: 60, departure_timeout: 5 }}
"""


@dataclass
class Rehearsal:
    """The stage. Put a brief into `briefs`, then join its call."""

    home: Path
    livekit_url: str
    worker_log: Path
    briefs: dict[str, CallBrief] = field(default_factory=dict)
    asked: list[tuple[str, BriefRequest]] = field(default_factory=list)
    worker_pid: int = 0
    liveness: Liveness = field(init=False)
    obeyed: list[Obeyed] = field(default_factory=list)

    async def order(self, call_id: str, action: Action) -> str:
        """What somebody wants of a running call: why it was refused; empty when it was done."""
        order_id = f"o{len(self.obeyed)}"
        assert self.liveness.order(Order(order_id=order_id, call_id=call_id, action=action))
        async with asyncio.timeout(10):
            while not (found := [one for one in self.obeyed if one.order_id == order_id]):
                await asyncio.sleep(0.01)
        return "" if found[0].outcome == "done" else found[0].message

    def said(self, call_id: str) -> list[tuple[str, str]]:
        """Who said what, so far."""
        heard = [event for event in self.events(call_id) if isinstance(event, UtteranceHeard)]
        return [(event.utterance.role, event.utterance.text) for event in heard]

    def processes(self) -> list[psutil.Process]:
        """The agent server and all that it started."""
        worker = psutil.Process(self.worker_pid)
        return [worker, *worker.children(recursive=True)]

    def stop_worker(self) -> None:
        """Ask the agent server to stop, as its supervisor does."""
        os.kill(self.worker_pid, signal.SIGTERM)

    @contextlib.asynccontextmanager
    async def call(
        self, call_id: str, identity: str = "caller", kind: Kind = "standard"
    ) -> AsyncIterator[Caller]:
        """Somebody joins the room of a call, as the api's token lets them."""
        async with Caller.joined(self.livekit_url, self.token(call_id, identity, kind)) as caller:
            yield caller

    def token(self, call_id: str, identity: str = "caller", kind: Kind = "standard") -> str:
        """What lets somebody join a call, with the room as the api asks for it."""
        dispatch = api.RoomAgentDispatch(
            agent_name=AGENT_NAME, metadata=JobMetadata(call_id=call_id).model_dump_json()
        )
        token = (
            api.AccessToken(KEY, SECRET)
            .with_identity(identity)
            .with_kind(kind)
            .with_ttl(timedelta(minutes=5))
            .with_grants(api.VideoGrants(room_join=True, room=f"room-{call_id}"))
            .with_room_config(
                api.RoomConfiguration(departure_timeout=DEPARTURE_TIMEOUT_SECONDS, agents=[dispatch])
            )
        )
        return token.to_jwt()

    def events(self, call_id: str) -> list[CallEvent]:
        """What the call has spooled so far."""
        path = self.home / "spool" / f"{call_id}.1.jsonl"
        if not path.exists():
            return []
        return [EVENT.validate_json(line) for line in path.read_bytes().splitlines() if line.endswith(b"}")]

    async def ended(self, call_id: str, timeout: float = 20) -> list[CallEvent]:
        """All events of a call, once it has told its end."""
        async with asyncio.timeout(timeout):
            while not (events := self.events(call_id)) or events[-1].kind != "call_ended":
                await asyncio.sleep(0.05)
        return events

    def recording(self, call_id: str) -> Path:
        """Where the call's recording is."""
        return self.home / "spool" / f"{call_id}.1.ogg"


@contextlib.asynccontextmanager
async def livekit(home: Path) -> AsyncIterator[str]:
    """A livekit-server of our own on loopback; where it is."""
    port = free_port()
    config = home / "livekit.yaml"
    config.write_text(_LIVEKIT.format(port=port, udp_port=free_port(), key=KEY, secret=SECRET))
    command = [binary(), "--config", str(config)]
    async with _process(command, {"PATH": os.environ["PATH"]}, home / "livekit.log"):
        await _answers(f"http://127.0.0.1:{port}/")
        yield f"ws://127.0.0.1:{port}"


@contextlib.asynccontextmanager
async def rehearsal(
    script: Mapping[str, Any], functions: str = "", worker: str = _WORKER
) -> AsyncIterator[Rehearsal]:
    """Start a livekit-server, an api of sorts, and the agent server; stop them all at the end.

    `worker` is what the agent server's process runs.
    """
    home = Path(tempfile.mkdtemp(prefix="c2m-"))
    api_port = free_port()
    for name in ("functions", "run"):
        (home / name).mkdir()
    (home / "functions" / "rehearsed.py").write_text(functions)
    async with contextlib.AsyncExitStack() as stack:
        if not os.environ.get("KEEP_REHEARSAL"):
            stack.callback(shutil.rmtree, home, ignore_errors=True)
        url = await stack.enter_async_context(livekit(home))
        environment = {
            "PATH": os.environ["PATH"],
            "CALL2ME_HOME": str(home),
            "CALL2ME_API_URL": f"http://127.0.0.1:{api_port}",
            "CALL2ME_INTERNAL_KEY": "internal",
            "LIVEKIT_URL": url,
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "CALL2ME_IDLE_PROCESSES": "1",
            "REHEARSAL": json.dumps(script),
        }
        stage = Rehearsal(home, url, home / "worker.log")
        stage.liveness = Liveness(
            home / "run" / "calls.sock",
            on_change=lambda: None,
            on_lost=lambda call: None,
            on_obeyed=stage.obeyed.append,
        )
        await stack.enter_async_context(stage.liveness.listening())
        runner = web.AppRunner(_api(stage), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", api_port).start()
        serving = await stack.enter_async_context(
            _process([sys.executable, "-c", worker], environment, stage.worker_log)
        )
        stage.worker_pid = serving.pid
        await _registered(stage)
        yield stage


def _api(stage: Rehearsal) -> web.Application:
    async def brief(request: web.Request) -> web.Response:
        assert request.headers["X-Internal-Key"] == "internal"
        call_id = request.match_info["call_id"]
        stage.asked.append((call_id, BriefRequest.model_validate_json(await request.read())))
        if (found := stage.briefs.get(call_id)) is None:
            return web.json_response({"detail": "Call not found"}, status=404)
        return web.json_response(text=found.model_dump_json())

    app = web.Application()
    app.router.add_post("/internal/calls/{call_id}/brief", brief)
    return app


@contextlib.asynccontextmanager
async def _process(
    command: list[str], environment: Mapping[str, str], log: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    with log.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=ROOT, env=dict(environment), stdout=out, stderr=out
        )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            # livekit-server lets a client go for as long as it believes in it, also one that was killed.
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _answers(url: str) -> None:
    async with aiohttp.ClientSession() as http, asyncio.timeout(15):
        while True:
            with contextlib.suppress(aiohttp.ClientError):
                async with http.get(url) as response:
                    if response.ok:
                        return
            await asyncio.sleep(0.1)


async def _registered(stage: Rehearsal) -> None:
    try:
        async with asyncio.timeout(60):
            while "registered worker" not in stage.worker_log.read_text():
                await asyncio.sleep(0.1)
    except TimeoutError:
        raise AssertionError(stage.worker_log.read_text()[-3000:]) from None
