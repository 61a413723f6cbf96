"""One request, one transaction: only this middleware commits.

The session takes a connection when it is first used, so a request that asks the database nothing
costs it nothing, and a body that arrives slowly holds no lock. GET and HEAD read; all else writes.
A handler that must ask the network after the database calls `let_go` in between.
"""

from aiohttp import web
from aiohttp.typedefs import Handler

from api.db.engine import commit
from api.http.errors import ApiError
from api.http.idempotency import note_gone_out
from api.keys import DATABASE, SESSION

_READING = frozenset({"GET", "HEAD", "OPTIONS"})


@web.middleware
async def one_transaction(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request a session; commit what it did unless it fails."""
    session = request.app[DATABASE].session(writes=request.method not in _READING)
    request[SESSION] = session
    try:
        response = await handler(request)
        if response.status < 400:
            await commit(session)
        return response
    except ApiError as error:
        if error.keeps_changes:
            await commit(session)
        raise
    finally:
        if session.in_transaction():
            await session.close()


async def let_go(request: web.Request) -> None:
    """Commit what was done so far and give the connection back before the network is asked."""
    await note_gone_out(request)
    await commit(request[SESSION])
