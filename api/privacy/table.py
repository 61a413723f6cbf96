"""Rows of exports."""

from datetime import datetime

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, new_id, now


class AccountExportRow(SQLModel, table=True):
    """Everything of an account in one file, made once and kept for a week: the blob `<id>.zip`."""

    __tablename__ = "account_exports"

    id: str = Field(default_factory=lambda: new_id("export", 24), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    status: str = "pending"
    """`pending`, `complete` or `failed`."""
    size_bytes: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    left_out: int = 0
    """Recordings that the file had no room for."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    completed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
