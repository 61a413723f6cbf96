"""An exchange with its shards, as processes; around them an api and a supervisor that the test plays."""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
from aiohttp import web

from pipelines.contract.actions import Action
from pipelines.contract.brief import BriefRequest, CallBrief
from pipelines.contract.events import EVENT, CallEvent, UtteranceHeard
from pipelines.contract.phones import (
    PhoneOnward,
    PhoneOnwardAsked,
    PhoneRang,
    PhoneTold,
    PlacesTold,
    SipTrunk,
    SipTrunks,
)
from pipelines.contract.websocket import Dial, Obeyed, Order, TakeUp, Withdraw
from tests.support.rehearsal import KEY, SECRET, livekit
from tests.support.stack import ROOT, free_port
from tests.support.telephone import Telephone, bound, telephone
from worker.exchange import sdp, sip
from worker.liveness import Liveness
from worker.presence import CallHere

NUMBER = "+905331112233"
_SHARD = "from tests.support.instant_shard import main; main()"


@dataclass
class Stage:
    """What the test sees and does. Calls are `c1`, `c2`, … in the order in which they came."""

    home: Path
    sip_port: int
    agent: dict[str, Any]
    trunk: SipTrunk
    told: list[tuple[str, PhoneTold]] = field(default_factory=list)
    rang: list[PhoneRang] = field(default_factory=list)
    briefs: dict[str, list[BriefRequest]] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    before: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What else a call's brief has."""
    overheard: dict[str, list[str]] = field(default_factory=dict)
    """The jobs that keep what two say who were put through; each is an attempt after the call's own."""
    others: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Agents that a call can be handed to, and how they differ from the first."""
    lost: list[CallHere] = field(default_factory=list)
    obeyed: list[Obeyed] = field(default_factory=list)
    processes: dict[str, asyncio.subprocess.Process] = field(default_factory=dict)
    liveness: Liveness = field(init=False)
    known: set[str] = field(default_factory=lambda: {NUMBER})
    is_deaf: bool = False
    """The api does not take what it is told."""
    barred: set[str] = field(default_factory=set)
    """Numbers that no call may be handed to."""
    start: Callable[[str], Any] = field(init=False)
    livekit_url: str = ""
    apart: str = ""
    """Of the calls that come in from now on: as in `PhoneRoute`."""

    queue: dict[str, Any] | None = None
    """How callers stand in the queue: `most`, `is_answered`, `seconds`, and what else a brief says of it."""

    forward: dict[str, Any] | None = None
    """Whom a call is for that comes in, in the place of an agent: as in `PhoneForward`."""
    is_trunk_told: bool = False

    def places(self, call_id: str) -> list[int]:
        """Where a caller has stood in the queue."""
        return [told.place for id_, told in self.told if id_ == call_id and told.state == "queued"]

    def events(self, call_id: str, attempt: int = 1) -> list[CallEvent]:
        """What an attempt has spooled."""
        path = self.home / "spool" / f"{call_id}.{attempt}.jsonl"
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [EVENT.validate_json(line) for line in lines if line.endswith(b"}")]

    def said(self, call_id: str, attempt: int = 1) -> list[tuple[str, str]]:
        return [
            (event.utterance.role, event.utterance.text)
            for event in self.events(call_id, attempt)
            if isinstance(event, UtteranceHeard)
        ]

    def end_of(self, call_id: str) -> PhoneTold | None:
        """What the api was told of its end."""
        return next((told for id_, told in self.told if id_ == call_id and told.state == "ended"), None)

    def states(self, call_id: str) -> list[str]:
        return [told.state for id_, told in self.told if id_ == call_id]

    async def until(self, true: Callable[[], Any], seconds: float = 15.0) -> Any:
        async with asyncio.timeout(seconds):
            while not (found := true()):
                await asyncio.sleep(0.01)
        return found

    def dial(
        self, number: str = "+14155550123", ring_seconds: int = 30, call_id: str = "o1", **more: Any
    ) -> None:
        """The api orders a call."""
        order = Dial(
            order_id=f"order-{call_id}",
            call_id=call_id,
            trunk_id=self.trunk.trunk_id,
            to_number=number,
            from_number=NUMBER,
            ring_seconds=ring_seconds,
            **more,
        )
        assert self.liveness.phone_order(order)

    async def withdraw(self, call_id: str) -> str:
        """The api had no answer to an order to call somebody; what comes of withdrawing it."""
        order = Withdraw(order_id=f"withdraw-{len(self.obeyed)}", call_id=call_id)
        assert self.liveness.phone_order(order)
        return str(
            await self.until(
                lambda: next((one.outcome for one in self.obeyed if one.order_id == order.order_id), None)
            )
        )

    def take_up(self, call_id: str, attempt: int, **brief: Any) -> None:
        """The api names another attempt."""
        self.attempts[call_id], self.before[call_id] = attempt, brief
        order = TakeUp(order_id=f"take-{call_id}-{attempt}", call_id=call_id, attempt=attempt)
        assert self.liveness.phone_order(order)

    async def order(self, call_id: str, action: Action) -> Obeyed:
        """The api passes on what somebody wants of a running call; what comes of it."""
        order_id = f"steer-{len(self.obeyed)}"
        assert self.liveness.order(Order(order_id=order_id, call_id=call_id, action=action))
        return await self.until(lambda: next((one for one in self.obeyed if one.order_id == order_id), None))

    def shard_of(self, call_id: str) -> int:
        """The process that holds a call."""
        return self.liveness.calls[call_id].pid

    def livekit(self) -> psutil.Process:
        """The livekit-server of this stage."""
        config = str(self.home / "livekit.yaml")
        return next(one for one in psutil.Process().children() if config in one.cmdline())

    def shards_met(self) -> int:
        """How many shards are connected to the exchange."""
        path = str(self.home / "run" / "exchange.sock")
        held = psutil.Process(self.processes["exchange"].pid).net_connections("unix")
        return sum(one.laddr == path for one in held) - 1  # it listens on one

    def descriptors(self, pid: int) -> int:
        """UDP sockets of a process."""
        return len(psutil.Process(pid).net_connections("udp"))


@contextlib.asynccontextmanager
async def staged(
    *,
    heard: tuple[str, ...] = (),
    answers: dict[str, Any] | None = None,
    shards: int = 2,
    has_rooms: bool = False,
    most_calls: int = 24,
    shard: str = _SHARD,
    exchange: str = "",
    settings: dict[str, str] | None = None,
    more_listeners: tuple[str, ...] = (),
    **agent: Any,
) -> AsyncIterator[tuple[Stage, sip.Engine]]:
    """The stage, and the carrier's own SIP. `shard` is what a shard's process runs, and `exchange` what the
    exchange's does instead of itself."""
    home = Path(tempfile.mkdtemp(prefix="c2m-"))
    for name in ("spool", "run", "logs"):
        (home / name).mkdir()
    async with contextlib.AsyncExitStack() as stack:
        if not os.environ.get("KEEP_REHEARSAL"):
            stack.callback(shutil.rmtree, home, ignore_errors=True)
        everybody = sip.Admission(sources=None, per_second=1000, burst=1000)
        carrier = await stack.enter_async_context(
            sip.Engine([sip.Listener("udp", "127.0.0.1", 0)], admission=everybody, user_agent="Carrier")
        )
        port = carrier.addresses[0][2]
        trunk = SipTrunk(trunk_id="trunk_1", server=f"127.0.0.1:{port}", caller_id=NUMBER)
        config = {"agent_id": "a", "name": "A", "begin_message": "Hello, how may I help?"}
        config |= {"begin_message_mode": "static", "enable_recording": True}
        stage = Stage(home, free_port(), config | agent, trunk)
        if has_rooms:
            stage.livekit_url = await stack.enter_async_context(livekit(home))
        api_port = free_port()
        runner = web.AppRunner(_api(stage), access_log=None)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, "127.0.0.1", api_port).start()
        stage.liveness = Liveness(
            home / "run" / "calls.sock",
            on_change=lambda: None,
            on_lost=stage.lost.append,
            on_obeyed=stage.obeyed.append,
        )
        await stack.enter_async_context(stage.liveness.listening())
        first = free_port() // 2 * 2
        environment = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "CALL2ME_HOME": str(home),
            "CALL2ME_API_URL": f"http://127.0.0.1:{api_port}",
            "CALL2ME_INTERNAL_KEY": "internal",
            "LIVEKIT_API_KEY": KEY,
            "LIVEKIT_API_SECRET": SECRET,
            "CALL2ME_LOCAL_MODELS": "off",
            "CALL2ME_MAX_PHONE_CALLS": str(most_calls),
            "CALL2ME_SIP_LISTEN": ",".join([f"udp:127.0.0.1:{stage.sip_port}", *more_listeners]),
            "CALL2ME_RTP_PORTS": f"{first}-{min(first + 200, 65_535)}",
            "REHEARSAL": json.dumps({"heard": heard, "answers": answers or {}}),
            **(settings or {}),
        }

        if has_rooms:
            environment["LIVEKIT_URL"] = stage.livekit_url

        async def start(name: str) -> None:
            command = ["-c", shard]
            if name == "exchange":
                command = ["-c", exchange] if exchange else ["-m", "worker", "exchange"]
            log = stack.enter_context((home / "logs" / f"{name}.log").open("ab"))
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, cwd=ROOT, env=environment, stdout=log, stderr=log
            )
            stage.processes[name] = process

        stage.start = start
        stack.push_async_callback(_stop, stage)
        await start("exchange")
        for number in range(1, shards + 1):
            await start(f"shard-{number}")
        try:
            await stage.until(lambda: (e := stage.liveness.exchange) is not None and not e.why_not, 60)
            # The first shard is enough for a call, but not for one whose shard is killed.
            await stage.until(lambda: stage.shards_met() >= shards, 60)
        except TimeoutError:
            logs = [path.read_text()[-2000:] for path in sorted((home / "logs").iterdir())]
            raise AssertionError("\n".join(logs)) from None
        yield stage, carrier


async def _stop(stage: Stage) -> None:
    for process in stage.processes.values():
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
    for process in stage.processes.values():
        try:
            await asyncio.wait_for(process.wait(), 10)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):  # it ended just now
                process.kill()
            await process.wait()


def _api(stage: Stage) -> web.Application:
    async def trunks(request: web.Request) -> web.Response:
        assert request.headers["X-Internal-Key"] == "internal"
        stage.is_trunk_told = True
        return web.json_response(text=SipTrunks(trunks=(stage.trunk,)).model_dump_json())

    async def rang(request: web.Request) -> web.Response:
        asked = PhoneRang.model_validate_json(await request.read())
        known = [one.sip_call_id for one in stage.rang]
        if asked.to_number not in stage.known:
            return web.json_response({"detail": "No agent answers this number"}, status=404)
        queue = dict(stage.queue or {})
        if asked.queued is not None and stage.queue is None:
            return web.json_response({"detail": "It rings"}, status=425)
        if asked.queued is not None and asked.queued >= queue.pop("most", 10):
            return web.json_response({"detail": "No line is free"}, status=409)
        if asked.sip_call_id not in known:
            stage.rang.append(asked)
            known.append(asked.sip_call_id)
        if stage.forward is not None:
            call_id = f"c{known.index(asked.sip_call_id) + 1}"
            forward = {"from_number": NUMBER, "seconds": 600, **stage.forward}
            return web.json_response({"call_id": call_id, "forward": forward})
        if asked.is_busy:
            return web.json_response({"detail": "No line is free"}, status=409)
        call_id = f"c{known.index(asked.sip_call_id) + 1}"
        route: dict[str, Any] = {"call_id": call_id, "apart": stage.apart}
        if asked.queued is not None:
            route["queue"] = {"is_answered": queue.pop("is_answered", True)}
            until = datetime.now(UTC) + timedelta(seconds=queue.pop("seconds", 60))
            stage.before.setdefault(call_id, {})["queue"] = {"until": until, **queue}
        return web.json_response(route)

    async def told(request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        if stage.is_deaf:
            return web.Response(status=503)
        stage.told.append((call_id, PhoneTold.model_validate_json(await request.read())))
        return web.Response(status=204)

    async def moved(request: web.Request) -> web.Response:
        if stage.is_deaf:
            return web.Response(status=503)
        asked = PlacesTold.model_validate_json(await request.read())
        for one in asked.places:
            news = PhoneTold(worker_id=asked.worker_id, state="queued", place=one.place, at=one.at)
            stage.told.append((one.call_id, news))
        return web.Response(status=204)

    async def brief(request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        asked = BriefRequest.model_validate_json(await request.read())
        stage.briefs.setdefault(call_id, []).append(asked)
        attempt = stage.attempts.get(call_id, 1)
        if asked.attempt and asked.attempt != attempt:
            return web.json_response({"detail": "taken"}, status=410)
        made = {"call_id": call_id, "attempt": attempt, "agent": stage.agent, **stage.before.get(call_id, {})}
        return web.json_response(text=CallBrief.model_validate(made).model_dump_json())

    async def overheard(request: web.Request) -> web.Response:
        call_id = request.match_info["call_id"]
        asked = BriefRequest.model_validate_json(await request.read())
        jobs = stage.overheard.setdefault(call_id, [])
        if stage.is_deaf:
            return web.Response(status=503)
        if asked.job_id not in jobs:
            jobs.append(asked.job_id)
        attempt = stage.attempts.get(call_id, 1) + jobs.index(asked.job_id) + 1
        made = {"call_id": call_id, "attempt": attempt, "agent": stage.agent}
        return web.json_response(text=CallBrief.model_validate(made).model_dump_json())

    async def handed_over(request: web.Request) -> web.Response:
        agent_id = request.match_info["agent_id"]
        if agent_id not in stage.others:
            return web.json_response({"detail": "Agent not found"}, status=404)
        agent = {**stage.agent, "agent_id": agent_id, **stage.others[agent_id]}
        brief = CallBrief.model_validate({"call_id": request.match_info["call_id"], "agent": agent})
        return web.json_response(text=brief.model_dump_json())

    async def onward(request: web.Request) -> web.Response:
        asked = PhoneOnwardAsked.model_validate_json(await request.read())
        if asked.to_number in stage.barred:
            return web.json_response(
                {"detail": "Numbers of this country are not called from here"}, status=403
            )
        told = PhoneOnward(to_number=asked.to_number, from_number=NUMBER)
        return web.json_response(text=told.model_dump_json())

    app = web.Application()
    app.router.add_post("/internal/phones/calls/{call_id}/onward", onward)
    app.router.add_get("/internal/phones/trunks", trunks)
    app.router.add_post("/internal/phones/calls", rang)
    app.router.add_post("/internal/phones/places", moved)
    app.router.add_post("/internal/phones/calls/{call_id}", told)
    app.router.add_post("/internal/calls/{call_id}/brief", brief)
    app.router.add_post("/internal/calls/{call_id}/overheard", overheard)
    app.router.add_post("/internal/calls/{call_id}/agents/{agent_id}/brief", handed_over)
    return app


@dataclass
class Caller:
    """Somebody at a telephone in a call."""

    dialog: sip.Dialog
    phone: Telephone
    seen: list[sip.Event]
    answered_in: float
    """Seconds from the INVITE to the 200."""

    @property
    def end(self) -> sip.Ended | None:
        return next((event for event in self.seen if isinstance(event, sip.Ended)), None)


async def _follow(dialog: sip.Dialog, seen: list[sip.Event], offered: Callable[[sip.Offer], None]) -> None:
    async for event in dialog.events():
        if isinstance(event, sip.Offer):
            offered(event)
        seen.append(event)


def _refuse(offer: sip.Offer) -> None:
    offer.refuse(488)


@contextlib.asynccontextmanager
async def calling(
    stage: Stage,
    carrier: sip.Engine,
    number: str = NUMBER,
    offered: Callable[[sip.Offer], None] = _refuse,
    port: int = 0,
    credential: sip.Credential | None = None,
    **headers: str,
) -> AsyncIterator[Caller]:
    """Call the exchange, and be answered. `offered` answers its re-INVITEs; `port` is whose it is that stands
    between, and the credential what that asks for."""
    mine = bound()
    ours = sdp.Ours(mine.getsockname(), 7)
    began = time.perf_counter()
    more = [(name.replace("_", "-"), value) for name, value in headers.items()]
    dialog = carrier.invite(
        f"sip:{number}@127.0.0.1:{port or stage.sip_port}",
        ours.offer(),
        caller="sip:+14155550100@carrier",
        headers=more,
        credential=credential,
    )
    seen: list[sip.Event] = []
    following = asyncio.create_task(_follow(dialog, seen, offered))
    try:
        async with asyncio.timeout(10):
            while not (found := [one for one in seen if isinstance(one, sip.Answered | sip.Ended)]):
                await asyncio.sleep(0.001)
        took = time.perf_counter() - began
        assert isinstance(found[0], sip.Answered), found[0]
        media = ours.agreed(sdp.read(found[0].body))
        async with telephone(mine, media.remote) as phone:
            yield Caller(dialog, phone, seen, took)
            await dialog.hang_up()
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        mine.close()


async def refused(
    stage: Stage, carrier: sip.Engine, body: bytes, number: str = NUMBER, seconds: float = 10.0
) -> sip.Ended:
    """Call the exchange with this offer; how it refuses."""
    dialog = carrier.invite(f"sip:{number}@127.0.0.1:{stage.sip_port}", body, caller="sip:+1415@carrier")
    async with asyncio.timeout(seconds):
        async for event in dialog.events():
            if isinstance(event, sip.Answered):
                await dialog.hang_up()
                raise AssertionError("it was answered")
            if isinstance(event, sip.Ended):
                return event
    raise AssertionError("nothing came")


def sockets() -> tuple[socket.socket, tuple[str, int]]:
    """A UDP socket and where it is."""
    made = bound()
    return made, made.getsockname()
