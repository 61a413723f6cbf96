"""/internal: what workers ask and tell. Every request carries the internal key."""

import asyncio

from aiohttp import web

from api.agents.fields import AgentId
from api.calls import attempts, billing, costs, joining, phoning, queueing, recordings, tolls
from api.calls.schemas import CallId
from api.calls.table import CallRow
from api.http.errors import Invalid, NotFound, TooLarge
from api.http.routes import Routes, body_of
from api.http.transactions import let_go
from api.internal import forwarding, ringing, service
from api.internal.batches import read_batch
from api.keys import GUARD, KNOWLEDGE, METRICS, SESSION, SETTINGS, STORAGE, WORKERS
from api.knowledge_base import blobs as knowledge_files
from api.knowledge_base import versions
from api.outside import storage
from api.phone_numbers import service as numbers
from api.phone_numbers.answering import Advice
from api.sip_trunks import service as trunks
from api.wallet.charges import InsufficientBalance
from pipelines.contract.brief import BriefRequest, CallBrief, KnowledgeVersion, KnowledgeWanted
from pipelines.contract.events import BatchReceipt, EventBatch
from pipelines.contract.phones import (
    PhoneOnward,
    PhoneOnwardAsked,
    PhoneRang,
    PhoneRoute,
    PhoneTold,
    PlacesTold,
    SipTrunks,
)


class IndexNotThere(NotFound):
    """This version of the index is not here; a newer one may be"""


routes = Routes("/internal", tag="Internal", access="internal")
_FAREWELL_SECONDS = 1.0
"""For a worker to answer our goodbye; one that is cut off never will, and its next connection waits."""
_UPLOAD_SECONDS = 300
"""For a recording of two hours over a slow line; a worker tries again after that."""


@routes.post(
    "/calls/{call_id}/brief",
    errors=[service.CallGone, service.AgentGone, service.CallOver, service.BalanceSpent, attempts.CallTaken],
)
async def brief_call(request: web.Request, call_id: CallId, body: BriefRequest) -> CallBrief:
    """Tell a worker whom a call is for."""
    told = await service.brief(request[SESSION], call_id, body, request.app[SETTINGS])
    return service.priced(told, costs.load(request.app[SETTINGS].prices))


@routes.post(
    "/calls/{call_id}/agents/{agent_id}/brief",
    errors=[service.CallGone, service.CallOver],
)
async def brief_handover(
    request: web.Request, call_id: CallId, agent_id: AgentId, body: BriefRequest
) -> CallBrief:
    """Tell a worker of another agent that its call is handed to."""
    return await service.handover_brief(request[SESSION], call_id, agent_id, body)


@routes.post(
    "/calls/{call_id}/overheard",
    errors=[service.CallGone, service.CallOver, attempts.CallTaken],
)
async def brief_overheard(request: web.Request, call_id: CallId, body: BriefRequest) -> CallBrief:
    """Tell a worker what it is to keep of two who were put through to each other."""
    return await service.overheard_brief(request[SESSION], call_id, body)


@routes.post("/events", errors=[Invalid], reads=EventBatch)
async def accept_events(request: web.Request) -> BatchReceipt:
    """Take what happened in calls. The same events again change nothing."""
    batch = read_batch(await body_of(request))
    resume = request.app[WORKERS].resume_soon
    return await service.accept(request[SESSION], batch, request.app[METRICS], resume)


@routes.put(
    "/calls/{call_id}/recording", status=204, errors=[service.CallGone], reads=recordings.CONTENT_TYPE
)
async def put_recording(request: web.Request, call_id: CallId) -> None:
    """Take an attempt's sealed recording (`X-Attempt`), an Ogg file; the same again replaces it."""
    call = await request[SESSION].get(CallRow, call_id)
    if call is None:
        raise service.CallGone
    if (request.content_length or 0) > recordings.MAX_BYTES:
        raise TooLarge
    newest = call.attempt
    await let_go(request)  # an upload may take a while; nobody waits for its lock
    attempt, duration_ms = _number(request, "X-Attempt") or 1, _number(request, "X-Duration-Ms")
    chunks = request.content.iter_chunked(64 * 1024)
    storage_ = request.app[STORAGE]
    try:
        async with asyncio.timeout(_UPLOAD_SECONDS):
            if newest <= 1:
                size = await storage_.put(recordings.blob_name(call_id), chunks, recordings.MAX_BYTES)
            else:
                size, duration_ms = await joining.keep_part(storage_, call_id, attempt, newest, chunks)
    except storage.TooLarge:
        raise TooLarge from None
    await service.note_recording(request[SESSION], call_id, size, duration_ms)


def _number(request: web.Request, header: str) -> int | None:
    value = request.headers.get(header, "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 10 else None


@routes.post("/knowledge/versions")
async def list_knowledge_versions(request: web.Request, body: KnowledgeWanted) -> list[KnowledgeVersion]:
    """Tell a worker the newest version of each base that its calls use; one that is not told of is gone."""
    return list(await versions.newest(request[SESSION], body.base_ids))


@routes.get("/knowledge/{base_id}/{version}", produces=["application/octet-stream"], errors=[IndexNotThere])
async def get_knowledge(request: web.Request, base_id: str, version: int) -> web.StreamResponse:
    """Give a worker one version of a base's index."""
    blobs, name = request.app[KNOWLEDGE], knowledge_files.index_name(base_id, version)
    known = await versions.newest(request[SESSION], [base_id])
    size = await blobs.size(name) if known and version > 0 else None
    if size is None:
        raise IndexNotThere
    await let_go(request)
    response = web.StreamResponse(headers={"Content-Type": "application/octet-stream"})
    response.content_length = size
    await response.prepare(request)
    if request.method != "HEAD":
        async for chunk in blobs.read(name, 0, size):
            await response.write(chunk)
    await response.write_eof()
    return response


@routes.get("/phones/trunks")
async def list_trunks(request: web.Request) -> SipTrunks:
    """Tell an exchange the trunks that are in use, whoever they belong to."""
    rows = await trunks.active(request[SESSION])
    return SipTrunks(trunks=tuple(trunks.as_told(row) for row in rows))


@routes.post(
    "/phones/calls",
    errors=[
        numbers.NobodyAnswers,
        ringing.CallerRefused,
        ringing.LineBusy,
        ringing.LetItRing,
        forwarding.NotForwarded,
        InsufficientBalance,
    ],
)
async def take_phone_call(request: web.Request, body: PhoneRang) -> PhoneRoute:
    """Tell an exchange whom a call is for that comes in. The same INVITE again is the same call."""
    session = request[SESSION]
    if (call := await ringing.known(session, body)) is None:
        here = await ringing.rung(session, body)
        advice = Advice()
        if (asked := await ringing.question(session, here, body)) is not None:
            await let_go(request)
            advice = await ringing.advice(request.app[GUARD], asked)
        call = await ringing.taken(session, here, body, advice)
    await billing.require(request[SESSION], call.owner_id, request.app[SETTINGS])
    if call.forwarded_to is not None:
        onward = await forwarding.allowed(session, call, body.diverted_by, request.app[SETTINGS])
        return PhoneRoute(call_id=call.id, forward=onward)
    apart = await phoning.apart(session, call)
    return PhoneRoute(call_id=call.id, apart=apart, queue=queueing.as_told(call))


@routes.post("/phones/calls/{call_id}", status=204, errors=[phoning.PhoneCallGone])
async def note_phone_call(request: web.Request, call_id: CallId, body: PhoneTold) -> None:
    """Take an exchange's word of how a call goes."""
    await phoning.told(request[SESSION], call_id, body)


@routes.post("/phones/places", status=204)
async def note_places(request: web.Request, body: PlacesTold) -> None:
    """Take an exchange's word of where callers stand in its queue. Who is gone stands nowhere."""
    await phoning.told_places(request[SESSION], body)


@routes.post("/phones/calls/{call_id}/onward", errors=[phoning.PhoneCallGone, tolls.DestinationRefused])
async def allow_transfer(request: web.Request, call_id: CallId, body: PhoneOnwardAsked) -> PhoneOnward:
    """Tell an exchange whether a call may be handed to a number, and as what it is dialled."""
    return await phoning.onward(request[SESSION], call_id, body.to_number)


@routes.get("/worker", spec=False)
async def connect_worker(request: web.Request) -> web.WebSocketResponse:
    """A worker's supervisor: it says how it is, we say which calls to end."""
    socket = web.WebSocketResponse(max_msg_size=1024 * 1024, timeout=_FAREWELL_SECONDS)
    await socket.prepare(request)
    await request.app[WORKERS].serve(socket)
    return socket
