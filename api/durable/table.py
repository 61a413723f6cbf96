"""Rows of letters that must be sent."""

from datetime import datetime

from sqlalchemy import Column, Index, Text
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, now


class LetterRow(SQLModel, table=True):
    """One letter, written in the transaction of its reason. Its text is forgotten once it was sent."""

    __tablename__ = "letters"
    __table_args__ = (Index("ix_letters_due", "ended_at", "due_at"),)

    id: str = Field(primary_key=True)
    """Derived from the reason, so that there is one letter for it."""
    to: str
    subject: str
    text: str = Field(sa_column=Column(Text, nullable=False))
    tries: int = 0
    due_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    was_sent: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
