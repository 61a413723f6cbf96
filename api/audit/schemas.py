"""Wire models of the audit log."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field

from api.http.pages import MAX_OFFSET
from api.http.wire import Wire


class AuditQuery(Wire):
    """Which entries."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    offset: Annotated[int, Field(ge=0, le=MAX_OFFSET)] = 0
    action: Annotated[str, Field(max_length=100)] | None = None
    """An operation's name, like `update_agent`."""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None


class AuditEntry(Wire):
    """One change, and who made it. Values that were sent are not in it."""

    id: str
    at: datetime
    actor: Literal["user", "api_key", "end_user", "operator", "system"]
    user_id: str
    key_id: str
    action: str
    target: dict[str, Any]
    changed: list[str]
    address: str
    request_id: str


class AuditLog(Wire):
    """A page of entries, newest first."""

    entries: list[AuditEntry]
    total: int
    limit: int
    offset: int
