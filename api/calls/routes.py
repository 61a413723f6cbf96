"""/v1/calls: what was talked."""

from functools import partial
from typing import Annotated, Any

from aiohttp import web
from pydantic import Field

from api.agents import service as agents
from api.calls import (
    costs,
    formats,
    live,
    mp3,
    phoning,
    placing,
    quality,
    recordings,
    service,
    tolls,
    workflows,
)
from api.calls.schemas import (
    Call,
    CallAction,
    CallDeleted,
    CallDeliveries,
    CallId,
    CallList,
    CallQuery,
    CallSummary,
    OutboundCall,
    SignedRecording,
)
from api.calls.table import CallRow
from api.calls.transcripts import Transcript, TranscriptQuery
from api.contacts import service as contacts
from api.db.engine import after_commit
from api.http.errors import RangeNotSatisfiable
from api.http.event_streams import EVENT_STREAM, TooManyStreams, follow
from api.http.negotiation import JSON, preferred
from api.http.pages import Page
from api.http.rate_limits import LINK_LIMIT
from api.http.routes import Routes
from api.http.transactions import let_go
from api.http.wire import Wire
from api.keys import CALLER, DATABASE, SESSION, SETTINGS, STORAGE, WORKERS
from api.notifications import log as notifications
from api.phone_numbers import routing
from api.webhooks import log
from api.webhooks.schemas import Delivery, DeliveryQuery

routes = Routes("/v1/calls", tag="Calls")
of_contacts = Routes("/v1/contacts", tag="Contacts")
links = Routes("/v1/recordings", tag="Calls", access="public")
_FORMATS = {"json": JSON, "text": formats.TEXT, "srt": formats.SRT, "vtt": formats.VTT}


@routes.get(errors=[contacts.ContactNotFound])
async def list_calls(request: web.Request, query: CallQuery) -> CallList:
    """List your calls, newest first."""
    rows, total = await service.list_calls(request[SESSION], request[CALLER], query)
    return CallList(calls=[CallSummary.of(row, recordings.url(request, row)) for row in rows], total=total)


@routes.post(
    status=201,
    errors=[
        agents.AgentNotFound,
        contacts.MustNotCall,
        routing.NoNumber,
        routing.NotYourNumber,
        phoning.NoTrunk,
        phoning.NoPhoneLine,
        tolls.DestinationRefused,
        service.SpentToday,
    ],
    older=["/outbound"],
    location="/v1/calls/{call_id}",
)
async def create_call(request: web.Request, body: OutboundCall) -> Call:
    """Have an agent call somebody. Without a phone line this is 503 `no phone line`.

    The call is `pending`, then `ringing`; `busy`, `no_answer` and `failed` tell SIP's code and reason.
    """
    phones = request.app[WORKERS].phones
    call = await service.dial(request[SESSION], request[CALLER], body)
    place = partial(placing.place, request.app[DATABASE], phones, call.id)
    after_commit(request[SESSION], place)
    return await _told(request, call.id)


@of_contacts.get("/{contact_id}/calls", errors=[contacts.ContactNotFound])
async def list_calls_of_contact(request: web.Request, contact_id: str, query: Page) -> CallList:
    """List the calls with a contact, newest first."""
    asked = CallQuery(contact_id=contact_id, limit=query.limit, offset=query.offset)
    return await list_calls(request, asked)


@routes.get("/quality/report", errors=[agents.AgentNotFound])
async def get_call_quality(request: web.Request, query: quality.QualityQuery) -> quality.QualityReport:
    """Report how calls went: how they ended, how quick answers were, what was cut off, what went wrong."""
    return await quality.report(request[SESSION], request[CALLER], query)


@routes.get("/{call_id}", errors=[service.CallNotFound])
async def get_call(request: web.Request, call_id: CallId) -> Call:
    """Get a call: what was said, what it cost in time, what ran."""
    return await _told(request, call_id)


@routes.delete("/{call_id}", status=200, errors=[service.CallNotFound, service.CallOngoing])
async def delete_call(request: web.Request, call_id: CallId) -> CallDeleted:
    """Delete a call that is over: what was said in it, what happened, and its recording."""
    call = await service.delete(request[SESSION], request[CALLER], call_id)
    # After the commit: should the process die before it, the sweeper finds a recording without a call.
    after_commit(request[SESSION], partial(request.app[STORAGE].delete, recordings.blob_name(call.id)))
    return CallDeleted(call_id=call.id)


@routes.get("/{call_id}/vcon", errors=[service.CallNotFound, service.NoVcon])
async def get_vcon(request: web.Request, call_id: CallId) -> dict[str, Any]:
    """Get a call as a vCon, where its agent allows it (`enable_vcon_export`)."""
    row = await service.get(request[SESSION], request[CALLER], call_id)
    agent = await service.agent_of(request[SESSION], row)
    if agent is None or not agent.enable_vcon_export:
        raise service.NoVcon
    return formats.vcon(await _told(request, call_id), agent.agent_name)


@routes.get(
    "/{call_id}/transcript",
    errors=[service.CallNotFound],
    produces=[formats.TEXT, formats.SRT, formats.VTT],
)
async def get_transcript(
    request: web.Request, call_id: CallId, query: TranscriptQuery
) -> Transcript | web.Response:
    """Get what was said: as JSON, text or subtitles, as `format` or the Accept header says."""
    call = await _told(request, call_id)
    offered = (JSON, formats.TEXT, formats.SRT, formats.VTT)
    kind = _FORMATS[query.format] if query.format else preferred(request, offered, otherwise=JSON)
    entries = call.transcript_object
    if kind != JSON:
        texts = {formats.TEXT: lambda: call.transcript or "", formats.SRT: lambda: formats.srt(entries)}
        text = texts.get(kind, lambda: formats.vtt(entries))()
        return web.Response(text=text, content_type=kind, charset="utf-8")
    return Transcript(
        call_id=call.call_id, transcript=call.transcript or "", transcript_object=call.transcript_object
    )


@routes.get(
    "/{call_id}/recording",
    errors=[service.CallNotFound, service.NoRecording, RangeNotSatisfiable],
    produces=[recordings.CONTENT_TYPE],
    aliases=["/{call_id}/recording.ogg"],
)
async def get_recording(request: web.Request, call_id: CallId) -> SignedRecording | web.StreamResponse:
    """Get the recording: its bytes, or for a client that speaks JSON a link that is valid for an hour."""
    call = await service.get(request[SESSION], request[CALLER], call_id)
    size = await _stored(request, call)
    otherwise = recordings.CONTENT_TYPE
    if preferred(request, (JSON, otherwise), otherwise) == JSON:
        link, expires_at = recordings.signed_url(request, call)
        return SignedRecording(
            call_id=call.id,
            recording_url=link,
            url=link,
            expires_at=expires_at,
            expires_in=recordings.LINK_SECONDS,
            content_type=recordings.CONTENT_TYPE,
            size_bytes=size,
            duration_ms=call.recording_ms,
        )
    await let_go(request)
    return await recordings.reply(request, call, size)


@routes.get(
    "/{call_id}/recording.mp3",
    errors=[service.CallNotFound, service.NoRecording, mp3.TooManyConversions, RangeNotSatisfiable],
    produces=[mp3.CONTENT_TYPE],
)
async def get_recording_as_mp3(request: web.Request, call_id: CallId) -> web.StreamResponse:
    """Get the recording as an MP3, which is made now: some seconds for a long call."""
    call = await service.get(request[SESSION], request[CALLER], call_id)
    size = await _stored(request, call)
    await let_go(request)
    return await mp3.reply(request, call, size)


class LiveQuery(Wire):
    """From where on."""

    after: Annotated[int, Field(ge=-1, le=2**53)] = -1
    """The number of the last event that is known; the header `Last-Event-ID` says the same."""
    follow: bool = True
    """False: what happened so far, and no more."""


@routes.get("/{call_id}/events", errors=[service.CallNotFound, TooManyStreams], produces=[EVENT_STREAM])
async def watch_call(request: web.Request, call_id: CallId, query: LiveQuery) -> web.StreamResponse:
    """Watch a call as server-sent events: all that happened so far, then each thing anew, to its end."""
    call = await service.get(request[SESSION], request[CALLER], call_id)
    known = request.headers.get("Last-Event-ID", "")
    after = int(known) if known.isascii() and known.isdigit() and len(known) < 16 else query.after
    await let_go(request)
    told = live.happenings(request.app[DATABASE], call.id, after, follows=query.follow)
    return await follow(request, told, look_seconds=live.LOOK_SECONDS)


@routes.post("/{call_id}/end", errors=[service.CallNotFound, service.CallNotOngoing])
async def end_call(request: web.Request, call_id: CallId) -> Call:
    """End a call that is going on."""
    call = await service.end(request[SESSION], request[CALLER], call_id)
    after_commit(
        request[SESSION], partial(request.app[WORKERS].hang_up, call.worker_id, call.id, "agent_hangup")
    )
    return await _told(request, call_id)


@routes.post("/{call_id}/analysis", status=202, errors=[service.CallNotFound, service.CallNotSettled])
async def analyse_call(request: web.Request, call_id: CallId) -> Call:
    """Have a call analysed anew: `call_analysis` is replaced when it is done."""
    call, generation = await service.analyse_again(request[SESSION], request[CALLER], call_id)
    after_commit(request[SESSION], partial(workflows.start_analysis, call.id, generation))
    return await _told(request, call_id)


@routes.get("/{call_id}/deliveries", errors=[service.CallNotFound])
async def list_call_deliveries(request: web.Request, call_id: CallId) -> CallDeliveries:
    """List what was told about a call, to whom, and what became of the actions that follow it."""
    call = await service.get(request[SESSION], request[CALLER], call_id)
    rows, _ = await log.page(request[SESSION], request[CALLER], DeliveryQuery(call_id=call_id, limit=200))
    return CallDeliveries(
        deliveries=[Delivery.of(row, event) for row, event in rows],
        actions=[CallAction.model_validate(row) for row in await service.actions_of(request[SESSION], call)],
        notifications=await notifications.of_cause(request[SESSION], call.owner_id, call.id),
    )


class Link(Wire):
    """What a signed link carries."""

    expires: int
    signature: str


@links.get(
    "/{call_id}.ogg",
    limit=LINK_LIMIT,
    errors=[recordings.LinkInvalid, service.NoRecording, RangeNotSatisfiable],
    produces=[recordings.CONTENT_TYPE],
)
async def get_linked_recording(request: web.Request, call_id: CallId, query: Link) -> web.StreamResponse:
    """Get a recording by a signed link, without credentials."""
    recordings.check_link(request, call_id, query.expires, query.signature)
    call = await request[SESSION].get(CallRow, call_id)
    if call is None:
        raise service.NoRecording
    size = await _stored(request, call)
    await let_go(request)
    return await recordings.reply(request, call, size)


async def _told(request: web.Request, call_id: str) -> Call:
    call, events = await service.get_told(request[SESSION], request[CALLER], call_id)
    link = recordings.signed_url(request, call)[0] if call.recording_bytes is not None else None
    prices = costs.load(request.app[SETTINGS].prices)
    return Call.told(call, events, link, await service.known(request[SESSION], call, events, prices))


async def _stored(request: web.Request, call: CallRow) -> int:
    """The size of what is really in the storage: a file that was removed by hand is no recording."""
    service.recorded(call)
    size = await request.app[STORAGE].size(recordings.blob_name(call.id))
    if size is None:
        raise service.NoRecording
    return size
