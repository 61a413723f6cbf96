"""Rows of what a sweep tried and could not do."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, now


class StuckRow(SQLModel, table=True):
    """One row of some sweep that failed. Beside the row itself, which perhaps cannot be written."""

    __tablename__ = "stuck_work"

    kind: str = Field(primary_key=True, max_length=40)
    """Of which sweep."""
    key: str = Field(primary_key=True, max_length=100)
    """Of which of its rows."""
    owner_id: str = Field(default="", index=True)
    """Not a foreign key: an erased owner's number must still be given back."""
    tries: int = 0
    error: str = ""
    """The last one's class: an exception's words may be what somebody said."""
    try_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
    given_up_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
