"""/internal: what workers ask and tell. Every request carries the internal key."""

import asyncio

from aiohttp import web

from api.agents.fields import AgentId
from api.calls import recordings
from api.calls.schemas import CallId
from api.calls.table import CallRow
from api.http.errors import Invalid, TooLarge
from api.http.routes import Routes, body_of
from api.http.transactions import let_go
from api.internal import service
from api.internal.batches import read_batch
from api.keys import METRICS, SESSION, STORAGE, WORKERS
from api.outside import storage
from pipelines.contract import BatchReceipt, BriefRequest, CallBrief, EventBatch

routes = Routes("/internal", tag="Internal", access="internal")
_FAREWELL_SECONDS = 1.0
"""For a worker to answer our goodbye; one that is cut off never will, and its next connection waits."""
_UPLOAD_SECONDS = 300
"""For a recording of two hours over a slow line; a worker tries again after that."""


@routes.post("/calls/{call_id}/brief", errors=[service.CallGone, service.AgentGone, service.CallOver])
async def brief_call(request: web.Request, call_id: CallId, body: BriefRequest) -> CallBrief:
    """Tell a worker whom a call is for."""
    return await service.brief(request[SESSION], call_id, body)


@routes.post(
    "/calls/{call_id}/agents/{agent_id}/brief",
    errors=[service.CallGone, service.CallOver],
)
async def brief_handover(
    request: web.Request, call_id: CallId, agent_id: AgentId, body: BriefRequest
) -> CallBrief:
    """Tell a worker of another agent that its call is handed to."""
    return await service.handover_brief(request[SESSION], call_id, agent_id, body)


@routes.post("/events", errors=[Invalid], reads=EventBatch)
async def accept_events(request: web.Request) -> BatchReceipt:
    """Take what happened in calls. The same events again change nothing."""
    return await service.accept(request[SESSION], read_batch(await body_of(request)), request.app[METRICS])


@routes.put(
    "/calls/{call_id}/recording", status=204, errors=[service.CallGone], reads=recordings.CONTENT_TYPE
)
async def put_recording(request: web.Request, call_id: CallId) -> None:
    """Take a call's sealed recording, an Ogg file; the same again replaces it."""
    if await request[SESSION].get(CallRow, call_id) is None:
        raise service.CallGone
    await let_go(request)  # an upload may take a while; nobody waits for its lock
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            size = await request.app[STORAGE].put(
                recordings.blob_name(call_id), request.content.iter_chunked(64 * 1024), recordings.MAX_BYTES
            )
    except storage.TooLarge:
        raise TooLarge from None
    duration = request.headers.get("X-Duration-Ms", "")
    duration_ms = int(duration) if duration.isascii() and duration.isdigit() and len(duration) < 10 else None
    await service.note_recording(request[SESSION], call_id, size, duration_ms)


@routes.get("/worker", spec=False)
async def connect_worker(request: web.Request) -> web.WebSocketResponse:
    """A worker's supervisor: it says how it is, we say which calls to end."""
    socket = web.WebSocketResponse(max_msg_size=1024 * 1024, timeout=_FAREWELL_SECONDS)
    await socket.prepare(request)
    await request.app[WORKERS].serve(socket)
    return socket
