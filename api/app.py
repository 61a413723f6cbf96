"""Composition root: settings in, application out."""

from collections.abc import AsyncIterator

from aiohttp import web

from api.db.engine import Database
from api.http.callers import admit
from api.http.edge import complete_headers, edge
from api.http.rate_limits import RateLimits
from api.http.readiness import Readiness
from api.http.routes import Routes, mount
from api.http.transactions import one_transaction
from api.keys import DATABASE, MOUNTED, RATE_LIMITS, READINESS, SETTINGS
from api.settings import Settings
from api.system import routes as system

MAX_JSON_BYTES = 1024 * 1024

RESOURCES: tuple[Routes, ...] = (system.routes,)
"""Every resource's routes, in the order of the OpenAPI document."""


def create_app(settings: Settings) -> web.Application:
    """The whole api. The database must have been migrated (`api.db.migrate.upgrade`)."""
    app = web.Application(middlewares=[edge, one_transaction], client_max_size=MAX_JSON_BYTES)
    app[SETTINGS] = settings
    app[DATABASE] = Database(settings.database_url)
    app[READINESS] = Readiness()
    app[RATE_LIMITS] = RateLimits(is_on=settings.has_rate_limits)
    app[MOUNTED] = RESOURCES
    app.on_response_prepare.append(complete_headers)
    app.cleanup_ctx.append(_database)
    mount(app, RESOURCES, admit)
    system.install(app)
    return app


async def _database(app: web.Application) -> AsyncIterator[None]:
    yield
    await app[DATABASE].close()
