"""Wire models of API keys."""

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.api_keys.table import ApiKeyRow
from api.http.wire import Wire

Permission = Annotated[str, Field(min_length=1, max_length=100)]


class ApiKeyCreate(Wire):
    """A key to be made."""

    name: Annotated[str, Field(min_length=1, max_length=100)]
    permissions: Annotated[list[Permission], Field(max_length=100, default_factory=list)]
    """What it may do: `agents:read`, `calls:write`, `wallet:*`, or `read`, `write`, `admin` for many at once
    (`GET /v1/api-keys/scopes` lists them). None at all: everything.
    """
    rate_limit: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Requests a minute, where that is less than its user has over all credentials."""
    read_only: bool = False
    """May only GET."""
    expires_in_days: Annotated[int, Field(ge=1, le=36_500)] | None = None


class Scope(Wire):
    """A permission that a key can have, and the operations it opens."""

    scope: str
    operations: list[str]


class UsageQuery(Wire):
    """How many days back, today included."""

    days: Annotated[int, Field(ge=1, le=365)] = 7


class ApiKeyUsage(Wire):
    """What a key was used for. A request failed that was not answered with 2xx or 3xx."""

    total_requests: int
    successful_requests: int
    failed_requests: int
    avg_duration_ms: float
    period_start: datetime
    period_end: datetime


class ApiKey(Wire):
    """A key, without the key."""

    key_id: str
    name: str
    key_prefix: str
    permissions: list[str]
    rate_limit: int
    read_only: bool
    is_active: bool
    expires_at: datetime | None
    last_used_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: ApiKeyRow) -> "ApiKey":
        """What may be shown of a row."""
        return cls(**_shown(row), is_active=row.is_active, last_used_at=row.last_used_at)


class NewApiKey(Wire):
    """A key that was just made, with the key: it is shown this once."""

    key_id: str
    api_key: str
    name: str
    key_prefix: str
    permissions: list[str]
    rate_limit: int
    read_only: bool
    expires_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, row: ApiKeyRow, key: str) -> "NewApiKey":
        """The row and what only its maker ever sees."""
        return cls(api_key=key, **_shown(row))


def _shown(row: ApiKeyRow) -> dict[str, object]:
    return {
        "key_id": row.id,
        "name": row.name,
        "key_prefix": row.prefix,
        "permissions": row.permissions,
        "rate_limit": row.rate_limit,
        "read_only": row.is_read_only,
        "expires_at": row.expires_at,
        "created_at": row.created_at,
    }
