"""Rows of phone numbers, and of those that were lent for a while to be tried."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class PhoneNumberRow(SQLModel, table=True):
    """One number. It has one owner on the whole installation, so a call to it has one agent."""

    __tablename__ = "phone_numbers"

    number: str = Field(primary_key=True, max_length=20)
    """E.164."""
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    agent_id: str | None = Field(default=None, foreign_key="agents.id", ondelete="SET NULL", index=True)
    """Who answers, and who calls from it."""
    trunk_id: str | None = Field(default=None, foreign_key="sip_trunks.id", ondelete="SET NULL", index=True)
    display_name: str | None = None
    provider: str = "sip"
    """`sip` is a number that its owner brought along."""
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Of a demo number: from then on it is nobody's."""
    active: bool = True
    answering: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    """How its calls are answered (`api.phone_numbers.answering`); None: its agent answers."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class DemoReservationRow(SQLModel, table=True):
    """That somebody was lent a demo number: once in an account's life, so that is the key."""

    __tablename__ = "demo_reservations"

    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True)
    id: str = Field(default_factory=lambda: new_id("demo", 16), unique=True)
    number: str
    agent_id: str | None = None
    reserved_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
