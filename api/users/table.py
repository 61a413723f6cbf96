"""Rows of users."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, new_id, now


class UserRow(SQLModel, table=True):
    """Somebody who signs in. What is theirs carries their id as `owner_id`."""

    __tablename__ = "users"

    id: str = Field(default_factory=lambda: new_id("user"), primary_key=True)
    email: str = Field(unique=True)
    """In lower case."""
    password_hash: str
    full_name: str | None = None
    default_language: str = "tr-TR"
    timezone: str = "Europe/Istanbul"
    company_name: str | None = None
    billing_email: str | None = None
    billing_address: str | None = None
    billing_city: str | None = None
    billing_country: str | None = None
    billing_postal_code: str | None = None
    tax_id: str | None = None
    tax_office: str | None = None
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    last_login_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
