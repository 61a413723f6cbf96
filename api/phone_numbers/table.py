"""Rows of phone numbers, of those that were lent for a while to be tried, and of those that are bought."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now

PENDING, ACTIVE, SUSPENDED = "pending", "active", "suspended"
"""Standings of a number."""
ORDERING, OURS, RELEASING, RELEASED, FAILED = "ordering", "ours", "releasing", "released", "failed"
"""What becomes of an order: it is being bought, ours, given back, gone, or came to nothing."""
LIVE = (ORDERING, OURS, RELEASING)
"""While an order is one of these, its number is the carrier's and ours, or may be."""


class PhoneNumberRow(SQLModel, table=True):
    """One number. It has one owner on the whole installation, so a call to it has one agent."""

    __tablename__ = "phone_numbers"

    number: str = Field(primary_key=True, max_length=20)
    """E.164."""
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    agent_id: str | None = Field(default=None, foreign_key="agents.id", ondelete="SET NULL", index=True)
    """Who answers, and who calls from it."""
    trunk_id: str | None = Field(default=None, foreign_key="sip_trunks.id", ondelete="SET NULL", index=True)
    display_name: str | None = None
    provider: str = "sip"
    """`sip` is a number that its owner brought along."""
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """Of a demo number: from then on it is nobody's."""
    standing: str = ACTIVE
    """`pending` while it is bought, `suspended` while its rent is owed: then it takes and makes no calls."""
    active: bool = True
    """What its owner wants."""
    answering: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    """How its calls are answered (`api.phone_numbers.answering`); None: its agent answers."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class DemoReservationRow(SQLModel, table=True):
    """That somebody was lent a demo number: once in an account's life, so that is the key."""

    __tablename__ = "demo_reservations"

    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", primary_key=True)
    id: str = Field(default_factory=lambda: new_id("demo", 16), unique=True)
    number: str
    agent_id: str | None = None
    reserved_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class NumberOrderRow(SQLModel, table=True):
    """A number that is bought from the carrier, from the order until it is given back."""

    __tablename__ = "number_orders"

    id: str = Field(default_factory=lambda: new_id("order", 24), primary_key=True)
    """Also our reference at the carrier, by which an order whose answer was lost is found."""
    owner_id: str = Field(index=True)
    """Not a foreign key: a number whose owner is erased must still be given back. Empty then."""
    number: str = Field(max_length=20, index=True)
    status: str = Field(default=ORDERING, index=True)
    why: str | None = None
    """Of a failure."""
    is_billed: bool = True
    """False where billing was off when it was ordered: this server pays what is held for the order."""
    cost_micros: int = Field(sa_type=BigInteger)
    """What the carrier takes a month."""
    upfront_cost_micros: int = Field(sa_type=BigInteger)
    monthly_micros: int = Field(sa_type=BigInteger)
    """What its owner pays a month."""
    upfront_micros: int = Field(sa_type=BigInteger)
    """What its owner pays once."""
    asked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When the carrier was first asked for it: from then on it may have the order, whatever it answered."""
    carrier_order_id: str | None = Field(default=None, index=True)
    carrier_number_id: str | None = None
    tries: int = 0
    """How often the carrier was asked how the order is, or to take the number back."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    seen_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    """When it was last worked on: the sweeper begins what stands still."""
    months_paid: int = 0
    paid_until: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    try_rent_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    owed_since: datetime | None = Field(default=None, sa_type=UtcDateTime)


class NumberCheckoutRow(SQLModel, table=True):
    """A number that somebody pays for by itself; ordered when its payment is there."""

    __tablename__ = "number_checkouts"

    id: str = Field(default_factory=lambda: new_id("pending", 24), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    payment_id: str = Field(unique=True)
    session_id: str
    """The provider's."""
    checkout_url: str | None = None
    number: str = Field(max_length=20, index=True)
    agent_id: str | None = None
    is_billed: bool
    cost_micros: int = Field(sa_type=BigInteger)
    upfront_cost_micros: int = Field(sa_type=BigInteger)
    monthly_micros: int = Field(sa_type=BigInteger)
    upfront_micros: int = Field(sa_type=BigInteger)
    expires_at: datetime = Field(sa_type=UtcDateTime, index=True)
    done_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """When it was ordered, or could not be."""

    @property
    def order_id(self) -> str:
        """Of the order that it becomes."""
        return f"order_{self.id.partition('_')[2]}"


class CarrierConnectionRow(SQLModel, table=True):
    """The one connection that the numbers bought here come over. Its name and password stand in its trunk."""

    __tablename__ = "carrier_connections"

    carrier: str = Field(primary_key=True, max_length=20)
    trunk_id: str = Field(foreign_key="sip_trunks.id")
    connection_id: str | None = None
    """At the carrier; none until it answered."""
