"""/health, /ready, /openapi.json."""

import json
import time
from typing import Literal

from aiohttp import web
from sqlalchemy import QueuePool, text
from sqlalchemy.exc import SQLAlchemyError

from api.db import revision
from api.db.columns import now
from api.db.engine import Database
from api.http.errors import Unavailable
from api.http.openapi import document
from api.http.rate_limits import UNLIMITED, Limit
from api.http.routes import Routes
from api.keys import DATABASE, MOUNTED, READINESS
from api.system.schemas import Alive, DatabaseHealth, Health, HealthChecks, HealthDetails, Ready
from api.version import SERVICE, TITLE, version

routes = Routes("", tag="Health", access="public")
DETAILS_LIMIT = Limit("health", 30)
_STARTED_AT = time.monotonic()
_SPEC: web.AppKey[bytes] = web.AppKey("spec")


class NotReady(Unavailable):
    """No call could be answered now"""


@routes.get("/health", limit=UNLIMITED)
async def get_health(request: web.Request) -> Health:
    """How this process is."""
    is_up = await database_trouble(request.app[DATABASE]) == ""
    return Health(
        status="healthy" if is_up else "unhealthy",
        service=SERVICE,
        version=version(),
        timestamp=now(),
        checks=HealthChecks(database="up" if is_up else "down"),
    )


@routes.get("/health/detailed", limit=DETAILS_LIMIT)
async def get_detailed_health(request: web.Request) -> HealthDetails:
    """How this process is, part by part."""
    parts = await request.app[READINESS].ask()
    database = request.app[DATABASE]
    is_up = not parts.get("database")
    try:
        at = await revision.found(database) if is_up else ""
    except (SQLAlchemyError, OSError):
        is_up, at = False, ""
    expected = revision.newest()
    pool = database.engine.pool
    is_valid = at == expected
    status: Literal["healthy", "degraded", "unhealthy"] = "degraded" if any(parts.values()) else "healthy"
    return HealthDetails(
        status=status if is_up and is_valid else "unhealthy",
        service=SERVICE,
        version=version(),
        timestamp=now(),
        checks=HealthChecks(database="up" if is_up else "down"),
        uptime_seconds=round(time.monotonic() - _STARTED_AT, 1),
        database=DatabaseHealth(
            kind=database.engine.dialect.name,
            status="up" if is_up else "down",
            pool_size=pool.size() if isinstance(pool, QueuePool) else 0,
            pool_in_use=pool.checkedout() if isinstance(pool, QueuePool) else 0,
            revision=at,
            expected_revision=expected,
        ),
        parts={name: why or "up" for name, why in parts.items()},
        schema_valid=is_valid,
    )


@routes.get("/health/live", limit=UNLIMITED)
async def get_liveness(request: web.Request) -> Alive:
    """Whether this process answers at all."""
    return Alive()


@routes.get("/ready", limit=UNLIMITED, aliases=["/health/ready"], errors=[NotReady])
async def get_readiness(request: web.Request) -> Ready | web.Response:
    """Whether a call could be answered now: 200 only then, else 503 with the part that is not ready."""
    found = await request.app[READINESS].ask()
    ready = Ready(
        status="not_ready" if any(found.values()) else "ready",
        checks={name: why or "up" for name, why in found.items()},
    )
    if ready.status == "ready":
        return ready
    why_not = "; ".join(f"{name}: {why}" for name, why in found.items() if why)
    body = {"detail": f"No call could be answered now: {why_not}", **ready.model_dump()}
    return web.json_response(body, status=503, headers={"Retry-After": "1"})


@routes.get("/openapi.json", limit=UNLIMITED, produces=["application/json"])
async def get_openapi(request: web.Request) -> web.Response:
    """This document."""
    return web.Response(body=request.app[_SPEC], content_type="application/json")


def install(app: web.Application) -> None:
    """Register the database's check, and write the OpenAPI document once."""

    async def check() -> str:
        return await database_trouble(app[DATABASE])

    app[READINESS].register("database", check)
    app[_SPEC] = json.dumps(spec(app[MOUNTED]), separators=(",", ":")).encode()


def spec(mounted: tuple[Routes, ...]) -> dict[str, object]:
    """The OpenAPI document of these routes."""
    return document(mounted, title=TITLE, version=version())


async def database_trouble(database: Database) -> str:
    """Why the database does not answer; empty when it does."""
    try:
        async with database.session(writes=False) as session:
            await (await session.connection()).execute(text("SELECT 1"))
    except Exception as error:  # noqa: BLE001 - whatever it is, the database does not answer
        return f"does not answer ({type(error).__name__})"
    return ""
