"""Rows of schedules and of what became of each of their calls."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now

PENDING_REVIEW, SCHEDULED, COMPLETED, FAILED, CANCELLED = (
    "pending_review",
    "scheduled",
    "completed",
    "failed",
    "cancelled",
)
OPEN = (PENDING_REVIEW, SCHEDULED)
"""Statuses of a schedule that may still call somebody."""


class ScheduleRow(SQLModel, table=True):
    """One call to be placed, or a series of them."""

    __tablename__ = "schedules"
    __table_args__ = (
        Index("ix_schedules_owner_created", "owner_id", "created_at"),
        Index("ix_schedules_due", "status", "next_at"),
    )

    id: str = Field(default_factory=lambda: new_id("sched"), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    agent_id: str
    """Kept when the agent is deleted: its calls then fail, and the log says why."""
    phone_number: str
    """Empty only for a request for a callback that named no number; it cannot be approved."""
    from_number: str | None = None
    contact_name: str = ""
    timezone: str
    """Whose clock a series goes by."""
    description: str = Field(default="", sa_column=Column(Text, nullable=False))
    variables: dict[str, str] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    recurrence: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    """The fields of `recurrence.Recurrence`; None for a single call."""
    recurrence_end_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    status: str = SCHEDULED
    first_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the series begins; None until a request was approved."""
    next_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the next call is due; None when there is none."""
    runs: int = 0
    """How many were due by now: the next one's number is one more."""
    source: str = "api"
    """`api`, `action` (after a call) or `callback` (somebody asked an agent to be called back)."""
    call_id: str | None = None
    """The call that it came from."""
    cause: str | None = Field(default=None, unique=True)
    """What it came from, so that it comes from it once."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ScheduleExecutionRow(SQLModel, table=True):
    """What became of one due call. The primary key is what lets it be placed only once."""

    __tablename__ = "schedule_executions"

    schedule_id: str = Field(primary_key=True, foreign_key="schedules.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    status: str
    """`placed`, `failed`, or `missed`: nothing here ran when it was due."""
    detail: str = ""
    call_id: str | None = Field(default=None, index=True)
    due_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
