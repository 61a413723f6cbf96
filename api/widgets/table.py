"""Rows of widgets: what they look like, who may use them, and how much they were used today."""

from datetime import date, datetime

from sqlalchemy import Column, Date, LargeBinary, Text
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class WidgetRow(SQLModel, table=True):
    """One widget."""

    __tablename__ = "widgets"

    id: str = Field(default_factory=lambda: new_id("widget", 16), primary_key=True)
    owner_id: str = Field(foreign_key="users.id", ondelete="CASCADE", index=True)
    agent_id: str = Field(index=True)
    """Kept when the agent is deleted; nobody can talk through the widget then."""
    name: str
    greeting_message: str = Field(sa_column=Column(Text, nullable=False))
    placeholder_text: str
    primary_color: str
    position: str
    avatar_url: str | None = None
    show_branding: bool = True
    language: str
    auto_open: bool = False
    auto_open_delay_ms: int
    allowed_domains: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    voice_greeting_enabled: bool = False
    voice_greeting_voice: str
    voice_mode: str
    voice_session_limit_sec: int
    messages_per_day: int
    messages_per_visitor_per_day: int
    voice_sessions_per_day: int
    voice_sessions_per_visitor_per_day: int
    active: bool = True
    public_slug: str | None = Field(default=None, unique=True)
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    updated_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class WidgetUseRow(SQLModel, table=True):
    """How often somebody used a widget on one day (UTC)."""

    __tablename__ = "widget_uses"

    widget_id: str = Field(foreign_key="widgets.id", ondelete="CASCADE", primary_key=True)
    day: date = Field(sa_column=Column(Date, primary_key=True))
    kind: str = Field(primary_key=True)
    """`chat` or `voice`."""
    who: str = Field(primary_key=True)
    """Empty for everybody together, else a keyed hash of a visitor's id or address, never these."""
    count: int = 0


class WidgetGreetingRow(SQLModel, table=True):
    """A widget's greeting as it was last spoken. Here and not in a folder: every api process serves it."""

    __tablename__ = "widget_greetings"

    widget_id: str = Field(foreign_key="widgets.id", ondelete="CASCADE", primary_key=True)
    mp3: bytes = Field(sa_column=Column(LargeBinary, nullable=False))
    version: str
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
