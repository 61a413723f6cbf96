"""Rows of agents."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now
from api.db.sealed import SealedJson


class AgentRow(SQLModel, table=True):
    """One agent. `config` holds what was asked for, in the wire's words (`AgentSettings`)."""

    __tablename__ = "agents"
    __table_args__ = (Index("ix_agents_owner_created", "owner_id", "created_at"),)

    id: str = Field(default_factory=lambda: new_id("agent"), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    name: str
    status: str = "active"
    config: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    secrets: dict[str, str] | None = Field(
        default=None, repr=False, sa_column=Column(SealedJson, nullable=True)
    )
    """What stands behind the masks in `config` (`api.agents.secrets`)."""
    blocked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When a function of it last held up its whole process."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


@dataclass(frozen=True, slots=True)
class SeenAgent:
    """What a row says when an agent is only shown (`api.db.lookups`)."""

    id: str
    owner_id: str
    status: str
    config: dict[str, Any]
    created_at: datetime
    updated_at: datetime
