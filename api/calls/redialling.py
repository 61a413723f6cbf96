"""Calling again who was not reached, where whoever asked for the call wanted it.

over ─► settled: when the next try is due ─► due: its row is written, and that no more is due, in one commit
"""

import logging
from datetime import timedelta

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.calls import phoning, spending
from api.calls.retries import Retry
from api.calls.schemas import OutboundCall
from api.calls.table import CallRow
from api.db.columns import now
from api.db.engine import Database
from api.http.callers import Caller
from api.http.errors import ApiError, Unavailable
from api.stuck import service as stuck

_LOG = logging.getLogger(__name__)

REDIALLING = stuck.Work("redialling")
AT_ONCE = 16
NO_LINE = timedelta(seconds=30)
GIVE_UP = timedelta(days=1)
"""A try that could not be made for so long is not made any more."""


async def dial_due(database: Database) -> None:
    """Write the rows of all tries that are due; they are dialled as any other call is."""
    async with database.transaction(writes=False) as session:
        found = await session.exec(
            select(CallRow.id, CallRow.owner_id)
            .where(col(CallRow.redial_at) <= now(), stuck.is_due(REDIALLING, CallRow.id))
            .order_by(col(CallRow.redial_at))
            .limit(AT_ONCE)
        )
        waiting = found.all()

    async def again(call_id: str) -> None:
        async with database.transaction(is_durable=True) as session:
            await _again(session, call_id)

    await stuck.each(database, REDIALLING, waiting, again)


async def _again(session: AsyncSession, call_id: str) -> None:
    call = await session.get(CallRow, call_id, with_for_update=True)
    if call is None or call.retry is None or call.redial_at is None or call.redial_at > now():
        return  # another process was faster
    was_due, call.redial_at = call.redial_at, None
    session.add(call)
    wanted = OutboundCall(
        agent_id=call.agent_id or "",
        to_number=call.to_number or "",
        from_number=call.retry.get("from_number"),
        metadata=call.extra,
        dynamic_variables=call.variables,
        ring_timeout_seconds=call.ring_seconds,
        headers=call.headers,
        retry=Retry.model_validate(call.retry),
    )
    try:
        async with session.begin_nested():  # what a refused call wrote goes, that it was tried stays
            another = await phoning.dial(session, Caller(call.owner_id, call.owner_id, "user"), wanted)
            another.tries, another.retry_of = call.tries + 1, call.id
            another.contact_id = call.contact_id
            session.add(another)
    except (Unavailable, spending.SpentToday):
        if was_due < now() - GIVE_UP + NO_LINE:
            _LOG.warning("a call was not made again", extra={"call_id": call.id})
        else:
            call.redial_at = now() + NO_LINE
    except ApiError as error:
        _LOG.warning("a call was not made again", extra={"call_id": call.id, "error": type(error).__name__})
