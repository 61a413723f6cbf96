"""Rows of logins, their refresh tokens, and one-time links."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, new_id, now


class LoginRow(SQLModel, table=True):
    """One signing-in, on one device. Revoked, it takes every token that came from it along."""

    __tablename__ = "logins"

    id: str = Field(default_factory=lambda: new_id("login", 16), primary_key=True)
    user_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RefreshTokenRow(SQLModel, table=True):
    """One refresh token, by its SHA-256. Used a second time, it is a stolen one."""

    __tablename__ = "refresh_tokens"

    hash: str = Field(primary_key=True)
    login_id: str = Field(foreign_key="logins.id", ondelete="CASCADE", index=True)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class OneTimeLinkRow(SQLModel, table=True):
    """A token that does one thing for somebody once, by its SHA-256."""

    __tablename__ = "one_time_links"

    hash: str = Field(primary_key=True)
    user_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    purpose: str = "sign_in"
    """`sign_in`, `reset` or `verify`: a token for one of them is none for another."""
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
