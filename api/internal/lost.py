"""Running calls that nobody runs any more: their worker is gone, or no worker names them.

Each api process watches all rows: whoever sees first that a worker or a call is gone concludes it, and the
call's row decides between two that see it at once.
"""

import contextlib
import logging
import time
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import load_only
from sqlmodel import col, select

from api.calls import attempts
from api.calls.service import lose
from api.calls.table import RUNNING, CallAttemptRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.internal.table import WorkerRow
from api.outside.rooms import Rooms, RoomsUnavailable

_LOG = logging.getLogger(__name__)

GONE_SECONDS = 3.0
"""Without a status for this long, and without a goodbye, a worker is gone and its calls are lost."""
PHONE_SECONDS = 15.0
"""The same for a call on the phone: nobody but its worker's exchange could let another process go on with it.
Its shards go on without their supervisor for as long; one that dies is told of by the supervisor at once."""
GOODBYE_SECONDS = 15.0
"""What a worker that said goodbye has left to deliver the last of its calls."""
BRIEFED_SECONDS = 10.0
"""A call this young may not be in its worker's status yet."""
MISSING_SECONDS = 5.0
"""A call that left the status may have its last events under way for this long."""
BRIDGED_SECONDS = 30.0
"""The same for one that the exchange has put through: a new exchange goes on with it."""
SETTLING_IN_SECONDS = 10.0
"""After our own start nobody is called gone: workers come back in their own time."""

_LOOKED_AT: Any = (
    CallRow.id,
    CallRow.worker_id,
    CallRow.call_type,
    CallRow.room_name,
    CallRow.bridged_at,
    CallRow.line_ended_at,
    CallRow.hang_up_reason,
)


class LostCalls:
    """Finds them, and lets another process follow where one may."""

    def __init__(self, database: Database, rooms: Rooms) -> None:
        self._database = database
        self._rooms = rooms
        self._missing_since: dict[str, float] = {}

    async def find(self) -> list[str]:
        """Running calls that nobody runs any more get another process, or fail; returns those that failed."""
        async with self._database.transaction(writes=False) as session:
            running = await session.exec(
                select(CallRow, CallAttemptRow.briefed_at)
                .options(load_only(*_LOOKED_AT))
                .join(CallAttemptRow, col(CallAttemptRow.call_id) == col(CallRow.id))
                .where(
                    col(CallRow.status).in_(RUNNING),
                    CallAttemptRow.attempt == CallRow.attempt,
                    col(CallAttemptRow.briefed_at).is_not(None),
                )
            )
            found = running.all()
            rows = (await session.exec(select(WorkerRow))).all() if found else []
        workers = {row.id: row for row in rows}
        lost: dict[tuple[str, float], list[str]] = {}
        for call, briefed_at in found:
            worker = workers.get(call.worker_id or "")
            reason, waited = self._why_lost(call, worker, briefed_at or now())
            if reason:
                lost.setdefault((reason, waited), []).append(call.id)
        ids = {call.id for call, _ in found}
        self._missing_since = {id_: at for id_, at in self._missing_since.items() if id_ in ids}
        over: list[CallRow] = []
        for (reason, waited), call_ids in lost.items():
            async with self._database.transaction() as session:
                waiting, concluded = await lose(session, call_ids, reason, waited)
            over += concluded
            for call_id in waiting:
                _LOG.warning("call lost, another process takes it up", extra={"call_id": call_id})
        for call in over:
            _LOG.warning("call lost", extra={"call_id": call.id, "worker_id": call.worker_id})
            with contextlib.suppress(RoomsUnavailable):
                await self._rooms.delete_room(call.room_name or "")
        return [call.id for call in over]

    async def found_again(self, worker_id: str, alive: Mapping[str, int]) -> None:
        """A worker says which attempts at its calls live: what was presumed of them is withdrawn."""
        async with self._database.transaction(writes=False) as session:
            presumed = await session.exec(
                select(CallRow.id)
                .join(CallAttemptRow, col(CallAttemptRow.call_id) == col(CallRow.id))
                .where(
                    col(CallRow.id).in_(list(alive)),
                    CallRow.worker_id == worker_id,
                    CallAttemptRow.attempt == CallRow.attempt,
                    col(CallAttemptRow.is_presumed).is_(True),
                    col(CallAttemptRow.job_id).is_(None),
                )
            )
            call_ids = presumed.all()
        for call_id in call_ids:
            async with self._database.transaction() as session:
                found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
                if (call := found.one_or_none()) is not None:
                    await attempts.withdraw(session, call, alive[call_id])

    def _why_lost(self, call: CallRow, worker: WorkerRow | None, briefed_at: datetime) -> tuple[str, float]:
        """Why it is lost, empty if it is not; and for how long its worker alone was waited for."""
        moment = now()
        if worker is None:
            is_young = moment - briefed_at < timedelta(seconds=BRIEFED_SECONDS)
            return "" if is_young else "error: the worker is gone", 0.0
        waits = call.is_phone and call.line_ended_at is None and call.hang_up_reason is None
        allowed = PHONE_SECONDS if waits else GONE_SECONDS
        if moment - worker.seen_at > timedelta(seconds=GOODBYE_SECONDS if worker.said_goodbye else allowed):
            return "error: the worker is gone", 0.0 if worker.said_goodbye else allowed - GONE_SECONDS
        if call.id in worker.call_ids or moment - briefed_at < timedelta(seconds=BRIEFED_SECONDS):
            self._missing_since.pop(call.id, None)
            return "", 0.0
        since = self._missing_since.setdefault(call.id, time.monotonic())
        patience = MISSING_SECONDS if call.bridged_at is None else BRIDGED_SECONDS
        return "error: the call's process is gone" if time.monotonic() - since > patience else "", 0.0
