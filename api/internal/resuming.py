"""Calls whose process died: the ghost is put out of the room, and an agent is asked into it again.

A phone call has no room: its exchange holds the line, and hands it to another process when it is told to.

Whoever is first with a call dispatches for it (`attempts.claim_dispatch`); the watch over workers asks
again for those that nobody took up, also after this process was killed half-way.
"""

import asyncio
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlmodel import select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import attempts, lifecycle, workflows
from api.calls.table import CallAttemptRow, CallRow
from api.db.columns import now
from api.db.engine import Database
from api.internal.lost import GONE_SECONDS
from api.internal.table import WorkerRow
from api.outside.phones import Phones, PhonesUnavailable
from api.outside.rooms import RoomGone, Rooms, RoomsUnavailable
from pipelines.contract.brief import AGENT_NAME, JobMetadata

_LOG = logging.getLogger(__name__)

BACK_SECONDS = 3.0
"""A worker that was silent and is back has this long to say which of its calls live: nobody is sent meanwhile
in the place of one that was only presumed to be dead."""
NOBODY_SECONDS = 15.0
"""A caller whose network was lost as well may come back into an empty room for this long."""


class Resuming:
    """Finds a process for every call that waits for one."""

    def __init__(self, database: Database, rooms: Rooms, phones: Phones) -> None:
        self._database = database
        self._rooms = rooms
        self._phones = phones
        self._tasks: set[asyncio.Task[None]] = set()

    def soon(self, call_id: str) -> None:
        """Resume a call, beside whatever runs now."""
        task = asyncio.create_task(self._resume(call_id), name="resume a call")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Leave what is under way to whoever watches next."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def look(self, *, can_dispatch: bool) -> None:
        """Resume those that wait, give up those that waited for too long."""
        async with self._database.transaction(writes=False) as session:
            waiting = await attempts.waiting(session)
            present = await _present(session) if waiting else {}
        for worker_id, line_ended_at, row in waiting:
            if line_ended_at is not None:
                await self._has_left(row.call_id)
            elif now() - row.asked_at > timedelta(seconds=attempts.WAIT_SECONDS):
                await self._give_up(row.call_id, "failed", "error: its process died and no other took it up")
            elif (
                can_dispatch and attempts.is_due(row.dispatched_at) and not _may_live(row, worker_id, present)
            ):
                self.soon(row.call_id)

    async def _resume(self, call_id: str) -> None:
        try:
            async with self._database.transaction() as session:
                claimed = await attempts.claim_dispatch(session, call_id)
            if claimed is None:
                return
            call, ghost_job, asked_at = claimed
            if call.is_phone:
                await self._phones.take_up(call.worker_id, call_id, call.attempt)
                return
            room = call.room_name or ""
            try:
                if ghost_job:
                    # LiveKit itself would show it for another twenty seconds.
                    await self._rooms.remove_participant(room, f"agent-{ghost_job}")
                metadata = JobMetadata(call_id=call_id, attempt=call.attempt).model_dump_json()
                await self._rooms.dispatch(room, AGENT_NAME, metadata)
                _LOG.info("call resumed", extra={"call_id": call_id, "attempt": call.attempt})
            except RoomGone:
                if now() - asked_at > timedelta(seconds=NOBODY_SECONDS):
                    await self._give_up(call_id, "completed", "user_hangup")
        except (RoomsUnavailable, PhonesUnavailable):
            _LOG.warning("a call could not be resumed, trying again", extra={"call_id": call_id})
        except Exception:  # noqa: BLE001 - the next look tries again
            _LOG.exception("resuming failed", extra={"call_id": call_id})

    async def _has_left(self, call_id: str) -> None:
        """Whoever was on the phone hung up while no process had the call: it is over since then."""
        async with self._database.transaction() as session:
            found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
            call = found.one_or_none()
            if call is not None and call.line_ended_at is not None:
                reason = call.hang_up_reason or "user_hangup"
                # Presumed: what the process before had to say of its end may still lie in its spool.
                lifecycle.conclude(call, "completed", reason, call.line_ended_at)
                session.add(call)

    async def _give_up(self, call_id: str, status: str, reason: str) -> None:
        async with self._database.transaction() as session:
            found = await session.exec(select(CallRow).where(CallRow.id == call_id).with_for_update())
            call = found.one_or_none()
            has_ended = call is not None and not call.is_over and lifecycle.end(call, status, reason, now())
            if call is not None:
                session.add(call)
        if has_ended:
            await workflows.start_settlement(call_id)


async def _present(session: AsyncSession) -> dict[str, datetime]:
    """Workers that speak now, and since when."""
    since = now() - timedelta(seconds=GONE_SECONDS)
    found = await session.exec(select(WorkerRow.id, WorkerRow.connected_at).where(WorkerRow.seen_at > since))
    return dict(found.all())


def _may_live(row: CallAttemptRow, worker_id: str | None, present: Mapping[str, datetime]) -> bool:
    """Whether its worker may still have to say that the attempt before lives."""
    if not row.is_presumed or (connected_at := present.get(worker_id or "")) is None:
        return False
    return now() - max(connected_at, row.asked_at) < timedelta(seconds=BACK_SECONDS)
