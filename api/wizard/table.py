"""Rows of the wizard's sessions."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class WizardRow(SQLModel, table=True):
    """One talk about one agent's prompt; forgotten after a week."""

    __tablename__ = "wizard_sessions"

    id: str = Field(default_factory=lambda: new_id("wiz", 16), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    agent_id: str | None = Field(default=None, foreign_key="agents.id", ondelete="CASCADE")
    """The agent that is changed; in a talk that makes one, the agent that it made."""
    mode: str
    language: str
    seed: str = ""
    original: str = Field(default="", sa_column=Column(Text, nullable=False))
    """The prompt that is changed."""
    status: str = "asking"
    answers: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    messages: list[Any] = Field(sa_column=Column(Json, nullable=False))
    sections: list[Any] = Field(sa_column=Column(Json, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
