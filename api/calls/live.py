"""What happens in a call, as server-sent events: all that happened so far, then each thing anew."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import queueing
from api.calls.table import CallEventRow, CallRow
from api.db.engine import Database
from api.http.event_streams import NOTHING_NEW, event

LOOK_SECONDS = 0.4
WORD_SECONDS = 35.0
"""After an end that was only presumed: its worker's last word is awaited for as long before it is settled."""
_OURS = {"worker_id", "job_id", "call_id", "kind", "sequence", "at"}
_PIECE = 200


async def happenings(
    database: Database, call_id: str, after: int, *, follows: bool
) -> AsyncGenerator[bytes, None]:
    """Tell it until the call is over. `id` is an event's number: `Last-Event-ID` goes on behind it."""
    loop = asyncio.get_running_loop()
    status, ended_at = "", 0.0
    place = 0
    while True:
        async with database.transaction(writes=False) as session:
            call = await session.get(CallRow, call_id)
            rows = await _after(session, call_id, after)
        if call is None:
            return
        if call.status != status:
            status = call.status
            yield event("status", {"call_status": status})
        if (now_at := queueing.place(call)) != place:
            place = now_at
            yield event("queue", {"position": place or None})
        for row in rows:
            after = row.sequence
            yield event(row.kind, _told(row), row.sequence)
        if len(rows) == _PIECE:
            continue
        if not follows:
            return
        if call.is_over:
            ended_at = ended_at or loop.time()
            if call.settled_at or not call.is_presumed or loop.time() - ended_at > WORD_SECONDS:
                over = {"call_status": call.status, "disconnection_reason": call.disconnection_reason}
                yield event("end", over)
                return
        yield NOTHING_NEW


async def _after(session: AsyncSession, call_id: str, after: int) -> Sequence[CallEventRow]:
    found = await session.exec(
        select(CallEventRow)
        .where(CallEventRow.call_id == call_id, col(CallEventRow.sequence) > after)
        .order_by(col(CallEventRow.sequence))
        .limit(_PIECE)
    )
    return found.all()


def _told(row: CallEventRow) -> dict[str, Any]:
    told = {name: value for name, value in row.payload.items() if name not in _OURS}
    return {"sequence": row.sequence, "type": row.kind, "at": row.at.isoformat(), **told}
