"""Rows of web calls: what each agent's owner decided, and how often the public one was used today."""

from datetime import date, datetime

from pydantic import SecretStr
from sqlalchemy import Column, Date
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now
from api.db.sealed import SealedText


class WebCallRow(SQLModel, table=True):
    """How an agent's owner calls from a browser."""

    __tablename__ = "web_calls"

    id: str = Field(default_factory=lambda: new_id("webcall", 16), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    agent_id: str = Field(foreign_key="agents.id", ondelete="CASCADE", unique=True)
    name: str
    enabled: bool = True
    record_enabled: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class PublicWebCallRow(SQLModel, table=True):
    """How everybody who has the token may call from a browser."""

    __tablename__ = "public_web_calls"

    id: str = Field(default_factory=lambda: new_id("webcall", 16), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    agent_id: str = Field(foreign_key="agents.id", ondelete="CASCADE", unique=True)
    public_enabled: bool = False
    target_number: str | None = None
    """E.164; None: the agent itself answers."""
    token: SecretStr = Field(sa_column=Column(SealedText, nullable=False))
    """Shown to its owner; looked for by its hash alone."""
    hash: str = Field(unique=True)
    allowed_domains: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    daily_call_limit: int = 100
    ip_rate_per_min: int = 5
    max_duration_sec: int = 600
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class PublicWebCallUseRow(SQLModel, table=True):
    """How many calls were begun with a public token's configuration on one day (UTC)."""

    __tablename__ = "public_web_call_uses"

    web_call_id: str = Field(foreign_key="public_web_calls.id", ondelete="CASCADE", primary_key=True)
    day: date = Field(sa_column=Column(Date, primary_key=True))
    count: int = 0
