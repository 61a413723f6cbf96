"""Rows of end users' tokens."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now
from api.http.callers import Caller, EndUserRights


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


class OpenToken(NamedTuple):
    """What is read of a token that was not revoked, to recognise who carries it."""

    owner_id: str
    external_id: str
    scopes: list[str]
    agent_ids: list[str] | None
    expires_at: datetime
    key_id: str | None
    key_is_active: bool | None
    key_expires_at: datetime | None

    def is_open(self, moment: datetime) -> bool:
        """Whether neither it nor the API key that it was minted with has ended."""
        if self.expires_at <= moment:
            return False
        if self.key_id is None:
            return True
        return bool(self.key_is_active) and (self.key_expires_at is None or self.key_expires_at > moment)

    @property
    def caller(self) -> Caller:
        """Whom it stands for."""
        return Caller(
            owner_id=self.owner_id,
            user_id=f"{self.owner_id}/{self.external_id}",
            kind="end_user",
            external_user_id=self.external_id,
            end_user=EndUserRights(
                scopes=frozenset(self.scopes),
                agent_ids=frozenset(self.agent_ids) if self.agent_ids is not None else None,
            ),
        )
