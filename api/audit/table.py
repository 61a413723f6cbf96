"""Rows of the audit log."""

from datetime import datetime
from typing import Any

from sqlalchemy import Column, Index
from sqlmodel import Field, SQLModel

from api.db.columns import Json, UtcDateTime, new_id, now


class AuditRow(SQLModel, table=True):
    """One change, by whom; written in the transaction of the change. Values that were sent are not in it."""

    __tablename__ = "audit_log"
    __table_args__ = (Index("ix_audit_log_owner", "owner_id", "at"),)

    id: str = Field(default_factory=lambda: new_id("audit", 24), primary_key=True)
    owner_id: str
    actor: str
    """`user`, `api_key`, `operator` (who runs this server, at its command line), `system` (nobody)."""
    user_id: str = ""
    key_id: str = ""
    action: str = Field(index=True)
    """The operation's name, as the OpenAPI document has it."""
    target: dict[str, Any] = Field(default_factory=dict, sa_column=Column(Json, nullable=False))
    """What it was done to: the ids in its path, and those of what it made."""
    changed: list[str] = Field(default_factory=list, sa_column=Column(Json, nullable=False))
    """Names of the fields that were sent."""
    address: str = ""
    request_id: str = ""
    at: datetime = Field(default_factory=now, sa_type=UtcDateTime, index=True)
