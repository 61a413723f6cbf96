"""Events that applications report: the bad ones are kept for a month, the others only counted."""

import json
from datetime import timedelta

from sqlalchemy import delete, func
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from api.db.columns import now
from api.durable import engine
from api.http.callers import Caller
from api.http.errors import Forbidden, Unauthorized
from api.public.schemas import EventQuery, EventReport, Severity
from api.public.table import EventRow
from api.users import service as users

KEPT_HOURS = 720
KEPT_A_DAY = 5000
MAX_META = 8 * 1024
_BY_TYPE: dict[str, Severity] = {
    "agent_crash": "critical",
    "js_error": "error",
    "unhandled_rejection": "error",
    "http_5xx": "error",
    "payment_failed": "error",
    "call_failed": "error",
}
_KNOWN: dict[str, Severity] = {
    "critical": "critical",
    "error": "error",
    "warning": "warning",
    "info": "info",
    "debug": "debug",
}


class OnlyAdministrators(Forbidden):
    """Only the administrator of this installation may read these: its first account"""


class OnlyPeople(Unauthorized):
    """This needs an access token from signing in, not an API key"""


async def report(session: AsyncSession, owner_id: str | None, told: EventReport) -> tuple[Severity, bool]:
    """How bad it is, and whether it is kept."""
    severity = _KNOWN.get((told.severity or "").lower()) or _BY_TYPE.get(told.type, "info")
    if severity not in {"critical", "error"}:
        return severity, False
    today = select(func.count()).select_from(EventRow).where(EventRow.created_at > now() - timedelta(days=1))
    if (await session.exec(today)).one() >= KEPT_A_DAY:
        return severity, False
    meta = told.meta if told.meta is None or len(json.dumps(told.meta)) <= MAX_META else None
    fields = told.model_dump(exclude={"severity", "meta"})
    session.add(EventRow(owner_id=owner_id, severity=severity, meta=meta, **fields))
    return severity, True


async def kept(session: AsyncSession, caller: Caller, wanted: EventQuery) -> tuple[list[EventRow], int]:
    """The newest of the events that were kept, for the administrator."""
    await _require_administrator(session, caller)
    conditions = [col(EventRow.created_at) > now() - timedelta(hours=wanted.hours)]
    for name in ("severity", "type", "fingerprint"):
        if (value := getattr(wanted, name)) is not None:
            conditions.append(getattr(EventRow, name) == value)
    total = (await session.exec(select(func.count()).select_from(EventRow).where(*conditions))).one()
    found = await session.exec(
        select(EventRow)
        .where(*conditions)
        .order_by(col(EventRow.created_at).desc(), col(EventRow.id))
        .limit(wanted.limit)
    )
    return list(found.all()), total


async def sweep() -> None:
    """Forget events that are older than anybody may ask for."""
    async with engine.reach().database.transaction() as session:
        old = now() - timedelta(hours=KEPT_HOURS)
        await session.exec(delete(EventRow).where(col(EventRow.created_at) < old))


async def _require_administrator(session: AsyncSession, caller: Caller) -> None:
    if caller.kind != "user":
        raise OnlyPeople
    first = await users.first(session)
    if first is None or first.id != caller.user_id:
        raise OnlyAdministrators
