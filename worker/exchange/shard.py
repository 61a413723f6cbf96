"""A process that holds phone calls: the exchange hands it each with its sockets, and may die meanwhile."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field

import uvloop

from pipelines.agent_config import TransferTarget
from pipelines.tools import developer
from pipelines.tools.call_control import CannotDo
from worker import agents, call, knowledge, logs, roomless, tracing
from worker.exchange.link import (
    FROM_EXCHANGE,
    Agreed,
    Changed,
    HangUpLine,
    Here,
    Holding,
    HoldLine,
    Key,
    Leave,
    Link,
    Over,
    Take,
    TransferLine,
    Transferred,
    taken,
)
from worker.functions import kept_code
from worker.host import Host
from worker.lines.line import LineClosed
from worker.lines.listening import ListeningRooms
from worker.lines.phone import PhoneLine
from worker.lines.rtp.media import OurDirection
from worker.lines.rtp.sockets import Sockets
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

RECONNECT_SECONDS = 0.1
TRANSFER_SECONDS = 40.0
AGREE_SECONDS = 2.0
"""For the other side to agree to hold, or to go on; our own end does not wait for longer."""
MOST_CALLS = 200


@dataclass
class _Signalling:
    """SIP's part of one call, done by the exchange. Implements `lines.phone.Signalling`."""

    call_id: str
    tell: Callable[[HangUpLine | Leave | TransferLine | HoldLine], None]
    can_transfer: bool
    over: "asyncio.Future[LineClosed]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )
    transferred: "asyncio.Future[Transferred] | None" = None
    agreed: "asyncio.Future[str] | None" = None
    wish: OurDirection = "sendrecv"
    is_hung_up: bool = False

    async def ended(self) -> LineClosed:
        """The other side is gone."""
        return await asyncio.shield(self.over)

    async def hang_up(self) -> None:
        """End the call."""
        self.is_hung_up = True
        self.tell(HangUpLine(call_id=self.call_id))

    async def transfer(self, target: TransferTarget) -> None:
        """Hand the other side on; returns once somebody else has them."""
        if target.kind not in ("phone", "sip"):
            raise CannotDo("Nobody of this kind can be reached by telephone")
        self.transferred = asyncio.get_running_loop().create_future()
        self.tell(TransferLine(call_id=self.call_id, target=target.kind, value=target.value))
        try:
            async with asyncio.timeout(TRANSFER_SECONDS):
                told = await self.transferred
        except TimeoutError:
            raise CannotDo("Nobody answered there") from None
        if not told.is_done:
            raise CannotDo(told.why_not or "The carrier did not do it")

    async def hold(self, wish: OurDirection) -> str:
        """Hold the call or go on: why the other side did not agree within a moment, empty when it did."""
        self.wish = wish
        self.agreed = agreed = asyncio.get_running_loop().create_future()
        self.tell(HoldLine(call_id=self.call_id, wish=wish))
        await asyncio.wait({agreed}, timeout=AGREE_SECONDS)
        return agreed.result() if agreed.done() else ""


@dataclass
class _Held:
    line: PhoneLine
    signalling: _Signalling
    sockets: tuple[socket.socket, socket.socket]
    task: "asyncio.Task[None]"


class Shard:
    """Holds calls until it is asked to stop and they are over."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._rooms = ListeningRooms(host.settings)
        self._calls: dict[str, _Held] = {}
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
            await closed.wait()
            await asyncio.sleep(RECONNECT_SECONDS)

    def _say_here(self) -> None:
        if self._link is not None:
            takes = not self._is_stopping.is_set()
            self._link.send(Here(pid=os.getpid(), call_ids=tuple(self._calls), takes_calls=takes))

    def _tell(self, frame: HangUpLine | Leave | TransferLine | HoldLine) -> None:
        # Without an exchange it is told by what the next `Here` does not name.
        if self._link is not None:
            self._link.send(frame)

    def _received(self, line: bytes, came: list[socket.socket]) -> None:
        frame = FROM_EXCHANGE.validate_json(line)
        if isinstance(frame, Take):
            self._take(frame, taken(came))
            return
        if (held := self._calls.get(frame.call_id)) is None:
            return
        match frame:
            case Changed():
                with contextlib.suppress(ValueError):
                    held.line.change(frame.media)
            case Key():
                held.line.pressed(frame.key)
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
                waiting = held.signalling.transferred
                if waiting is not None and not waiting.done():
                    waiting.set_result(frame)

    def _take(self, frame: Take, sockets: tuple[socket.socket, socket.socket]) -> None:
        if frame.call_id in self._calls or len(self._calls) >= MOST_CALLS:
            for one in sockets:
                one.close()
            logger.error(
                "a call was handed over twice, or too many are here", extra={"call_id": frame.call_id}
            )
            return
        signalling = _Signalling(frame.call_id, self._tell, frame.can_transfer, wish=frame.wish)
        rtp, rtcp = (one.dup() for one in sockets)
        line = PhoneLine(
            signalling,
            frame.media,
            Sockets(rtp, rtcp),
            is_ours=frame.is_ours,
            rooms=self._rooms,
            wish=frame.wish,
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
        for one in held.sockets:
            one.close()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a call broke", exc_info=error, extra={"call_id": call_id})
        if not held.signalling.is_hung_up:
            self._tell(Leave(call_id=call_id))
        if not self._calls:
            self._is_empty.set()


async def serve_calls(host: Host) -> None:
    """Hold calls until SIGTERM, and those that run then until they are over."""
    shard = Shard(host)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, shard.stop)
    await shard.run()
    await tracing.flush()


def serve(settings: WorkerSettings) -> None:
    """One shard."""
    logs.hush()
    tracing.follow(settings)
    agents.preload(settings)
    functions = developer.load(settings.functions, kept_code(settings.run))
    host = Host(settings, functions, knowledge.knows(settings))
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    asyncio.run(serve_calls(host))
