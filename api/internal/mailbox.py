"""Orders to workers that are answered: from whichever api process was asked, to whichever holds the worker.

    asked here ──is the worker here?──yes──────────────────────────────► WebSocket ──► worker
                     └─no─► worker_orders ──taken, once, by its holder─► WebSocket ──► worker
                     answer ◄── worker_orders ◄── its holder ◄─────────────────────── answer

An order leaves for a worker at most once: never a second time, since nobody knows whether the first was
carried out. One that nobody has taken is withdrawn, and then it is known that nothing happened.
"""

import asyncio
import logging
import time
from collections.abc import Mapping
from datetime import timedelta

from aiohttp import web
from pydantic import TypeAdapter
from sqlmodel import col, delete, func, select, update

from api.db.columns import now
from api.db.engine import Database
from api.internal.table import WorkerOrderRow
from pipelines.contract.websocket import Dial, FunctionTried, Obeyed, Order, TakeUp, TryFunction, Withdraw

_LOG = logging.getLogger(__name__)

MOST_WAITING = 256
"""Orders that wait for their answer, in one process and for one worker in the database."""
TAKEN_SECONDS = 2.0
"""An order that the worker's holder has not taken by then is withdrawn."""
KEPT_SECONDS = 120.0
"""What whoever asked has not put away is removed after this long; longer than any order may take."""
_CARRY_SECONDS = 0.25
_LOOK_SECONDS = 0.1
_SEND_SECONDS = 2.0
_MOST_AT_ONCE = 32
_UNSENT = "unsent"

AnsweredOrder = Order | TryFunction | Dial | Withdraw | TakeUp
Answer = Obeyed | FunctionTried
_ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)


class NotSent(Exception):
    """The order did not leave, and will not"""


class Unanswered(Exception):
    """The order left, and no answer came in time"""


class Mailbox:
    """The orders of this process, and those that it carries for others."""

    def __init__(self, database: Database, connected: Mapping[str, web.WebSocketResponse]) -> None:
        """`connected` are the workers whose WebSocket this process holds, as they come and go."""
        self._database = database
        self._connected = connected
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._carried: dict[str, float] = {}
        """Orders of other processes that left from here, and when."""
        self._tidied_at = 0.0

    async def ask(self, worker_id: str, order: AnsweredOrder, seconds: float) -> Answer:
        """Have a worker do this. Raises `NotSent`, `Unanswered`."""
        if len(self._waiting) >= MOST_WAITING:
            raise NotSent
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting[order.order_id] = answer
        try:
            async with asyncio.timeout(seconds):
                if (socket := self._connected.get(worker_id)) is not None:
                    await _send(socket, order.model_dump_json())
                    return await answer
                return await self._ask_elsewhere(worker_id, order)
        except TimeoutError:
            raise Unanswered from None
        finally:
            del self._waiting[order.order_id]

    async def answered(self, answer: Answer) -> None:
        """A worker told what came of an order."""
        if self._carried.pop(answer.order_id, None) is not None:
            await self._put_answer(answer.order_id, answer.model_dump_json())
        elif (waiting := self._waiting.get(answer.order_id)) is not None and not waiting.done():
            waiting.set_result(answer)

    # ── whoever asks ─────────────────────────────────────────────────────────────────────────────
    async def _ask_elsewhere(self, worker_id: str, order: AnsweredOrder) -> Answer:
        await self._put(worker_id, order)
        try:
            return await self._answer_to(order.order_id)
        finally:
            async with self._database.transaction() as session:
                await session.exec(delete(WorkerOrderRow).where(col(WorkerOrderRow.id) == order.order_id))

    async def _put(self, worker_id: str, order: AnsweredOrder) -> None:
        async with self._database.transaction() as session:
            waiting = await session.exec(
                select(func.count()).select_from(WorkerOrderRow).where(WorkerOrderRow.worker_id == worker_id)
            )
            if waiting.one() >= MOST_WAITING:
                raise NotSent
            frame = order.model_dump_json()
            session.add(WorkerOrderRow(id=order.order_id, worker_id=worker_id, frame=frame))

    async def _answer_to(self, order_id: str) -> Answer:
        patience = time.monotonic() + TAKEN_SECONDS
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            async with self._database.transaction(writes=False) as session:
                row = await session.get(WorkerOrderRow, order_id)
            if row is None or row.answer == _UNSENT:
                raise NotSent
            if row.answer is not None:
                return _ANSWER.validate_json(row.answer)
            if row.taken_at is None and time.monotonic() > patience and await self._take(order_id):
                raise NotSent

    async def _take(self, order_id: str) -> bool:
        """True for one of all who try, once."""
        async with self._database.transaction() as session:
            taken = await session.exec(
                update(WorkerOrderRow)
                .where(col(WorkerOrderRow.id) == order_id, col(WorkerOrderRow.taken_at).is_(None))
                .values(taken_at=now())
            )
            return taken.rowcount == 1

    # ── whoever holds the worker ─────────────────────────────────────────────────────────────────
    async def carry(self) -> None:
        """Take to the workers here what other processes ordered, for ever."""
        while True:
            try:
                if self._connected:
                    await self._carry()
                await self._tidy()
            except Exception:  # noqa: BLE001 - the next look tries again
                _LOG.exception("carrying orders failed")
            await asyncio.sleep(_CARRY_SECONDS)

    async def _carry(self) -> None:
        async with self._database.transaction(writes=False) as session:
            found = await session.exec(
                select(WorkerOrderRow)
                .where(
                    col(WorkerOrderRow.worker_id).in_(list(self._connected)),
                    col(WorkerOrderRow.taken_at).is_(None),
                    WorkerOrderRow.made_at > now() - timedelta(seconds=TAKEN_SECONDS),
                )
                .order_by(col(WorkerOrderRow.made_at))
                .limit(_MOST_AT_ONCE)
            )
            rows = found.all()
        for row in rows:
            if not await self._take(row.id):
                continue
            self._carried[row.id] = time.monotonic()
            try:
                await _send(self._connected.get(row.worker_id), row.frame)
            except NotSent:
                del self._carried[row.id]
                await self._put_answer(row.id, _UNSENT)
            except TimeoutError:
                _LOG.warning("an order may not have left", extra={"worker_id": row.worker_id})

    async def _put_answer(self, order_id: str, answer: str) -> None:
        async with self._database.transaction() as session:
            await session.exec(
                update(WorkerOrderRow).where(col(WorkerOrderRow.id) == order_id).values(answer=answer)
            )

    async def _tidy(self) -> None:
        moment = time.monotonic()
        if moment - self._tidied_at < KEPT_SECONDS:
            return
        self._tidied_at = moment
        self._carried = {id_: at for id_, at in self._carried.items() if moment - at < KEPT_SECONDS}
        old = now() - timedelta(seconds=KEPT_SECONDS)
        async with self._database.transaction() as session:
            await session.exec(delete(WorkerOrderRow).where(col(WorkerOrderRow.made_at) < old))


async def _send(socket: web.WebSocketResponse | None, frame: str) -> None:
    """Raises `NotSent` when the worker is gone, TimeoutError when it does not read."""
    if socket is None:
        raise NotSent
    try:
        async with asyncio.timeout(_SEND_SECONDS):
            await socket.send_str(frame)
    except (ConnectionError, RuntimeError):
        raise NotSent from None
