"""/v1/web-call/public: for visitors of the pages that show a web call; the token is all they have."""

from aiohttp import web

from api.agents import service as agents
from api.branding import hosts
from api.branding import service as branding
from api.http.callers import address
from api.http.rate_limits import Limit, network_of
from api.http.routes import Routes
from api.keys import RATE_LIMITS, SESSION
from api.system.pages import PageNotBuilt
from api.voice import opening
from api.voice.schemas import TokenRequest
from api.web_call import service
from api.web_call.schemas import PublicToken, PublicWebCallStarted
from api.web_call.table import PublicWebCallRow
from api.widgets import pages
from api.widgets.admission import OriginRefused, require_origin
from api.widgets.schemas import WidgetConfig, WidgetLooks

routes = Routes("/v1/web-call/public", tag="Web call", access="public")
START_LIMIT = Limit("web call", 60)
"""Of one address over all web calls; each has a limit of its own besides."""


@routes.post(
    "/{public_token}/start",
    limit=START_LIMIT,
    errors=[service.TokenUnknown, OriginRefused, service.NoBridge, service.DaySpent, *opening.CANNOT],
    cross_origin=True,
)
async def start_public_web_call(request: web.Request, public_token: PublicToken) -> PublicWebCallStarted:
    """Call from a page: the number that its owner named, or the agent."""
    house = await opening.look(request)
    session = request[SESSION]
    row = await _shown(request, public_token)
    await require_origin(request, row.allowed_domains, row.owner_id)
    await _take_rate(request, row)
    await service.take_call(session, row)
    caller, agent_id = service.calling(row), row.agent_id
    if row.target_number is not None:
        agent_id = await service.answering(session, caller, row.target_number)
    asked = TokenRequest(
        agent_id=agent_id,
        metadata={"source": service.SOURCE, "web_call_id": row.id, "web_call_agent_id": row.agent_id},
        max_duration_sec=row.max_duration_sec,
    )
    token = await opening.opened(request, caller, asked, house)
    await service.note(session, token.call_id, row.agent_id, None, row.target_number)
    return PublicWebCallStarted(
        room_name=token.room_name,
        web_token=token.token,
        livekit_url=token.url,
        max_duration_sec=token.session_limit_sec,
    )


@routes.get(
    "/{public_token}/config",
    limit=pages.PAGE_LIMIT,
    errors=[service.TokenUnknown, OriginRefused, agents.AgentNotFound],
    cross_origin=True,
)
async def get_public_web_call_page(request: web.Request, public_token: PublicToken) -> WidgetConfig:
    """Get all that a page needs to draw the button, in the shape of a widget's."""
    session = request[SESSION]
    row = await _shown(request, public_token)
    await require_origin(request, row.allowed_domains, row.owner_id)
    agent = await agents.of_owner(session, row.owner_id, row.agent_id)
    looks = WidgetLooks(
        name=agent.name,
        greeting_message="",
        language=agents.to_config(agent).language,
        voice_mode="voice",
        voice_session_limit_sec=row.max_duration_sec,
    )
    return WidgetConfig.branded(
        {**looks.model_dump(), "widget_id": row.id, "agent_name": agent.name},
        await branding.of_account(session, row.owner_id),
    )


@routes.get(
    "/{public_token}/embed.js",
    limit=pages.PAGE_LIMIT,
    errors=[service.TokenUnknown, PageNotBuilt],
    produces=[pages.JAVASCRIPT],
)
async def get_web_call_script(request: web.Request, public_token: PublicToken) -> web.StreamResponse:
    """The script that shows the button on any page: `<script src="…/embed.js" async></script>`."""
    await _shown(request, public_token)
    return pages.script(request, "embed.js")


async def _preflight(request: web.Request, public_token: PublicToken) -> None:
    """What a browser asks before it lets a page of another origin begin a call."""
    row = await _shown(request, public_token)
    await require_origin(request, row.allowed_domains, row.owner_id)


routes.add(
    "OPTIONS",
    "/{public_token}/start",
    aliases=["/{public_token}/config"],
    limit=pages.PAGE_LIMIT,
    spec=False,
    cross_origin=True,
)(_preflight)


async def _shown(request: web.Request, public_token: str) -> PublicWebCallRow:
    row = await service.shown(request[SESSION], public_token)
    if not await hosts.is_home(request, row.owner_id):
        raise service.TokenUnknown
    return row


async def _take_rate(request: web.Request, row: PublicWebCallRow) -> None:
    """Count a call of one address. Raises `TooManyRequests`."""
    network = network_of(address(request))
    await request.app[RATE_LIMITS].take(Limit("web call of one", row.ip_rate_per_min), f"{row.id} {network}")
