"""Rows of text messages, of who writes with which number, and of numbers whose messages come here."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, new_id, now

INBOUND, OUTBOUND = "inbound", "outbound"
RECEIVED = "received"
QUEUED, SENT, DELIVERED, UNCONFIRMED, FAILED = "queued", "sent", "delivered", "unconfirmed", "failed"
"""Of one that is sent: `sent` has the carrier; `unconfirmed` may or may not have arrived."""


class SmsRow(SQLModel, table=True):
    """One message, either way. Written down before anything is done about it."""

    __tablename__ = "sms_messages"
    __table_args__ = (
        Index("ix_sms_messages_owner", "owner_id", "created_at"),
        Index("ix_sms_messages_pair", "number", "peer", "created_at"),
        Index("ix_sms_messages_open", "is_open", "due_at"),
        Index("ix_sms_messages_pace", "number", "due_at"),
    )

    id: str = Field(default_factory=lambda: new_id("sms", 24), primary_key=True)
    """Of one that is sent also its key at the carrier, who sends each key once."""
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    number: str = Field(max_length=20)
    """Of the owner; E.164."""
    peer: str = Field(max_length=20)
    """The other one's."""
    direction: str
    text: str = Field(sa_column=Column(Text, nullable=False))
    segments: int
    status: str
    why: str | None = None
    """Of a failure, or of a message that nobody answers."""
    agent_id: str | None = Field(default=None, index=True)
    """Who answers, or answered."""
    chat_id: str | None = None
    message_id: str | None = None
    """Of one that came in: what it is in its chat."""
    answers: str | None = Field(default=None, unique=True)
    """Of an answer: the message that came in. Each is answered once."""
    carrier_id: str | None = Field(default=None, unique=True)
    """The carrier's name of it: whatever is told twice is taken once."""
    is_open: bool = True
    """There is something to be done: it is to be sent, or to be answered."""
    tries: int = 0
    due_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    """When it is to be tried, or was tried last; the sweeper begins what is overdue."""
    retention_days: int | None = None
    """How long the agent kept what was written when this was."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class SmsThreadRow(SQLModel, table=True):
    """One number and somebody who writes to it: one chat, in which one is answered after the other."""

    __tablename__ = "sms_threads"

    owner_id: str = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    number: str = Field(primary_key=True, max_length=20)
    peer: str = Field(primary_key=True, max_length=20)
    chat_id: str | None = None


class SmsProfileRow(SQLModel, table=True):
    """What messages come over at the carrier: one for all numbers here."""

    __tablename__ = "sms_profiles"

    carrier: str = Field(primary_key=True, max_length=20)
    name: str
    profile_id: str | None = None
    events_url: str = ""
    """As the carrier was last told."""
    claim: str | None = None
    """Of the process that asks the carrier for it now."""
    claimed_until: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    """When that process is taken for dead."""


class SmsNumberRow(SQLModel, table=True):
    """A bought number whose messages come here, or why not."""

    __tablename__ = "sms_numbers"

    order_id: str = Field(primary_key=True, foreign_key="number_orders.id", ondelete="CASCADE")
    profile_id: str | None = None
    why: str | None = None
    due_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    """Of one that did not come about: when it is tried again."""
