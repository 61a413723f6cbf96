"""/v1/schedules: calls that are placed at a time."""

from typing import Literal

from aiohttp import web

from api.agents import service as agents
from api.http.routes import Routes
from api.keys import CALLER, SESSION
from api.schedules import service
from api.schedules.schemas import (
    Approval,
    Execution,
    ExecutionQuery,
    Executions,
    Occurrence,
    Schedule,
    ScheduleCreate,
    ScheduleEnded,
    ScheduleList,
    ScheduleQuery,
    ScheduleUpdate,
    Upcoming,
    UpcomingQuery,
)
from api.schedules.service import (
    NoNumberGiven,
    NotForReview,
    ScheduleNotFound,
    ScheduleOver,
    TooManySchedules,
)
from api.schedules.table import OPEN

routes = Routes("/v1/schedules", tag="Schedules")


@routes.post(
    status=201, errors=[agents.AgentNotFound, TooManySchedules], location="/v1/schedules/{schedule_id}"
)
async def create_schedule(request: web.Request, body: ScheduleCreate) -> Schedule:
    """Have an agent call somebody at a time, once or again and again."""
    return Schedule.of(await service.create(request[SESSION], request[CALLER], body))


@routes.get()
async def list_schedules(request: web.Request, query: ScheduleQuery) -> ScheduleList:
    """List your schedules, newest first."""
    rows, total = await service.page(request[SESSION], request[CALLER], query)
    listed = [Schedule.of(row) for row in rows]
    return ScheduleList(schedules=listed, total=total, limit=query.limit, offset=query.offset)


@routes.get("/upcoming")
async def list_upcoming(request: web.Request, query: UpcomingQuery) -> Upcoming:
    """List the calls that are due within some days, those of series each by itself."""
    due = await service.upcoming(request[SESSION], request[CALLER], query.days)
    listed = [
        Occurrence.model_validate({**Schedule.of(row).model_dump(), "scheduled_at": at}) for row, at in due
    ]
    return Upcoming(upcoming=listed, total=len(listed))


@routes.get("/{schedule_id}", errors=[ScheduleNotFound])
async def get_schedule(request: web.Request, schedule_id: str) -> Schedule:
    """Get a schedule."""
    return Schedule.of(await service.get(request[SESSION], request[CALLER], schedule_id))


@routes.patch("/{schedule_id}", errors=[ScheduleNotFound, ScheduleOver])
async def update_schedule(request: web.Request, schedule_id: str, body: ScheduleUpdate) -> Schedule:
    """Change a schedule that is not over; what is not sent stays as it is."""
    return Schedule.of(await service.change(request[SESSION], request[CALLER], schedule_id, body))


@routes.delete("/{schedule_id}", status=200, errors=[ScheduleNotFound])
async def delete_schedule(request: web.Request, schedule_id: str) -> ScheduleEnded:
    """Cancel a schedule and keep its log; one that is cancelled or over is removed with it."""
    before = await service.get(request[SESSION], request[CALLER], schedule_id)
    was_open = before.status in OPEN
    await service.remove(request[SESSION], request[CALLER], schedule_id)
    return _ended(schedule_id, "cancelled" if was_open else "deleted")


@routes.post("/{schedule_id}/cancel", errors=[ScheduleNotFound, ScheduleOver])
async def cancel_schedule(request: web.Request, schedule_id: str) -> ScheduleEnded:
    """Cancel a schedule and keep its log."""
    await service.cancel(request[SESSION], request[CALLER], schedule_id)
    return _ended(schedule_id, "cancelled")


@routes.post("/{schedule_id}/approve", errors=[ScheduleNotFound, NotForReview, NoNumberGiven])
async def approve_schedule(request: web.Request, schedule_id: str, body: Approval | None) -> Schedule:
    """Have somebody called who asked for it: at a time, or now."""
    at = None if body is None else body.scheduled_at
    return Schedule.of(await service.approve(request[SESSION], request[CALLER], schedule_id, at))


@routes.get("/{schedule_id}/executions", errors=[ScheduleNotFound])
async def list_executions(request: web.Request, schedule_id: str, query: ExecutionQuery) -> Executions:
    """List what became of a schedule's calls, newest first."""
    row = await service.get(request[SESSION], request[CALLER], schedule_id)
    rows, total = await service.executions(request[SESSION], row, query.limit)
    return Executions(executions=[Execution.of(*one) for one in rows], total=total)


def _ended(schedule_id: str, status: Literal["cancelled", "deleted"]) -> ScheduleEnded:
    message = "The schedule calls nobody any more; its log is kept."
    if status == "deleted":
        message = "The schedule and its log are gone."
    return ScheduleEnded(schedule_id=schedule_id, status=status, message=message)
