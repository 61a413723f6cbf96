"""Rows of what strangers send: messages, addresses for the newsletter, events."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class ContactMessageRow(SQLModel, table=True):
    """What somebody wrote to whoever runs this installation."""

    __tablename__ = "contact_messages"

    id: str = Field(default_factory=lambda: new_id("contact", 16), primary_key=True)
    name: str
    email: str
    company: str = ""
    subject: str
    message: str = Field(sa_column=Column(Text, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)


class SubscriberRow(SQLModel, table=True):
    """Somebody who wants the newsletter; without `confirmed_at`, nobody knows whether it was really them."""

    __tablename__ = "newsletter_subscribers"

    email: str = Field(primary_key=True)
    """In lower case."""
    source: str
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    confirmed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    unsubscribed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class EventRow(SQLModel, table=True):
    """An event that was reported and is bad enough to be kept."""

    __tablename__ = "reported_events"
    __table_args__ = (Index("ix_reported_events_created", "created_at", "severity"),)

    id: str = Field(default_factory=lambda: new_id("event", 16), primary_key=True)
    owner_id: str | None = Field(default=None, foreign_key="users.id", ondelete="CASCADE", index=True)
    """Who reported it, where they said so."""
    type: str
    source: str
    severity: str
    message: str = Field(sa_column=Column(Text, nullable=False))
    tenant: str | None = None
    session_id: str | None = None
    fingerprint: str | None = None
    meta: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
