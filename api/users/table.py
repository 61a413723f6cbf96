"""Rows of users."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class UserRow(SQLModel, table=True):
    """Somebody who signs in. What is theirs carries their id as `owner_id`."""

    __tablename__ = "users"

    id: str = Field(default_factory=lambda: new_id("user"), primary_key=True)
    email: str = Field(unique=True)
    """In lower case."""
    password_hash: str | None = None
    """None for who signs in by links or with Google alone."""
    email_verified_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    google_subject: str | None = Field(default=None, unique=True)
    """Google's own name for this person, from their first sign-in with it."""
    tenant_owner_id: str | None = Field(default=None, foreign_key="users.id", ondelete="SET NULL", index=True)
    """Whose member this is (`api.tenants`); None for who stands alone."""
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
    member_margin_percent: float = 0.0
    """What this user, as a tenant's owner, adds to what members' calls cost."""
    onboarding: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    rate_limit: int = 0
    """Requests a minute that the operator allows; 0: as many as everybody."""
    erased_at: datetime | None = Field(default=None, sa_type=UtcDateTime, index=True)
    """When this person asked to be forgotten: from then on nobody signs in (`api.privacy`)."""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    last_login_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
