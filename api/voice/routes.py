"""/v1/livekit: tokens for a room with an agent in it."""

from aiohttp import web

from api.agents import service as agents
from api.calls import billing, costs
from api.calls.schemas import Call
from api.calls.table import CallRow
from api.contacts import service as contacts
from api.db.columns import now
from api.http.routes import Routes
from api.internal.table import WorkerRow
from api.internal.workers import why_none
from api.keys import CALLER, ROOMS, SESSION, SETTINGS, WORKERS
from api.voice import available, service
from api.voice.schemas import SessionRequest, Token, TokenRequest, TokenWarning, VoiceHealth, VoiceSession
from api.wallet.charges import InsufficientBalance

routes = Routes("/v1/livekit", tag="Voice")
sessions = Routes("/v1/voice/sessions", tag="Voice")


_CANNOT = [
    agents.AgentNotFound,
    InsufficientBalance,
    service.LiveKitDown,
    service.NobodyAnswers,
    service.LanguageUnavailable,
    contacts.ContactNotFound,
]


@routes.post("/token", errors=[*_CANNOT, service.RoomNotFound])
async def create_token(request: web.Request, body: TokenRequest) -> Token:
    """Get a token to talk to an agent. A token that is not used expires, and nothing is billed."""
    # Both are asked before the database is: nobody waits for the network with a transaction open.
    is_up = await request.app[ROOMS].is_up()
    workers = await request.app[WORKERS].present()
    session, caller = request[SESSION], request[CALLER]
    running = await service.running_call(session, caller, body.room_name)
    if running is not None:
        if not is_up:
            raise service.LiveKitDown
        return _token(request, running, [])
    return await _opened(request, body, is_up=is_up, workers=workers)


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


@sessions.post(errors=_CANNOT)
async def create_voice_session(request: web.Request, body: SessionRequest) -> Token:
    """Open a session with an agent: connect a LiveKit client with the token, and the agent is there."""
    is_up = await request.app[ROOMS].is_up()
    workers = await request.app[WORKERS].present()
    metadata = body.metadata
    if body.external_user_id is not None:
        metadata = {**(metadata or {}), "external_user_id": body.external_user_id}
    asked = TokenRequest(
        agent_id=body.agent_id,
        context=body.context,
        contact_id=body.contact_id,
        metadata=metadata,
        max_duration_sec=body.max_duration_sec,
    )
    return await _opened(request, asked, is_up=is_up, workers=workers)


@sessions.get("/{room_name}", errors=[service.RoomNotFound])
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


async def _opened(
    request: web.Request, asked: TokenRequest, *, is_up: bool, workers: list[WorkerRow]
) -> Token:
    session, caller = request[SESSION], request[CALLER]
    agent = await service.chosen_agent(session, caller, asked.agent_id)
    await billing.require(session, caller.owner_id, request.app[SETTINGS])
    if not is_up:
        raise service.LiveKitDown
    if why := why_none(workers):
        raise service.NobodyAnswers(why)
    offers = available.offered(workers)
    config = agents.to_config(agent)
    available.require_language(config.language, offers)
    call = await service.open_call(session, caller, agent, asked, service.session_seconds(agent, asked))
    return _token(request, call, available.warnings_for(config, offers))


def _token(request: web.Request, call: CallRow, warnings: list[TokenWarning]) -> Token:
    rooms = request.app[ROOMS]
    ticket = service.ticket(call)
    return Token(
        token=rooms.token(ticket),
        url=rooms.public_url,
        room_name=ticket.room_name,
        call_id=call.id,
        expires_in=ticket.ttl_seconds,
        session_limit_sec=call.max_duration_seconds or 3600,
        participant_identity=ticket.identity,
        warnings=warnings,
    )
