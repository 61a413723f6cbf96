"""Rows of API keys."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class ApiKeyRow(SQLModel, table=True):
    """A key, without the key: its prefix to find it and its SHA-256 to check it."""

    __tablename__ = "api_keys"

    id: str = Field(default_factory=lambda: new_id("key"), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    name: str
    prefix: str = Field(index=True)
    hash: str
    permissions: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    rate_limit: int
    is_read_only: bool
    is_active: bool = True
    expires_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class ApiKeyUsageRow(SQLModel, table=True):
    """What one key was used for on one day (UTC)."""

    __tablename__ = "api_key_usage"

    key_id: str = Field(primary_key=True, foreign_key="api_keys.id", ondelete="CASCADE")
    day: str = Field(primary_key=True)
    requests: int = 0
    failed: int = 0
    duration_ms: float = 0.0


class ActiveKey(NamedTuple):
    """What a row, and that of its owner, say about a key that is carried by a request."""

    id: str
    owner_id: str
    hash: str
    permissions: list[str]
    rate_limit: int
    is_read_only: bool
    expires_at: datetime | None
    last_used_at: datetime | None
    user_rate_limit: int
