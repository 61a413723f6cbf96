"""Rows of what livekit-server told us."""

from datetime import datetime

from sqlmodel import Field, SQLModel

from api.db.columns import UtcDateTime, now


class LiveKitEventRow(SQLModel, table=True):
    """One event, applied once; kept for a day, since nobody sends one again after that."""

    __tablename__ = "livekit_events"

    id: str = Field(primary_key=True)
    type: str
    room_name: str = ""
    created_at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
