"""Rows of the book: wallets, transactions, their entries, and what running calls hold back."""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, now

_Serial = BigInteger().with_variant(Integer(), "sqlite")
"""SQLite numbers rows by itself only where the key is an INTEGER."""


class WalletRow(SQLModel, table=True):
    """What an owner has: always the sum of the entries of their account, kept so that it is quick to read.

    Whoever writes entries locks this row first, so the transactions of an owner stand in one order.
    """

    __tablename__ = "wallets"

    owner_id: str = Field(primary_key=True)
    balance_micros: int = Field(default=0, sa_type=BigInteger)


class TransactionRow(SQLModel, table=True):
    """Something that happened to an owner's money, once: `key` says what. Never changed, never deleted."""

    __tablename__ = "wallet_transactions"
    __table_args__ = (
        Index("ix_wallet_transactions_owner", "owner_id", "id"),
        Index("ix_wallet_transactions_owner_day", "owner_id", "day"),
    )

    id: int | None = Field(default=None, sa_column=Column(_Serial, primary_key=True, autoincrement=True))
    key: str = Field(unique=True)
    """`call:<call_id>`, `chat:<message_id>`, `payment:<id>`, `bonus:<owner_id>`, `manual:<random>` …"""
    owner_id: str
    type: str
    """`topup`, `usage`, `refund`, `transfer` (from wallet to wallet) or `earning` (of a tenant's owner)."""
    amount_micros: int = Field(sa_type=BigInteger)
    """What it was worth: below nothing for usage."""
    balance_before_micros: int = Field(default=0, sa_type=BigInteger)
    balance_after_micros: int = Field(default=0, sa_type=BigInteger)
    description: str
    explanation: dict[str, Any] | None = Field(default=None, sa_column=Column(Json))
    """How the amount came about: rates, seconds, rounding; or who granted it."""

    cost_micros: int | None = Field(default=None, sa_type=BigInteger)
    margin_micros: int | None = Field(default=None, sa_type=BigInteger)
    margin_percent: float | None = None
    tenant_micros: int = Field(default=0, sa_type=BigInteger)
    """Of a tenant's member: what their owner earned by it."""
    endpoint_type: str | None = None
    call_id: str | None = Field(default=None, index=True)
    chat_id: str | None = None
    agent_id: str | None = None
    duration_ms: int = Field(default=0, sa_type=BigInteger)
    llm_model: str | None = None
    stt_model: str | None = None
    tts_model: str | None = None
    tokens_in: int = 0
    tokens_out: int = 0
    characters: int = 0
    llm_micros: int = Field(default=0, sa_type=BigInteger)
    """What the provider takes for it, as far as its price is known; so for the next two."""
    stt_micros: int = Field(default=0, sa_type=BigInteger)
    tts_micros: int = Field(default=0, sa_type=BigInteger)

    day: str = Field(default_factory=lambda: now().date().isoformat())
    """In UTC."""
    hour: int = Field(default_factory=lambda: now().hour)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class EntryRow(SQLModel, table=True):
    """One side of a transaction: the entries of each add up to nothing.

    Accounts: `wallet:<owner_id>`, `revenue`, `bonus`, `house` (what this server pays for its owners),
    `payments:<provider>`, `provider_cost` and `provider_due`.
    """

    __tablename__ = "wallet_entries"

    transaction_id: int = Field(primary_key=True, foreign_key="wallet_transactions.id", sa_type=BigInteger)
    account: str = Field(primary_key=True, index=True)
    amount_micros: int = Field(sa_type=BigInteger)
    """Above nothing: the account is given something."""


class HoldRow(SQLModel, table=True):
    """What a running call, or an answer that is being thought of, may still cost; gone with its charge."""

    __tablename__ = "wallet_holds"

    call_id: str = Field(primary_key=True)
    """A call's, or `chat:<message_id>`."""
    owner_id: str = Field(index=True)
    is_billed: bool
    """False where billing was off when the call began: this server pays."""
    amount_micros: int = Field(sa_type=BigInteger)
    seconds: int
    """How long the call may last for that."""
    tariff: dict[str, Any] = Field(sa_column=Column(Json, nullable=False))
    """The prices that it began with are those that it is charged by (`charges.Tariff`)."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class AutoChargeRow(SQLModel, table=True):
    """Whether, and when, a saved card is charged for an owner."""

    __tablename__ = "wallet_auto_charges"

    owner_id: str = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    is_enabled: bool = False
    threshold_micros: int = Field(sa_type=BigInteger)
    amount_micros: int = Field(sa_type=BigInteger)
    method_id: str | None = None
    failures: int = 0
    """In a row."""
    why_off: str | None = None
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
