"""Rows of endpoints, of what is told to them, and of every try."""

from datetime import datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import BigInteger, Column, Index, Text, UniqueConstraint
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now
from api.db.sealed import SealedText

PENDING, DELIVERED, DEAD = "pending", "delivered", "dead"


class WebhookEndpointRow(SQLModel, table=True):
    """Where an owner wants to be told. The default one's secret signs what agents' own URLs are sent."""

    __tablename__ = "webhook_endpoints"
    __table_args__ = (Index("ix_webhook_endpoints_owner", "owner_id", "is_default"),)

    id: str = Field(default_factory=lambda: new_id("we", 16), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    is_default: bool = False
    url: str = ""
    """Empty for a default endpoint that only keeps a secret."""
    description: str = ""
    events: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    """Empty: all that stand for a whole call, payment or campaign."""
    retries_for_a_day: bool = False
    secret: SecretStr = Field(sa_column=Column(SealedText, nullable=False))
    previous_secret: SecretStr | None = Field(default=None, sa_column=Column(SealedText, nullable=True))
    previous_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    failing_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    disabled_why: str | None = None
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)

    def keys(self, at: datetime) -> list[str]:
        """The secrets that sign at this moment, the current one first."""
        keys = [self.secret.get_secret_value()]
        if self.previous_secret is not None and self.previous_until and at < self.previous_until:
            keys.append(self.previous_secret.get_secret_value())
        return keys


class WebhookEventRow(SQLModel, table=True):
    """Something that happened and is told. `cause` is unique, so that it is told as one event only."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        UniqueConstraint("owner_id", "cause"),
        Index("ix_webhook_events_owner_created", "owner_id", "created_at"),
    )

    id: str = Field(default_factory=lambda: new_id("evt", 24), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    type: str
    cause: str
    call_id: str | None = Field(default=None, index=True)
    agent_id: str | None = None
    body: str = Field(sa_column=Column(Text, nullable=False))
    """The very text that is sent and signed, at every try."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class WebhookDeliveryRow(SQLModel, table=True):
    """One event on its way to one address."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (
        UniqueConstraint("event_id", "target"),
        Index("ix_webhook_deliveries_due", "status", "due_at"),
        Index("ix_webhook_deliveries_chain", "chain", "status", "position"),
    )

    id: str = Field(default_factory=lambda: new_id("dlv", 24), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE")
    event_id: str = Field(foreign_key="webhook_events.id", ondelete="CASCADE")
    target: str
    """An endpoint's id; `agent:<id>`; `action:<n>` for a post-call action."""
    url: str
    chain: str
    """Deliveries of one chain go one after the other: those of one call to one target."""
    position: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    """Nanoseconds since 1970 when it was written; order within its chain."""
    status: str = PENDING
    tries: int = 0
    round_began: int = 0
    """How many tries there had been when somebody asked for it to be delivered anew."""
    due_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class WebhookTryRow(SQLModel, table=True):
    """What one try was answered."""

    __tablename__ = "webhook_tries"

    delivery_id: str = Field(primary_key=True, foreign_key="webhook_deliveries.id", ondelete="CASCADE")
    number: int = Field(primary_key=True)
    status_code: int | None = None
    error: str | None = None
    """A sentence, where there was no answer."""
    answer: str = Field(default="", sa_column=Column(Text, nullable=False))
    """The beginning of what was answered."""
    headers: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    """What was sent besides the body."""
    duration_ms: float = 0.0
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
