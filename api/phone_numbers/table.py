"""Rows of phone numbers."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, now


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
    active: bool = True
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
