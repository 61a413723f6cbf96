"""/v1/web-call, for the owners of agents."""

from aiohttp import web

from api.agents.fields import AgentId
from api.agents.service import AgentNotFound
from api.http.links import base_url
from api.http.routes import Routes
from api.keys import CALLER, SESSION
from api.phone_numbers.routing import NoNumber
from api.voice import opening
from api.voice.schemas import TokenRequest
from api.web_call import service
from api.web_call.schemas import (
    PublicWebCall,
    PublicWebCallUpdate,
    TokenRenewed,
    WebCallConfig,
    WebCallConfigUpdate,
    WebCallStart,
    WebCallStarted,
)

routes = Routes("/v1/web-call", tag="Web call")


@routes.get("/config/{agent_id}", errors=[AgentNotFound])
async def get_web_call_config(request: web.Request, agent_id: AgentId) -> WebCallConfig | None:
    """Get how you call from a browser with this agent's number; null before you decided anything."""
    row = await service.config(request[SESSION], request[CALLER], agent_id)
    return WebCallConfig.of(row) if row is not None else None


@routes.put("/config/{agent_id}", errors=[AgentNotFound])
async def put_web_call_config(
    request: web.Request, agent_id: AgentId, body: WebCallConfigUpdate
) -> WebCallConfig:
    """Decide how you call from a browser with this agent's number; what is not sent stays."""
    return WebCallConfig.of(await service.configure(request[SESSION], request[CALLER], agent_id, body))


@routes.post(
    "/start",
    errors=[*opening.CANNOT, service.WebCallOff, service.NoBridge, NoNumber],
)
async def start_web_call(request: web.Request, body: WebCallStart) -> WebCallStarted:
    """Call a number from a browser. One of your own numbers: its agent answers, and no carrier is needed."""
    house = await opening.look(request)
    session, caller = request[SESSION], request[CALLER]
    from_number, answering = await service.begin(session, caller, body.agent_id, body.to_number)
    asked = TokenRequest(
        agent_id=answering, metadata={"source": service.SOURCE, "web_call_agent_id": body.agent_id}
    )
    token = await opening.opened(request, caller, asked, house)
    await service.note(session, token.call_id, body.agent_id, from_number, body.to_number)
    return WebCallStarted(
        call_id=token.call_id,
        room_name=token.room_name,
        web_token=token.token,
        livekit_url=token.url,
        from_number=from_number,
        to_number=body.to_number,
    )


@routes.get("/public-config/{agent_id}", errors=[AgentNotFound])
async def get_public_web_call(request: web.Request, agent_id: AgentId) -> PublicWebCall | None:
    """Get how everybody may call this agent from a browser; null before you decided anything."""
    row = await service.public_config(request[SESSION], request[CALLER], agent_id)
    return PublicWebCall.of(row, base_url(request)) if row is not None else None


@routes.put("/public-config/{agent_id}", errors=[AgentNotFound])
async def put_public_web_call(
    request: web.Request, agent_id: AgentId, body: PublicWebCallUpdate
) -> PublicWebCall:
    """Decide how everybody may call this agent from a browser; what is not sent stays."""
    row = await service.configure_public(request[SESSION], request[CALLER], agent_id, body)
    return PublicWebCall.of(row, base_url(request))


@routes.post("/regenerate-token/{agent_id}", errors=[AgentNotFound])
async def regenerate_web_call_token(request: web.Request, agent_id: AgentId) -> TokenRenewed:
    """Get another public token. The one before opens nothing from now on; calls that run go on."""
    row = await service.renew_token(request[SESSION], request[CALLER], agent_id)
    shown = PublicWebCall.of(row, base_url(request))
    return TokenRenewed(
        agent_id=row.agent_id, public_token=shown.public_token or "", embed_code=shown.embed_code
    )
