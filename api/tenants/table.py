"""Rows of invites."""

from datetime import datetime

from sqlalchemy import BigInteger
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, new_id, now


class TenantInviteRow(SQLModel, table=True):
    """One invite to be an owner's member; its token is kept as a SHA-256."""

    __tablename__ = "tenant_invites"

    id: str = Field(default_factory=lambda: new_id("invite", 16), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    hash: str = Field(unique=True)
    email: str
    initial_credit_micros: int = Field(default=0, sa_type=BigInteger)
    note: str | None = None
    status: str = "pending"
    """`pending`, `accepted` or `revoked`; one that is too old is told as `expired`."""
    expires_at: datetime = Field(sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    accepted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    @property
    def told_status(self) -> str:
        """What an owner reads."""
        return "expired" if self.status == "pending" and self.expires_at <= now() else self.status
