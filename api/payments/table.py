"""Rows of payments: what was asked for, what came of it, and what providers said."""

from datetime import datetime

from sqlalchemy import BigInteger, Index
from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, new_id, now


class PaymentRow(SQLModel, table=True):
    """One payment through a provider. Its money is in the book (`payment:<id>`), not here."""

    __tablename__ = "payments"
    __table_args__ = (
        Index("ix_payments_owner", "owner_id", "created_at"),
        Index("ix_payments_reference", "provider", "reference"),
        Index("ix_payments_open", "status", "created_at"),
    )

    id: str = Field(default_factory=lambda: new_id("pay", 24), primary_key=True)
    owner_id: str
    provider: str
    amount_micros: int = Field(sa_type=BigInteger)
    """As asked for; what came in instead once it came in."""
    status: str = "pending"
    """`pending`, `completed`, `failed`, `cancelled`, `refunded`, `disputed`."""
    is_auto_charge: bool = False
    method_id: str | None = None
    session_id: str | None = None
    """The provider's checkout."""
    reference: str | None = None
    """The provider's payment, once there is one."""
    is_paid: bool = False
    why: str | None = None
    """Of one that came to nothing."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    completed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class PaymentReversalRow(SQLModel, table=True):
    """A refund or a dispute, as the newest event has it; kept also where its payment is not known yet."""

    __tablename__ = "payment_reversals"
    __table_args__ = (Index("ix_payment_reversals_payment", "provider", "payment_reference"),)

    provider: str = Field(primary_key=True)
    reference: str = Field(primary_key=True)
    payment_reference: str
    kind: str
    micros: int = Field(sa_type=BigInteger)
    is_in_force: bool
    posted_micros: int = Field(default=0, sa_type=BigInteger)
    """What of it stands in the book."""
    times_posted: int = 0
    at: int = Field(sa_type=BigInteger)


class PaymentEventRow(SQLModel, table=True):
    """One event of a provider, applied once."""

    __tablename__ = "payment_events"

    provider: str = Field(primary_key=True)
    event_id: str = Field(primary_key=True)
    type: str
    outcome: str
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class PaymentCustomerRow(SQLModel, table=True):
    """What a provider calls one of our owners."""

    __tablename__ = "payment_customers"

    provider: str = Field(primary_key=True)
    customer_id: str = Field(primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)


class PaymentMethodRow(SQLModel, table=True):
    """A saved card, of which the provider has the number and we the last four digits."""

    __tablename__ = "payment_methods"

    id: str = Field(primary_key=True)
    """The provider's."""
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    provider: str
    card_brand: str
    card_last_four: str
    card_type: str | None = None
    is_default: bool = False
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
