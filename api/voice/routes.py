"""/v1/livekit: tokens for a room with an agent in it."""

from aiohttp import web

from api.agents import service as agents
from api.calls.table import CallRow
from api.http.routes import Routes
from api.internal.workers import why_none
from api.keys import CALLER, ROOMS, SESSION, WORKERS
from api.voice import available, service
from api.voice.schemas import Token, TokenRequest, TokenWarning, VoiceHealth

routes = Routes("/v1/livekit", tag="Voice")


@routes.post(
    "/token",
    errors=[
        agents.AgentNotFound,
        service.RoomNotFound,
        service.LiveKitDown,
        service.NobodyAnswers,
        service.LanguageUnavailable,
    ],
)
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
    agent = await service.chosen_agent(session, caller, body.agent_id)
    if not is_up:
        raise service.LiveKitDown
    if why := why_none(workers):
        raise service.NobodyAnswers(why)
    offers = available.offered(workers)
    config = agents.to_config(agent)
    available.require_language(config.language, offers)
    call = await service.open_call(session, caller, agent, body, service.session_seconds(agent, body))
    return _token(request, call, available.warnings_for(config, offers))


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
