"""What happens in a call, as server-sent events: all that happened so far, then each thing anew."""

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from aiohttp import web
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls.table import CallEventRow, CallRow
from api.db.engine import Database
from api.http.errors import TooManyRequests

EVENT_STREAM = "text/event-stream"
HEADERS = {"Content-Type": EVENT_STREAM, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
LOOK_SECONDS = 0.4
SIGN_OF_LIFE_SECONDS = 10.0
LONGEST_SECONDS = 3 * 3600.0
WORD_SECONDS = 35.0
"""After an end that was only presumed: its worker's last word is awaited for as long before it is settled."""
AT_ONCE, OF_ONE_OWNER = 200, 20
_OURS = {"worker_id", "job_id", "call_id", "kind", "sequence", "at"}
_PIECE = 200


class TooManyStreams(TooManyRequests):
    """Too many calls are being watched at once"""


class Watchers:
    """How many streams there are in this process, and whose."""

    def __init__(self) -> None:
        self.is_closing = False
        """True once this process stops: streams end, and go on elsewhere behind their last event."""
        self._of: Counter[str] = Counter()

    def take(self, owner_id: str) -> None:
        """One more. Raises `TooManyStreams`."""
        if self._of.total() >= AT_ONCE or self._of[owner_id] >= OF_ONE_OWNER:
            raise TooManyStreams(headers={"Retry-After": "5"})
        self._of[owner_id] += 1

    def give(self, owner_id: str) -> None:
        """One less."""
        self._of[owner_id] -= 1
        if self._of[owner_id] <= 0:
            del self._of[owner_id]


async def stream(
    request: web.Request,
    database: Database,
    watchers: Watchers,
    call_id: str,
    after: int,
    *,
    follows: bool,
) -> web.StreamResponse:
    """Send it until the call is over. `id` is an event's number: `Last-Event-ID` goes on behind it."""
    response = web.StreamResponse(headers=HEADERS)
    loop = asyncio.get_running_loop()
    began = told_at = loop.time()
    status, ended_at = "", 0.0
    try:
        await response.prepare(request)
        while loop.time() - began < LONGEST_SECONDS and not watchers.is_closing:
            async with database.transaction(writes=False) as session:
                call = await session.get(CallRow, call_id)
                rows = await _after(session, call_id, after)
            if call is None:
                break
            if call.status != status:
                status, told_at = call.status, loop.time()
                await response.write(event("status", {"call_status": status}))
            for row in rows:
                after, told_at = row.sequence, loop.time()
                await response.write(event(row.kind, _told(row), row.sequence))
            if len(rows) == _PIECE:
                continue
            if not follows:
                break
            if call.is_over:
                ended_at = ended_at or loop.time()
                if call.settled_at or not call.is_presumed or loop.time() - ended_at > WORD_SECONDS:
                    over = {"call_status": call.status, "disconnection_reason": call.disconnection_reason}
                    await response.write(event("end", over))
                    break
            if loop.time() - told_at > SIGN_OF_LIFE_SECONDS:
                told_at = loop.time()
                await response.write(b": nothing new\n\n")
            await asyncio.sleep(LOOK_SECONDS)
        await response.write_eof()
    except ConnectionError:
        pass  # whoever watched has left
    return response


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


def event(name: str, data: dict[str, Any], number: int | None = None) -> bytes:
    """One as it goes over the wire."""
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n".encode("utf-8", "replace")
