"""/v1/livekit: tokens for a room with an agent in it."""

from typing import Any

from aiohttp import web

from api.calls import costs
from api.calls.schemas import Call
from api.db.columns import now
from api.http.errors import Invalid
from api.http.rate_limits import Limit
from api.http.routes import Routes, body_of
from api.internal.livekit_phones import LiveKitPhones
from api.internal.workers import why_none
from api.keys import CALLER, ROOMS, SESSION, SETTINGS, WORKERS
from api.voice import events, service
from api.voice.opening import CANNOT, look, opened, token_of
from api.voice.schemas import EventTaken, SessionRequest, Token, TokenRequest, VoiceHealth, VoiceSession

routes = Routes("/v1/livekit", tag="Voice")
sessions = Routes("/v1/voice/sessions", tag="Voice")


@routes.post("/token", errors=[*CANNOT, service.RoomNotFound])
async def create_token(request: web.Request, body: TokenRequest) -> Token:
    """Get a token to talk to an agent. A token that is not used expires, and nothing is billed."""
    house = await look(request)
    session, caller = request[SESSION], request[CALLER]
    running = await service.running_call(session, caller, body.room_name)
    if running is not None:
        if not house.is_up:
            raise service.LiveKitDown
        return token_of(request, running, [])
    return await opened(request, caller, body, house)


@routes.get("/health", public=True)
async def get_voice_health(request: web.Request) -> VoiceHealth:
    """Whether somebody could talk to an agent now."""
    rooms = request.app[ROOMS]
    is_up = await rooms.is_up()
    workers = await request.app[WORKERS].present()
    why = why_none(workers) if is_up else "livekit-server does not answer"
    return VoiceHealth(
        status="unhealthy" if why else "healthy",
        configured=True,
        url=rooms.public_url,
        livekit="up" if is_up else "down",
        workers=sum(worker.is_ready for worker in workers),
        detail=why,
    )


@routes.post(
    "/webhook",
    public=True,
    limit=Limit("livekit events", 6000),
    errors=[events.NotFromLiveKit, Invalid],
    reads=dict[str, Any],
)
async def receive_livekit_event(request: web.Request) -> EventTaken:
    """Take an event of livekit-server, signed with the key that we share. A finished room ends its call."""
    raw = await body_of(request)
    token = request.headers.get("Authorization", "")
    event = events.verify(raw, token, request.app[SETTINGS].secrets)
    await events.keep(request[SESSION], event)
    if isinstance(phones := request.app[WORKERS].phones, LiveKitPhones):
        phones.happened(event)
    return EventTaken()


@sessions.post(errors=CANNOT, end_user="voice:write")
async def create_voice_session(request: web.Request, body: SessionRequest) -> Token:
    """Open a session with an agent: connect a LiveKit client with the token, and the agent is there."""
    house = await look(request)
    metadata = body.metadata
    external_user_id = request[CALLER].external_user_id or body.external_user_id
    if external_user_id is not None:
        metadata = {**(metadata or {}), "external_user_id": external_user_id}
    asked = TokenRequest(
        agent_id=body.agent_id,
        context=body.context,
        # Whom a number belongs to is the owner's to know.
        contact_id=body.contact_id if request[CALLER].end_user is None else None,
        metadata=metadata,
        max_duration_sec=body.max_duration_sec,
    )
    return await opened(request, request[CALLER], asked, house)


@sessions.get("/{room_name}", errors=[service.RoomNotFound], end_user="voice:read")
async def get_voice_session(request: web.Request, room_name: str) -> VoiceSession:
    """Get what was said in a session, and what became of it."""
    call, events, cost = await service.session_told(
        request[SESSION], request[CALLER], room_name, costs.load(request.app[SETTINGS].prices)
    )
    told = Call.told(call, events, None, cost)
    until = call.ended_at or now()
    return VoiceSession(
        room_name=room_name,
        call_id=call.id,
        status=call.status,
        duration_sec=round((until - call.started_at).total_seconds(), 3) if call.started_at else 0.0,
        cost_usd=told.cost.total_usd if told.cost is not None else None,
        transcript=told.transcript_object,
    )
