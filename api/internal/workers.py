"""Who could answer a call now: workers, their WebSockets, and the calls that they lost.

What a worker says of itself is written to its row, so every api process knows it; the process that
holds the WebSocket passes orders on, its own and those of others (`mailbox`).
"""

import asyncio
import logging
import time
from datetime import timedelta
from typing import Any

from aiohttp import WSMsgType, web
from pydantic import ValidationError
from sqlmodel import col, select, update

from api.calls import orders, redialling
from api.calls.table import CallRow
from api.db.columns import new_id, now
from api.db.engine import Database
from api.internal import tries
from api.internal.lost import GONE_SECONDS, SETTLING_IN_SECONDS, LostCalls
from api.internal.mailbox import Mailbox, NotSent, Unanswered
from api.internal.phones import WorkerPhones
from api.internal.resuming import Resuming
from api.internal.table import WorkerRow
from api.outside.phones import Phones
from api.outside.rooms import Rooms
from pipelines.contract.actions import Action
from pipelines.contract.websocket import (
    FROM_WORKER,
    FunctionTried,
    Goodbye,
    HangUp,
    Hello,
    Obeyed,
    Order,
    Status,
)

_LOG = logging.getLogger(__name__)

_TICK_SECONDS = 1.0
_SILENCE_SECONDS = 5.0
_SEND_SECONDS = 2.0


class Workers:
    """The workers connected to this process, and what is known of all."""

    def __init__(self, database: Database, rooms: Rooms) -> None:
        self._database = database
        self._rooms = rooms
        self._connected: dict[str, web.WebSocketResponse] = {}
        self._mailbox = Mailbox(database, self._connected)
        self.phones: Phones = WorkerPhones(self.present, self._mailbox)
        self._resuming = Resuming(database, rooms, self.phones)
        self._lost = LostCalls(database, rooms)

    # ── what is known ────────────────────────────────────────────────────────────────────────────
    async def present(self) -> list[WorkerRow]:
        """Workers that spoke within the last three seconds, ready or not; the one seen last first."""
        async with self._database.transaction(writes=False) as session:
            found = await session.exec(
                select(WorkerRow)
                .where(
                    WorkerRow.seen_at > now() - timedelta(seconds=GONE_SECONDS),
                    col(WorkerRow.said_goodbye).is_(False),
                )
                .order_by(col(WorkerRow.seen_at).desc())
            )
            return list(found.all())

    async def why_not(self) -> str:
        """Why no worker could answer a call now; empty when one could."""
        return why_none(await self.present())

    async def functions(self) -> set[str] | None:
        """Names of the functions that the workers here have, or had when last seen; None: none ever told."""
        async with self._database.transaction(writes=False) as session:
            rows = (await session.exec(select(WorkerRow))).all()
        told = [row for row in rows if row.functions is not None]
        alive = now() - timedelta(seconds=GONE_SECONDS)
        here = [row for row in told if row.seen_at > alive and not row.said_goodbye]
        if not told:
            return None
        return {str(function.get("name")) for row in here or told for function in row.functions or ()}

    async def close(self) -> None:
        """Let every worker go; they come back to the next process."""
        for socket in list(self._connected.values()):
            await socket.close(code=1001, message=b"the api stops")
        await self._resuming.close()

    def resume_soon(self, call_id: str) -> None:
        """A call waits for a process: ask for one now."""
        self._resuming.soon(call_id)

    # ── orders ───────────────────────────────────────────────────────────────────────────────────
    async def hang_up(self, worker_id: str | None, call_id: str, reason: str) -> None:
        """Tell the worker now if it is connected here; else whoever holds it does with its next status."""
        if (socket := self._connected.get(worker_id or "")) is not None:
            await self._order(socket, HangUp(call_id=call_id, reason=reason))

    async def steer(self, worker_id: str | None, call_id: str, action: Action) -> None:
        """Have a running call do something. Raises `OrderRefused`, `NotReached`, `NotAnswered`."""
        if worker_id is None or not any(worker.id == worker_id for worker in await self.present()):
            raise orders.NotReached
        timeout_ms = round(orders.TIMEOUT_SECONDS * 1000)
        order = Order(order_id=new_id("order"), call_id=call_id, timeout_ms=timeout_ms, action=action)
        try:
            told = await self._mailbox.ask(
                worker_id, order, orders.TIMEOUT_SECONDS + orders.ON_THE_WAY_SECONDS
            )
        except NotSent:
            raise orders.NotReached from None
        except Unanswered:
            raise orders.NotAnswered from None
        if isinstance(told, Obeyed):
            orders.check(told)

    async def _order(self, socket: web.WebSocketResponse, order: HangUp) -> None:
        try:
            async with asyncio.timeout(_SEND_SECONDS):
                await socket.send_str(order.model_dump_json())
        except (ConnectionError, TimeoutError, RuntimeError):
            _LOG.warning("order not sent", extra={"call_id": order.call_id})

    async def try_function(self, name: str, arguments: dict[str, Any], timeout_ms: int) -> FunctionTried:
        """Let a worker run a function, rather one that is connected here. Raises `NobodyTries`."""
        having = [
            row.id
            for row in await self.present()
            if any(function.get("name") == name for function in row.functions or ())
        ]
        having.sort(key=lambda worker_id: worker_id not in self._connected)
        return await tries.try_function(self._mailbox.ask, having, name, arguments, timeout_ms)

    # ── one worker's WebSocket ───────────────────────────────────────────────────────────────────
    async def serve(self, socket: web.WebSocketResponse) -> None:
        """Listen to a worker until it is gone."""
        hello = await _read(socket)
        if not isinstance(hello, Hello):
            await socket.close(code=1002, message=b"Hello first")
            return
        worker_id = hello.worker_id
        before = self._connected.get(worker_id)
        self._connected[worker_id] = socket  # first, so that what the old one still does says nothing of it
        if before is not None:
            await before.close(code=1000, message=b"connected again")
        _LOG.info("worker connected", extra={"worker_id": worker_id})
        try:
            await self._greet(hello)
            while isinstance(message := await _read(socket), Status | Hello | FunctionTried | Obeyed):
                if isinstance(message, Obeyed | FunctionTried):
                    await self._mailbox.answered(message)
                elif isinstance(message, Hello):
                    await self._learn(worker_id, message)
                else:
                    await self._note(worker_id, message)
                    await self._repeat_orders(worker_id, socket, message)
            await self._part(worker_id, socket, is_goodbye=isinstance(message, Goodbye))
        finally:
            if self._connected.get(worker_id) is socket:
                del self._connected[worker_id]
            _LOG.info("worker disconnected", extra={"worker_id": worker_id})

    async def _greet(self, hello: Hello) -> None:
        async with self._database.transaction() as session:
            row = await session.get(WorkerRow, hello.worker_id) or WorkerRow(id=hello.worker_id)
            row.version = hello.version
            row.available, functions = _offers(hello)
            row.functions = row.functions if functions is None else functions
            row.is_ready, row.why_not, row.said_goodbye = False, "it has just connected", False
            row.connected_at = row.seen_at = now()
            session.add(row)

    async def _learn(self, worker_id: str, hello: Hello) -> None:
        """What the worker offers has changed; how it is has not."""
        available, functions = _offers(hello)
        told = {} if functions is None else {"functions": functions}
        await self._write(worker_id, available=available, **told)

    async def _note(self, worker_id: str, status: Status) -> None:
        if status.alive:  # first, so that nobody is sent in the place of one that lives
            await self._lost.found_again(worker_id, status.alive)
        await self._write(
            worker_id,
            is_ready=status.is_ready,
            why_not=status.why_not,
            call_ids=list(status.call_ids),
            processes=status.processes,
            phones_why_not=status.phones_why_not,
            journal=status.journal,
            trunks=status.trunks,
            seen_at=now(),
        )

    async def _part(self, worker_id: str, socket: web.WebSocketResponse, *, is_goodbye: bool) -> None:
        if self._connected.get(worker_id) is not socket:
            return  # it connected again meanwhile; that connection speaks for it
        if is_goodbye:
            await self._write(worker_id, is_ready=False, said_goodbye=True, why_not="it said goodbye")
        else:
            await self._write(worker_id, is_ready=False, why_not="its connection broke")

    async def _write(self, worker_id: str, **values: object) -> None:
        async with self._database.transaction() as session:
            await session.exec(update(WorkerRow).where(col(WorkerRow.id) == worker_id).values(**values))

    async def _repeat_orders(self, worker_id: str, socket: web.WebSocketResponse, status: Status) -> None:
        """Calls that somebody ended, here or through another process, and that still run."""
        if not status.call_ids:
            return
        async with self._database.transaction(writes=False) as session:
            found = await session.exec(
                select(CallRow.id, CallRow.hang_up_reason).where(
                    col(CallRow.id).in_(status.call_ids),
                    CallRow.worker_id == worker_id,
                    col(CallRow.hang_up_reason).is_not(None),
                )
            )
            ordered = found.all()
        for call_id, reason in ordered:
            await self._order(socket, HangUp(call_id=call_id, reason=reason or ""))

    # ── watching ─────────────────────────────────────────────────────────────────────────────────
    async def watch(self) -> None:
        """Each second, find calls whose worker or process is gone, and those that wait for another."""
        due = started_at = time.monotonic()
        while True:
            late = time.monotonic() - due
            due = time.monotonic() + _TICK_SECONDS
            is_settled_in = time.monotonic() - started_at > SETTLING_IN_SECONDS
            # When this loop itself stood still, statuses wait unread: silence proves nothing then.
            if is_settled_in and late < _TICK_SECONDS:
                try:
                    await self.find_lost()
                except Exception:  # noqa: BLE001 - the next second tries again
                    _LOG.exception("watching workers failed")
            try:
                await redialling.dial_due(self._database)
                await self._resuming.look(can_dispatch=not await self.why_not())
            except Exception:  # noqa: BLE001 - the next second tries again
                _LOG.exception("resuming calls failed")
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def find_lost(self) -> list[str]:
        """Running calls that nobody runs any more get another process, or fail; returns those that failed."""
        return await self._lost.find()

    async def carry_orders(self) -> None:
        """Take to the workers here what other api processes ordered, for ever."""
        await self._mailbox.carry()


def _offers(hello: Hello) -> tuple[list[dict[str, Any]], list[dict[str, Any]] | None]:
    return (
        [one.model_dump(mode="json") for one in hello.available],
        None if hello.functions is None else [one.model_dump(mode="json") for one in hello.functions],
    )


def why_none(workers: list[WorkerRow]) -> str:
    """Why none of these could answer a call; empty when one could."""
    if not workers:
        return "no worker is connected"
    if any(worker.is_ready for worker in workers):
        return ""
    return workers[0].why_not or "the worker is not ready"


async def _read(socket: web.WebSocketResponse) -> Hello | Status | FunctionTried | Obeyed | Goodbye | None:
    """The next frame of a worker; None once it is gone or silent for five seconds.

    Frames that we do not understand are passed over: a newer worker may say more than we know.
    """
    while True:
        try:
            async with asyncio.timeout(_SILENCE_SECONDS):
                frame = await socket.receive()
        except TimeoutError:
            return None
        if frame.type is not WSMsgType.TEXT:
            return None
        try:
            return FROM_WORKER.validate_json(frame.data)
        except ValidationError:
            _LOG.warning("a worker's frame was not understood")
