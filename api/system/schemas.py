"""Wire models of health and readiness."""

from datetime import datetime
from typing import Literal

from api.http.wire import Wire

Part = Literal["up", "down"]


class HealthChecks(Wire):
    """The parts without which nothing works."""

    database: Part
    cache: Part = "up"
    """There is none to be down; clients of the contract expect the word."""


class Health(Wire):
    """How this process is."""

    status: Literal["healthy", "degraded", "unhealthy"]
    service: str
    version: str
    timestamp: datetime
    checks: HealthChecks


class DatabaseHealth(Wire):
    """The database, as far as strangers may know it."""

    kind: str
    status: Part
    pool_size: int
    pool_in_use: int
    revision: str
    expected_revision: str
    """The database must be at this one: `call2me migrate` brings it there."""


class HealthDetails(Health):
    """How this process is, part by part."""

    uptime_seconds: float
    database: DatabaseHealth
    parts: dict[str, str]
    """What a call needs: `up`, or why not."""
    schema_valid: bool


class Ready(Wire):
    """Whether a call could be answered now, part by part."""

    status: Literal["ready", "not_ready"]
    checks: dict[str, str]
    """`up`, or why not."""


class Alive(Wire):
    """This process answers."""

    status: Literal["alive"] = "alive"
