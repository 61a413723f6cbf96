"""The outermost ring: a request id, one log line, the contract's errors, security headers, CORS."""

import logging
import re
import time
from typing import Any

from aiohttp import web
from aiohttp.typedefs import Handler
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from api.db.columns import new_id
from api.http.callers import STANDING
from api.http.errors import ApiError, BadRequest, Internal, Unavailable, reply, translated
from api.keys import CALLER, CROSS_ORIGIN, KEY_USAGE, METRICS, REQUEST_ID, SETTINGS
from api.logs import REQUEST
from api.outside.storage import StorageUnavailable
from api.version import SERVICE

_DATABASE_GONE = (OperationalError, InterfaceError, PoolTimeout, ConnectionRefusedError)
"""Nobody listens, the connection broke, all connections are taken, or a lock was not to be had."""
_UNABLE = ("08", "53", "57")
"""Classes of PostgreSQL's SQLSTATE: no connection, no room (for one more connection, too), stopped or
starting; with asyncpg SQLAlchemy has no exception of its own for them."""

POLLED = frozenset(
    {
        "/health",
        "/health/live",
        "/health/ready",
        "/ready",
        "/internal/knowledge/versions",
        "/internal/phones/trunks",
    }
)
"""Asked every few seconds by workers and by who watches. What went well is no news: in a quiet night it would
push everything else out of the log files."""
_LOG = logging.getLogger(__name__)
_GIVEN_ID = re.compile(r"[A-Za-z0-9_.\-]{8,64}")

SECURITY_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
"""Of every reply. A page brings a Content-Security-Policy and a Permissions-Policy of its own."""


class UnreadableBody(BadRequest):
    """The request body is not encoded as its headers say"""


class StorageGone(Unavailable):
    """What keeps files does not answer; try again in a moment"""


class DatabaseGone(Unavailable):
    """The database does not answer now; try again in a moment"""


@web.middleware
async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every request in the contract's shape and write one line about it."""
    given = request.headers.get("X-Request-ID", "")
    request_id = request[REQUEST_ID] = given if _GIVEN_ID.fullmatch(given) else new_id("req", 16)
    token = REQUEST.set(request_id)
    started = time.perf_counter()
    status = 0
    try:
        response = await _answer(request, handler)
        status = response.status
        return response
    finally:
        # The route, not the path: a path may carry a token.
        resource = request.match_info.route.resource
        route, seconds = resource.canonical if resource else "", time.perf_counter() - started
        if (metrics := request.app.get(METRICS)) is not None:  # some tests mount the edge alone
            metrics.answered(request.method, route, status, seconds)
        if (caller := request.get(CALLER)) is not None and caller.key_id:
            request.app[KEY_USAGE].note(caller.key_id, status, seconds * 1000)
        _LOG.log(
            logging.DEBUG if route in POLLED and 200 <= status < 300 else logging.INFO,
            "request answered",
            extra={
                "method": request.method,
                "route": route,
                "status": status,
                "ms": round(seconds * 1000, 1),
            },
        )
        REQUEST.reset(token)


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        if _is_preflight(request):
            return web.Response(status=204)
        response = await handler(request)
    except ApiError as error:
        response = reply(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        response = reply(translated(error))
    except web.RequestPayloadError:
        response = reply(UnreadableBody())
    except _DATABASE_GONE:
        _LOG.exception("database does not answer")
        response = reply(DatabaseGone(headers={"Retry-After": "1"}))
    except StorageUnavailable:
        _LOG.exception("storage does not answer")
        response = reply(StorageGone(headers={"Retry-After": "1"}))
    except Exception as error:
        if isinstance(error, DBAPIError) and str(getattr(error.orig, "sqlstate", "")).startswith(_UNABLE):
            _LOG.exception("database cannot answer now")
            return reply(DatabaseGone(headers={"Retry-After": "1"}))
        if request.transport is None or request.transport.is_closing():
            raise  # the client is gone; nobody reads a reply
        _LOG.exception("request failed")
        response = reply(Internal())
    return response


async def complete_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Signal `on_response_prepare`: what every reply carries, streams too."""
    if REQUEST_ID not in request and isinstance(response, web.HTTPException):
        # aiohttp refuses an Expect that it does not know before any middleware is asked.
        request[REQUEST_ID] = new_id("req", 16)
        response.body = reply(translated(response)).body
        response.content_type = "application/json"
    headers = response.headers
    headers["X-Request-ID"] = request.get(REQUEST_ID, "")
    headers["Server"] = SERVICE  # which library this is concerns nobody
    for name, value in SECURITY_HEADERS.items():
        headers.setdefault(name, value)
    if "Cache-Control" not in headers:
        headers["Cache-Control"] = "no-store"
    if (standing := request.get(STANDING)) is not None:
        for name, value in standing.headers.items():
            headers.setdefault(name, value)
    if (origin := _allowed_origin(request) or request.get(CROSS_ORIGIN)) is not None:
        headers.update(_cors(request, origin))


def _allowed_origin(request: web.Request) -> str | None:
    origins = request.app[SETTINGS].cors_origins
    origin = request.headers.get("Origin")
    return origin if origins and origin in origins else None


def _is_preflight(request: web.Request) -> bool:
    return _asks_first(request) and _allowed_origin(request) is not None


def _asks_first(request: web.Request) -> bool:
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def _cors(request: web.Request, origin: str) -> dict[str, Any]:
    headers = {
        "Access-Control-Allow-Origin": origin,
        "Access-Control-Expose-Headers": "X-Request-ID, Location, Retry-After, ETag, Idempotency-Replayed",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "Vary": "Origin",
    }
    if _asks_first(request):
        headers["Access-Control-Allow-Methods"] = "GET, POST, PUT, PATCH, DELETE"
        headers["Access-Control-Allow-Headers"] = (
            "Authorization, Content-Type, X-Request-ID, Idempotency-Key, If-Match, If-None-Match"
        )
        headers["Access-Control-Max-Age"] = "600"
    return headers
