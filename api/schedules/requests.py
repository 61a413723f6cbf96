"""Schedules that calls ask for: an owner's action after one, and somebody who wants to be called back."""

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil import parser
from sqlmodel.ext.asyncio.session import AsyncSession

from api import telephone
from api.agents.fields import PostCallAction
from api.calls import service as calls
from api.calls.table import CallRow
from api.db.columns import now
from api.db.inserts import insert_new
from api.schedules import service
from api.schedules.recurrence import moment
from api.schedules.table import PENDING_REVIEW, ScheduleRow
from api.users.table import UserRow
from pipelines.contract.events import FunctionCalled
from pipelines.extraction import Analysis

CALLBACK = "request_callback"
MAX_DELAY_MINUTES = 366 * 24 * 60


async def schedule_call(
    session: AsyncSession, call: CallRow, action: PostCallAction, number: int, analysis: Analysis
) -> str:
    """The post-call action `schedule_call`; returns why not, else nothing.

    `use_field` names a field of the analysis that holds a time, on the owner's clock where it has no zone;
    `fallback_delay_minutes` is for one that holds none. Else it is `delay_minutes` from now.
    """
    config = action.config
    other = telephone.normal(call.other_number or "")
    if other is None:
        return "the call has no number to call again"
    zone = await _zone(session, call)
    at = _delayed(config.get("delay_minutes"))
    if isinstance(name := config.get("use_field"), str) and name:
        at = _read(analysis.custom_analysis_data.get(name), zone) or _delayed(
            config.get("fallback_delay_minutes")
        )
        if at is None:
            return f"{name[:100]} holds no time to come"
    if at is None:
        return "the action has no delay_minutes"
    from_number = config.get("from_number")
    row = ScheduleRow(
        owner_id=call.owner_id,
        agent_id=call.agent_id or "",
        phone_number=other,
        from_number=telephone.normal(from_number) if isinstance(from_number, str) else None,
        timezone=zone,
        description=(action.name or analysis.call_summary)[:2000],
        variables={name: str(value)[:2000] for name, value in analysis.custom_analysis_data.items()},
        source="action",
        call_id=call.id,
        cause=f"{call.id}:action:{number}",
        contact_name=call.variables.get("contact_name", "")[:200],
    )
    service.begin(row, at)
    if await insert_new(session, ScheduleRow, [row]):
        await service.keep(session, await session.get_one(ScheduleRow, row.id))
    return ""


async def callback(session: AsyncSession, call: CallRow, event: FunctionCalled) -> None:
    """Somebody asked to be called back: kept for a person to look at, once."""
    if event.name != CALLBACK or event.error is not None:
        return
    said = {name: str(value).strip()[:500] for name, value in event.arguments.items() if value is not None}
    number = telephone.normal(said.get("phone_number", "")) or telephone.normal(call.other_number or "")
    told = (
        ("About", said.get("reason")),
        ("When", said.get("when")),
        ("Number as it was said", said.get("phone_number") if number is None else None),
    )
    row = ScheduleRow(
        owner_id=call.owner_id,
        agent_id=call.agent_id or "",
        phone_number=number or "",
        timezone=await _zone(session, call),
        description="\n".join(f"{title}: {text}" for title, text in told if text),
        contact_name=(call.variables.get("contact_name") or call.variables.get("username", ""))[:200],
        status=PENDING_REVIEW,
        source="callback",
        call_id=call.id,
        cause=f"{call.id}:callback:{event.function_call_id or event.sequence}",
    )
    await insert_new(session, ScheduleRow, [row])


async def missed(session: AsyncSession, call: CallRow) -> None:
    """Somebody called while no line was free: kept for a person to look at, once."""
    row = ScheduleRow(
        owner_id=call.owner_id,
        agent_id=call.agent_id or "",
        phone_number=telephone.normal(call.other_number or "") or "",
        timezone=await _zone(session, call),
        description="Called while no line was free",
        contact_name=call.participant_name[:200],
        status=PENDING_REVIEW,
        source="callback",
        call_id=call.id,
        cause=f"{call.id}:missed",
    )
    await insert_new(session, ScheduleRow, [row])


async def _zone(session: AsyncSession, call: CallRow) -> str:
    """The agent's clock, else its owner's."""
    agent = await calls.agent_of(session, call)
    owner = await session.get(UserRow, call.owner_id)
    asked = (agent.time_zone if agent is not None else None) or (owner.timezone if owner is not None else "")
    return asked if telephone.is_zone(asked) else "UTC"


def _delayed(minutes: Any) -> datetime | None:
    if isinstance(minutes, bool) or not isinstance(minutes, int | float):
        return None
    return now() + timedelta(minutes=min(max(minutes, 0), MAX_DELAY_MINUTES))


def _read(value: Any, zone: str) -> datetime | None:
    """A time to come that somebody said, as a model wrote it down."""
    if not isinstance(value, str) or not value.strip() or len(value) > 100:
        return None
    today = now().astimezone(ZoneInfo(zone)).replace(hour=9, minute=0, second=0, microsecond=0, tzinfo=None)
    try:
        at = moment(parser.parse(value, default=today), zone)
    except (ValueError, OverflowError):
        return None
    return at if now() < at < now() + timedelta(minutes=MAX_DELAY_MINUTES) else None
