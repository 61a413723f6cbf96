"""Rows of notification targets, and of what became of each notification."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class NotificationTargetRow(SQLModel, table=True):
    """Somebody who is told of an agent's calls or chats."""

    __tablename__ = "notification_targets"

    id: str = Field(default_factory=lambda: new_id("notif"), primary_key=True)
    agent_id: str = Field(foreign_key="agents.id", ondelete="CASCADE", index=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    channel: str
    destination: str | None = None
    recipient_kind: str
    trigger_event: str
    condition: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    template: str | None = Field(default=None, sa_column=Column(Text))
    template_vars: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    active: bool = True
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class NotificationRow(SQLModel, table=True):
    """One target and one call or chat: told at most once."""

    __tablename__ = "notifications"
    __table_args__ = (Index("ix_notifications_cause", "cause"),)

    target_id: str = Field(primary_key=True)
    cause: str = Field(primary_key=True)
    """The call's or chat's id."""
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    channel: str
    outcome: str
    """`asked` (its delivery, letter or text says more), `skipped` (its condition does not hold), `failed`."""
    detail: str = ""
    letters: int = 0
    """How many were written."""
    sms_id: str | None = Field(default=None, max_length=40)
    """The text that was written; its words are forgotten before this is."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)

    def letter_id(self, number: int) -> str:
        """Of one of its letters, from 0."""
        return f"notification-{self.target_id}-{self.cause}-{number}"
