"""Rows of requests that carried an `Idempotency-Key`."""

from datetime import datetime

from pydantic import SecretStr
from sqlalchemy import Column
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, now
from api.db.sealed import SealedText


class IdempotencyRow(SQLModel, table=True):
    """One key of one caller: begun when somebody claims it, done when its answer stands here."""

    __tablename__ = "idempotency_keys"

    scope: str = Field(primary_key=True)
    """Whose key it is."""
    key: str = Field(primary_key=True)
    """A hash of it: it may be long, and may say something."""
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    fingerprint: str
    """A hash of the request."""
    claim: str
    """Which run of it counts."""
    holder: str
    """The process that runs it."""
    claimed_until: datetime = Field(sa_type=UtcDateTime)
    has_gone_out: bool = False
    """Something of it was committed, or told to others, before it had an answer."""
    answer: SecretStr | None = Field(default=None, repr=False, sa_column=Column(SealedText, nullable=True))
    """Sealed: some answers show a secret once."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
