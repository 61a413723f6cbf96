"""Running calls that nobody runs any more: their worker is gone, or no worker names them.

Each api process watches all rows: whoever sees first that a worker or a call is gone concludes it, and the
call's row decides between two that see it at once.
"""

import contextlib
import logging
import time
from datetime import datetime, timedelta

from sqlmodel import col, select

from api.calls.service import lose
from api.calls.table import RUNNING, CallAttemptRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.internal.table import WorkerRow
from api.outside.rooms import Rooms, RoomsUnavailable

_LOG = logging.getLogger(__name__)

GONE_SECONDS = 3.0
"""Without a status for this long, and without a goodbye, a worker is gone and its calls are lost."""
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
                select(CallRow.id, CallRow.worker_id, CallAttemptRow.briefed_at, CallRow.bridged_at)
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
        lost: dict[str, list[str]] = {}
        for call_id, worker_id, briefed_at, bridged_at in found:
            patience = MISSING_SECONDS if bridged_at is None else BRIDGED_SECONDS
            worker = workers.get(worker_id or "")
            if reason := self._why_lost(call_id, worker, briefed_at or now(), patience):
                lost.setdefault(reason, []).append(call_id)
        self._missing_since = {
            id_: at for id_, at in self._missing_since.items() if id_ in {c for c, *_ in found}
        }
        over: list[CallRow] = []
        for reason, call_ids in lost.items():
            async with self._database.transaction() as session:
                waiting, concluded = await lose(session, call_ids, reason)
            over += concluded
            for call_id in waiting:
                _LOG.warning("call lost, another process takes it up", extra={"call_id": call_id})
        for call in over:
            _LOG.warning("call lost", extra={"call_id": call.id, "worker_id": call.worker_id})
            with contextlib.suppress(RoomsUnavailable):
                await self._rooms.delete_room(call.room_name or "")
        return [call.id for call in over]

    def _why_lost(
        self, call_id: str, worker: WorkerRow | None, briefed_at: datetime, patience_seconds: float
    ) -> str:
        moment = now()
        if worker is None:
            is_young = moment - briefed_at < timedelta(seconds=BRIEFED_SECONDS)
            return "" if is_young else "error: the worker is gone"
        allowed = GOODBYE_SECONDS if worker.said_goodbye else GONE_SECONDS
        if moment - worker.seen_at > timedelta(seconds=allowed):
            return "error: the worker is gone"
        if call_id in worker.call_ids or moment - briefed_at < timedelta(seconds=BRIEFED_SECONDS):
            self._missing_since.pop(call_id, None)
            return ""
        since = self._missing_since.setdefault(call_id, time.monotonic())
        return "error: the call's process is gone" if time.monotonic() - since > patience_seconds else ""
