"""Rows of workers: what each last said of itself, so that every api process knows all of them; and orders."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Text
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, now


class WorkerRow(SQLModel, table=True):
    """One worker's supervisor. `seen_at` stops when it, or its connection, is gone."""

    __tablename__ = "workers"

    id: str = Field(primary_key=True)
    version: str = ""
    is_ready: bool = False
    why_not: str = ""
    said_goodbye: bool = False
    call_ids: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    processes: dict[str, int] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    phones_why_not: str | None = None
    """Why it could place no phone call, empty when it could; None: it has no phones."""
    journal: str = ""
    """Of its phone calls; another one knows nothing of those before."""
    trunks: dict[str, str] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    """Of trunks that its exchange registers: why each is not registered, empty when it is."""
    available: list[dict[str, Any]] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    functions: list[dict[str, Any]] | None = Field(default=None, sa_column=Column(Json, nullable=True))
    """None until it has told."""
    connected_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    seen_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)


class WorkerOrderRow(SQLModel, table=True):
    """An order on its way to a worker that another process holds. Removed once it was answered."""

    __tablename__ = "worker_orders"

    id: str = Field(primary_key=True)
    worker_id: str = Field(index=True)
    frame: str = Field(sa_type=Text)
    """As it is sent."""
    made_at: datetime = Field(default_factory=now, sa_type=UtcDateTime)
    taken_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    """By the process that sends it, or by the one that asked, which withdraws it."""
    answer: str | None = Field(default=None, sa_type=Text)
    """As it came."""
