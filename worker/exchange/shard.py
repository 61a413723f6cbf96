"""A process that holds phone calls: the exchange hands it each with its sockets, and may die meanwhile."""

import asyncio
import contextlib
import functools
import logging
import os
import signal
import socket
from collections.abc import Sequence
from dataclasses import dataclass

import uvloop

from pipelines import connections
from pipelines.tools import developer
from worker import agents, call, knowledge, logs, memory, roomless, tracing
from worker.exchange.bridged_lines import BridgedLines, OfBridged
from worker.exchange.frames import (
    FROM_EXCHANGE,
    Agreed,
    Attend,
    Changed,
    Early,
    Here,
    Holding,
    Key,
    Leave,
    Over,
    Overhear,
    Parted,
    Placed,
    Reached,
    Ringing,
    Sides,
    Take,
    Transferred,
    leg_of,
)
from worker.exchange.link import Link, taken
from worker.exchange.overheard import Overheard
from worker.exchange.signalling import Signalling, Told
from worker.functions import kept_code
from worker.host import Host
from worker.lines.line import LineClosed
from worker.lines.listening import ListeningRooms
from worker.lines.phone import PhoneLine
from worker.lines.rtp.clock import Clock
from worker.lines.rtp.early import EarlyMedia
from worker.lines.rtp.ringback import Ringback
from worker.lines.rtp.sockets import Sockets
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.1
MOST_CALLS = 200


@dataclass
class _Leg:
    """Somebody who was called for a call's other side, and is talked to first."""

    line: PhoneLine
    signalling: Signalling


@dataclass
class _Held(_Leg):
    sockets: tuple[socket.socket, socket.socket]
    task: "asyncio.Task[None]"


class Shard:
    """Holds calls until it is asked to stop and they are over."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._rooms = ListeningRooms(host.settings)
        self._clock = Clock()
        self._bridged = BridgedLines(self._rooms, self._clock, self._tell, functools.partial(Overheard, host))
        self._calls: dict[str, _Held] = {}
        self._legs: dict[str, _Leg] = {}
        self._letting_go: set[asyncio.Task[None]] = set()
        self._link: Link | None = None
        self._is_stopping = asyncio.Event()
        self._is_empty = asyncio.Event()
        self._is_empty.set()

    async def run(self) -> None:
        """Meet the exchange, again and again; until `stop` and the last call."""
        meeting = asyncio.create_task(self._meet(), name="meet the exchange")
        try:
            await self._is_stopping.wait()
            self._say_here()
            await self._is_empty.wait()
            await asyncio.sleep(0)  # what the last call said is written
        finally:
            meeting.cancel()
            await asyncio.gather(meeting, return_exceptions=True)
            for held in list(self._calls.values()):
                held.task.cancel()
            await asyncio.gather(*(held.task for held in self._calls.values()), return_exceptions=True)
            await self._bridged.aclose()
            if self._link is not None:
                self._link.close()

    def stop(self) -> None:
        """Take no more calls."""
        self._is_stopping.set()

    async def _meet(self) -> None:
        while True:
            connected = socket.socket(socket.AF_UNIX)
            try:
                connected.connect(str(self._host.settings.exchange_socket))
            except OSError:
                connected.close()
                await asyncio.sleep(RECONNECT_SECONDS)
                continue
            closed = asyncio.Event()
            self._link = Link(connected, self._received, closed.set)
            self._say_here()
            for call_id, held in self._calls.items():
                self._link.send(Holding(call_id=call_id, wish=held.signalling.wish), held.sockets)
            self._bridged.meet()
            await closed.wait()
            self._adrift()
            await asyncio.sleep(RECONNECT_SECONDS)

    def _adrift(self) -> None:
        """The exchange is gone; its next one knows our calls, but not whom this one called for them."""
        for leg in self._legs.values():
            if not leg.signalling.over.done():
                leg.signalling.over.set_result(LineClosed("line_lost", "the exchange was restarted"))
        for call_id, held in self._calls.items():
            held.signalling.came_of_it(
                Transferred(call_id=call_id, is_done=False, why_not="Nobody could be reached there")
            )

    def _say_here(self) -> None:
        if self._link is not None:
            takes = not self._is_stopping.is_set()
            self._link.send(Here(pid=os.getpid(), call_ids=tuple(self._calls), takes_calls=takes))

    def _tell(self, frame: Told | OfBridged, sockets: Sequence[socket.socket] = ()) -> None:
        # Without an exchange it is told by what the next `Here` does not name.
        if self._link is not None:
            self._link.send(frame, sockets)

    def _received(self, line: bytes, came: list[socket.socket]) -> None:
        frame = FROM_EXCHANGE.validate_json(line)
        if isinstance(frame, Take):
            self._take(frame, taken(came))
            return
        if isinstance(frame, Reached | Early):
            self._onward(frame, taken(came))
            return
        if isinstance(frame, Attend | Sides | Overhear | Parted):
            self._bridged.received(frame)
        else:
            self._happened(frame)

    def _happened(self, frame: Ringing | Placed | Changed | Key | Over | Agreed | Transferred) -> None:
        """Something happened to one of our calls."""
        held = self._calls.get(frame.call_id) or self._legs.get(frame.call_id)
        if held is None:
            return
        match frame:
            case Ringing() | Placed() | Changed() | Key():
                _tell_line(held.line, frame)
            case Over():
                if not held.signalling.over.done():
                    held.signalling.over.set_result(LineClosed(frame.cause, frame.detail))
            case Agreed():
                if frame.why_not:
                    held.line.warn("hold_not_agreed", frame.why_not)
                answered = held.signalling.agreed
                if answered is not None and not answered.done() and frame.wish == held.signalling.wish:
                    answered.set_result(frame.why_not)
            case Transferred():
                held.signalling.came_of_it(frame)

    def _onward(self, frame: Reached | Early, sockets: tuple[socket.socket, socket.socket]) -> None:
        """Whoever is called for one of our calls has answered, or is not there yet but can be heard."""
        if isinstance(frame, Early):
            self._early(frame, sockets)
        else:
            self._reached(frame, sockets)

    def _early(self, frame: Early, sockets: tuple[socket.socket, socket.socket]) -> None:
        early, held = EarlyMedia(frame.media, Sockets(*sockets)), self._calls.get(frame.call_id)
        if held is None or not held.signalling.is_transferring or early.rate != held.line.rate:
            early.close()
            return
        held.line.rings(early)

    def _reached(self, frame: Reached, sockets: tuple[socket.socket, socket.socket]) -> None:
        signalling = Signalling(frame.leg_id, self._tell, can_transfer=False)
        line = PhoneLine(signalling, frame.media, Sockets(*sockets), is_ours=True, clock=self._clock)
        self._legs[frame.leg_id] = _Leg(line, signalling)
        held = self._calls.get(frame.call_id)
        if held is None or not held.signalling.came_of_it(line):
            task = asyncio.create_task(line.hang_up(), name="hang up a leg that came too late")
            self._letting_go.add(task)
            task.add_done_callback(self._letting_go.discard)

    def _take(self, frame: Take, sockets: tuple[socket.socket, socket.socket]) -> None:
        if frame.call_id in self._calls or len(self._calls) >= MOST_CALLS:
            for one in sockets:
                one.close()
            logger.error(
                "a call was handed over twice, or too many are here", extra={"call_id": frame.call_id}
            )
            if frame.call_id not in self._calls:
                self._tell(Leave(call_id=frame.call_id))  # else its caller would hear silence for ever
            return
        signalling = Signalling(frame.call_id, self._tell, frame.can_transfer, wish=frame.wish)
        rtp, rtcp = (one.dup() for one in sockets)
        line = PhoneLine(
            signalling,
            frame.media,
            Sockets(rtp, rtcp),
            is_ours=frame.is_ours,
            rooms=self._rooms,
            wish=frame.wish,
            place=frame.place,
            clock=self._clock,
        )
        # What developers saved meanwhile counts, as in a process for each call.
        folder, kept = self._host.settings.functions, kept_code(self._host.settings.run)
        self._host = Host(
            self._host.settings,
            developer.refreshed(self._host.functions, folder, kept),
            self._host.know,
            self._host.local,
        )
        held = call.hold(
            self._host,
            frame.call_id,
            frame.job_id,
            lambda identity: line,
            attempt=frame.attempt,
            is_on_phone=True,
        )
        task = roomless.begin(held, frame.job_id)
        self._calls[frame.call_id] = _Held(line, signalling, sockets, task)
        self._is_empty.clear()
        task.add_done_callback(lambda done: self._done(frame.call_id, done))

    def _done(self, call_id: str, task: "asyncio.Task[None]") -> None:
        held = self._calls.pop(call_id)
        self._legs.pop(leg_of(call_id), None)
        for one in held.sockets:
            one.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a call broke", exc_info=error, extra={"call_id": call_id})
        if not held.signalling.is_hung_up:
            self._tell(Leave(call_id=call_id))
        if not self._calls:
            self._is_empty.set()


def _tell_line(line: PhoneLine, frame: Ringing | Placed | Changed | Key) -> None:
    match frame:
        case Ringing():
            line.rings(Ringback(line.rate))
        case Placed():
            line.place.move(frame.place)
        case Changed():
            with contextlib.suppress(ValueError):
                line.change(frame.media)
        case Key():
            line.pressed(frame.key)


async def serve_calls(host: Host) -> None:
    """Hold calls until SIGTERM, and those that run then until they are over."""
    shard = Shard(host)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, shard.stop)
    async with connections.kept():
        await shard.run()
    await tracing.flush()


def serve(settings: WorkerSettings) -> None:
    """One shard."""
    logs.hush()
    tracing.follow(settings)
    agents.preload(settings)
    functions = developer.load(settings.functions, kept_code(settings.run))
    host = Host(settings, functions, knowledge.knows(settings))
    memory.settle()
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve_calls(host))
