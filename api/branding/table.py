"""Rows of brands."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, now


class BrandingRow(SQLModel, table=True):
    """One owner's brand; their members see it, too."""

    __tablename__ = "brandings"

    owner_id: str = Field(primary_key=True, foreign_key="users.id", ondelete="CASCADE")
    app_name: str | None = None
    logo_url: str | None = None
    favicon_url: str | None = None
    primary_color: str | None = None
    accent_color: str | None = None
    support_email: str | None = None
    custom_domain: str | None = Field(default=None, unique=True)
    """In lower case."""
    hide_powered_by: bool = False
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
