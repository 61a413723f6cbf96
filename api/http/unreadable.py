"""What is no request that a handler could see, answered in the contract's shape all the same.

aiohttp answers by itself, below every middleware and signal, where a first line, a header or a chunk
cannot be read, and does so in plain text. It has no hook for that, so `install` puts our answer in the
place of `RequestHandler.handle_error`, the one method that makes those replies.
"""

import logging

from aiohttp import web

from api.db.columns import new_id
from api.http.edge import SECURITY_HEADERS
from api.http.errors import ApiError, BadRequest, Internal, reply
from api.version import SERVICE

_LOG = logging.getLogger(__name__)


def install() -> None:
    """For this process, from the next connection on."""
    web.RequestHandler.handle_error = _handle_error  # type: ignore[method-assign, assignment]


def _handle_error(
    handler: web.RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    request_id = new_id("req", 16)
    told = {"request_id": request_id, "error": type(exc).__name__}
    error: ApiError
    if status < 500:
        error = BadRequest()
        _LOG.info("request not understood", extra=told)
    elif request.transport is None or request.transport.is_closing():
        error = Internal()
        _LOG.info("client went away", extra=told)
    else:
        error = Internal()
        _LOG.error("request failed outside of its handler", extra=told, exc_info=exc)
    if request.writer.output_size > 0:
        raise ConnectionError("a reply is under way; there is no room for another")
    response = reply(error)
    response.headers.update(
        {"X-Request-ID": request_id, "Server": SERVICE, "Cache-Control": "no-store", **SECURITY_HEADERS}
    )
    response.force_close()
    return response
