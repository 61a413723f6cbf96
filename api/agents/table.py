"""Rows of agents."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class AgentRow(SQLModel, table=True):
    """One agent. `config` holds what was asked for, in the wire's words (`AgentSettings`)."""

    __tablename__ = "agents"
    __table_args__ = (Index("ix_agents_owner_created", "owner_id", "created_at"),)

    id: str = Field(default_factory=lambda: new_id("agent"), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    name: str
    status: str = "active"
    config: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
