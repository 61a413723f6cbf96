"""What schedules look like on the wire."""

from datetime import datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import AliasChoices, Field

from api.contacts.schemas import Variables
from api.http.wire import Wire
from api.schedules.recurrence import Frequency, Recurrence
from api.schedules.table import ScheduleExecutionRow, ScheduleRow
from api.telephone import E164, TimeZone

Id = Annotated[str, Field(min_length=1, max_length=100)]
Named = Annotated[str, Field(max_length=200)]
Text = Annotated[str, Field(max_length=2000)]
Status = Literal["pending_review", "scheduled", "completed", "failed", "cancelled"]
How = Frequency | Recurrence


class ScheduleCreate(Wire):
    """A call to be placed at a time. A time without an offset is one on the clock of `timezone`."""

    agent_id: Id
    phone_number: E164 = Field(validation_alias=AliasChoices("phone_number", "to_number"))
    scheduled_at: datetime
    from_number: E164 | None = None
    contact_name: Named = ""
    timezone: TimeZone = "Europe/Istanbul"
    description: Text = ""
    variables: Variables = Field(
        default_factory=dict, validation_alias=AliasChoices("variables", "dynamic_variables")
    )
    recurrence: How | None = None
    """How often; left out: once."""
    recurrence_end_at: datetime | None = None


class ScheduleUpdate(Wire):
    """What to change; what is not sent stays. `recurrence` may be `none`: a single call."""

    scheduled_at: datetime | None = None
    timezone: TimeZone | None = None
    phone_number: E164 | None = Field(
        default=None, validation_alias=AliasChoices("phone_number", "to_number")
    )
    contact_name: Named | None = None
    description: Text | None = None
    variables: Variables | None = Field(
        default=None, validation_alias=AliasChoices("variables", "dynamic_variables")
    )
    recurrence: Literal["none"] | How | None = None
    recurrence_end_at: datetime | None = None


class Approval(Wire):
    """When to call somebody who asked for it; left out: now."""

    scheduled_at: datetime | None = None


class ScheduleQuery(Wire):
    """Which schedules. `search` looks at names, numbers and descriptions."""

    status: Status | None = None
    agent_id: Annotated[str, Field(max_length=100)] | None = None
    search: Annotated[str, Field(max_length=200)] | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Annotated[int, Field(ge=0, lt=2**31)] = 0


class UpcomingQuery(Wire):
    """How far to look ahead."""

    days: Annotated[int, Field(ge=1, le=30)] = 7


class ExecutionQuery(Wire):
    """How many of the newest."""

    limit: Annotated[int, Field(ge=1, le=100)] = 20


class Schedule(Wire):
    """A schedule as it stands. `scheduled_at` is when its next call is due, else when its first was."""

    schedule_id: str
    agent_id: str
    phone_number: str
    to_number: str
    from_number: str | None
    contact_name: str
    timezone: str
    description: str
    variables: dict[str, str]
    status: Status
    scheduled_at: datetime | None
    next_run_at: datetime | None
    first_at: datetime | None
    recurrence: Frequency | None
    recurrence_rule: Recurrence | None
    """The same with its interval and its days."""
    recurrence_end_at: datetime | None
    execution_count: int
    source: Literal["api", "action", "callback"]
    call_id: str | None
    """The call that it came from."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, row: ScheduleRow) -> "Schedule":
        """A row, its times on its own clock."""
        how = None if row.recurrence is None else Recurrence.model_validate(row.recurrence)
        values: dict[str, Any] = row.model_dump(exclude={"id", "owner_id", "cause", "recurrence", "runs"})
        return cls.model_validate(
            {
                **values,
                "schedule_id": row.id,
                "to_number": row.phone_number,
                "scheduled_at": _local(row.next_at or row.first_at, row),
                "next_run_at": _local(row.next_at, row),
                "first_at": _local(row.first_at, row),
                "recurrence": None if how is None else how.frequency,
                "recurrence_rule": how,
                "execution_count": row.runs,
            }
        )


def _local(at: datetime | None, row: ScheduleRow) -> datetime | None:
    return None if at is None else at.astimezone(ZoneInfo(row.timezone))


class ScheduleList(Wire):
    """A page of schedules, and how many there are."""

    schedules: list[Schedule]
    total: int
    limit: int
    offset: int


class Occurrence(Wire):
    """One call that is due."""

    schedule_id: str
    agent_id: str
    phone_number: str
    contact_name: str
    description: str
    scheduled_at: datetime
    recurrence: Frequency | None


class Upcoming(Wire):
    """Calls that are due, the next one first; at most five hundred."""

    upcoming: list[Occurrence]
    total: int


class Execution(Wire):
    """What became of one due call."""

    execution_id: str
    schedule_id: str
    status: Literal["placed", "failed", "missed"]
    detail: str
    call_id: str | None
    call_status: str | None
    """Of the call as it is now."""
    scheduled_at: datetime
    executed_at: datetime

    @classmethod
    def of(cls, row: ScheduleExecutionRow, call_status: str | None) -> "Execution":
        """A row, and how its call stands."""
        return cls.model_validate(
            {
                **row.model_dump(include={"schedule_id", "status", "detail", "call_id"}),
                "execution_id": f"{row.schedule_id}-{row.number}",
                "call_status": call_status,
                "scheduled_at": row.due_at,
                "executed_at": row.created_at,
            }
        )


class Executions(Wire):
    """What became of a schedule's calls, newest first."""

    executions: list[Execution]
    total: int


class ScheduleEnded(Wire):
    """A schedule calls nobody any more: its log is kept (`cancelled`), or gone with it (`deleted`)."""

    schedule_id: str
    status: Literal["cancelled", "deleted"]
    message: str
