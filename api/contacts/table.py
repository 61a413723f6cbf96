"""Rows of contacts, of their tags, and of numbers that must not be called."""

from datetime import datetime

from sqlalchemy import Column, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now

UNKNOWN, GRANTED, DENIED = "unknown", "granted", "denied"


class ContactRow(SQLModel, table=True):
    """One person, known by a number; an owner has each number once."""

    __tablename__ = "contacts"
    __table_args__ = (
        UniqueConstraint("owner_id", "phone_number"),
        Index("ix_contacts_owner_created", "owner_id", "created_at"),
    )

    id: str = Field(default_factory=lambda: new_id("contact"), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    phone_number: str
    """E.164."""
    name: str = ""
    company: str = ""
    email: str = ""
    language: str = ""
    timezone: str = ""
    """Of the person; empty: as the number says."""
    notes: str = Field(default="", sa_column=Column(Text, nullable=False))
    variables: dict[str, str] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    consent: str = UNKNOWN
    """Whether the person agreed to be called."""
    consent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When that was last said."""
    source: str = "api"
    """`api`, `csv` or `call`: how it came to be known."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ContactTagRow(SQLModel, table=True):
    """One tag of one contact."""

    __tablename__ = "contact_tags"

    contact_id: str = Field(primary_key=True, foreign_key="contacts.id", ondelete="CASCADE")
    tag: str = Field(primary_key=True, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class DoNotCallRow(SQLModel, table=True):
    """A number that its owner's agents must not call, whether or not it is a contact's."""

    __tablename__ = "do_not_call"

    owner_id: str = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    phone_number: str = Field(primary_key=True)
    reason: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
