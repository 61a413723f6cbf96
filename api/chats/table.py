"""Rows of chats: what was written, what ran, and which message is being answered now."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class ChatRow(SQLModel, table=True):
    """One chat with one agent."""

    __tablename__ = "chats"
    __table_args__ = (
        Index("ix_chats_owner_updated", "owner_id", "status", "updated_at"),
        Index("ix_chats_widget_visitor", "widget_id", "visitor_id"),
    )

    id: str = Field(default_factory=lambda: new_id("chat", 16), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    agent_id: str | None = Field(default=None, index=True)
    """Kept when the agent is deleted: what was written still was."""
    agent_name: str
    title: str | None = None
    status: str = "active"
    source: str = "chat"
    external_user_id: str | None = Field(default=None, index=True)
    widget_id: str | None = None
    widget_name: str | None = None
    visitor_id: str | None = None
    """Of somebody who writes through a widget: the name that their browser goes by."""
    visitor_name: str | None = None
    extra: dict[str, Any] | None = Field(default=None, sa_column=Column("metadata", Json))
    message_count: int = 0
    total_tokens: int = 0
    total_cost_usd: float | None = 0.0
    """None once an answer's price was not known."""
    attempt: str | None = None
    """The answer that is under way; whoever answers under another name is too late."""
    attempt_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Renewed while somebody answers: past it, the process that did is gone."""
    retention_days: int | None = None
    """How long the agent kept chats when this one began: what counts once the agent is gone."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)

    @property
    def is_answering(self) -> bool:
        """True while a living process answers."""
        return self.attempt is not None and self.attempt_until is not None and self.attempt_until > now()


class ChatMessageRow(SQLModel, table=True):
    """One message. `number` counts from 1 in its chat."""

    __tablename__ = "chat_messages"
    __table_args__ = (UniqueConstraint("chat_id", "number"),)

    id: str = Field(default_factory=lambda: new_id("msg", 16), primary_key=True)
    chat_id: str = Field(foreign_key="chats.id", ondelete="CASCADE")
    number: int
    role: str
    content: str = Field(sa_column=Column(Text, nullable=False))
    status: str
    """A person's: `answering`, `answered` or `lost`; an agent's: `complete` or `failed`."""
    answers: str | None = None
    """Of an agent's message: the one it is the answer to."""
    model: str | None = None
    tokens_input: int | None = None
    tokens_output: int | None = None
    cost_usd: float | None = None
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ChatFunctionRow(SQLModel, table=True):
    """A function that ran for a message. Written before it runs; neither result nor error: it was cut off."""

    __tablename__ = "chat_functions"
    __table_args__ = (UniqueConstraint("attempt", "function_call_id"),)

    id: str = Field(default_factory=lambda: new_id("run", 16), primary_key=True)
    chat_id: str = Field(foreign_key="chats.id", ondelete="CASCADE", index=True)
    message_id: str
    """The person's message."""
    attempt: str
    function_call_id: str
    name: str
    arguments: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    result: str | None = Field(default=None, sa_column=Column(Text))
    error: str | None = Field(default=None, sa_column=Column(Text))
    started_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
