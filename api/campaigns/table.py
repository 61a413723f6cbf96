"""Rows of campaigns and of the people in them."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now

DRAFT, RUNNING, PAUSED, COMPLETED, CANCELLED = "draft", "running", "paused", "completed", "cancelled"
PENDING, CALLING, DONE, FAILED, SKIPPED = "pending", "calling", "completed", "failed", "skipped"


class CampaignRow(SQLModel, table=True):
    """One campaign. Its row is locked by whoever dials for it, so that is one at a time."""

    __tablename__ = "campaigns"
    __table_args__ = (Index("ix_campaigns_owner_created", "owner_id", "created_at"),)

    id: str = Field(default_factory=lambda: new_id("camp"), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    agent_id: str
    name: str
    description: str = Field(default="", sa_column=Column(Text, nullable=False))
    from_number: str | None = None
    status: str = Field(default=DRAFT, index=True)
    problem: str | None = Field(default=None, max_length=500)
    """Why nobody is being called although the campaign runs, or why it was paused."""
    max_concurrent: int = 20
    calls_per_minute: int = 10
    retry_count: int = 0
    retry_delay_minutes: int = 5
    retry_on: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    variable_mapping: dict[str, str] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    calling_hours: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    timezone: str = "Europe/Istanbul"
    """Of numbers that do not say where they are."""
    consent_required: bool = False
    max_daily_per_number: int | None = None
    """How often a number is called in 24 hours at most, all calls of the owner's counted."""
    columns: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    """Names of the variables that its people have, in the order in which they came."""
    beat: int = 0
    """How often it was looked at since it began: a look is made for one number, and so only once."""
    beat_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    """When the next look is due; None when there is nothing to look at."""
    running_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was last started or resumed: calls from before that are not held against its line."""
    started_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    completed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class CampaignContactRow(SQLModel, table=True):
    """One person in a campaign; a number is in it once."""

    __tablename__ = "campaign_contacts"
    __table_args__ = (
        Index("ix_campaign_contacts_due", "campaign_id", "status", "due_at", "position"),
        Index("ix_campaign_contacts_dialled", "campaign_id", "dialled_at"),
        Index("ix_campaign_contacts_position", "campaign_id", "position"),
    )

    campaign_id: str = Field(primary_key=True, foreign_key="campaigns.id", ondelete="CASCADE")
    phone_number: str = Field(primary_key=True)
    position: int
    """Where it came in the list."""
    name: str = ""
    variables: dict[str, str] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    status: str = PENDING
    reason: str | None = Field(default=None, max_length=500)
    """Why it is skipped, waits or failed."""
    attempts: int = 0
    call_id: str | None = Field(default=None, index=True)
    """The newest call."""
    outcome: str | None = None
    """How that call ended (`api.calls.outcomes`)."""
    undialled: int = 0
    """How many of its calls never left this house: they are no attempts."""
    due_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    """Not called before this."""
    dialled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
