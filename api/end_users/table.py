"""Rows of end users' tokens."""

from datetime import datetime

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class EndUserTokenRow(SQLModel, table=True):
    """A token, without the token: its SHA-256 to recognise it."""

    __tablename__ = "end_user_tokens"
    __table_args__ = (Index("ix_end_user_tokens_owner_external", "owner_id", "external_id"),)

    id: str = Field(default_factory=lambda: new_id("eut", 16), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    external_id: str
    """What the owner's own system calls this person."""
    hash: str = Field(unique=True)
    key_id: str | None = Field(default=None, foreign_key="api_keys.id", ondelete="CASCADE", index=True)
    """The API key that it was minted with: it ends with that."""
    scopes: list[str] = Field(sa_column=Column(Json, nullable=False))
    agent_ids: list[str] | None = Field(default=None, sa_column=Column(Json))
    """None: every agent that end users may see."""
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
