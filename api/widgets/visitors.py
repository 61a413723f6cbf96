"""/v1/widgets, for visitors of the pages that show them: no credentials, an exact list of origins, limits."""

import secrets

from aiohttp import web

from api.agents import service as agents
from api.branding import service as branding
from api.calls import billing
from api.chats import answering
from api.chats.schemas import MessageCreate
from api.chats.streaming import stream
from api.chats.talks import AnswerLost, Talk, TooManyChats
from api.http.callers import address
from api.http.event_streams import EVENT_STREAM
from api.http.links import base_url
from api.http.rate_limits import Limit, network_of
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import SESSION, SETTINGS, TALKS
from api.voice import opening
from api.voice.schemas import Token, TokenRequest
from api.wallet.charges import InsufficientBalance
from api.widgets import admission, greetings, quotas, service
from api.widgets.admission import OriginRefused, require_origin
from api.widgets.schemas import VisitorMessage, VisitorReply, VoiceRequest, WidgetConfig, WidgetId

routes = Routes("/v1/widgets", tag="Widgets", access="public")
CONFIG_LIMIT = Limit("widget config", 120)
"""Of one address: each page that shows a widget asks once, and an office has one address."""
CHAT_LIMIT = Limit("widget chat", 30)
VOICE_LIMIT = Limit("widget voice", 10)


_CHAT = [
    service.WidgetNotFound,
    OriginRefused,
    service.OnlyVoice,
    quotas.QuotaSpent,
    InsufficientBalance,
    agents.AgentNotFound,
    answering.ChatBusy,
    answering.ChatFull,
    answering.AgentGone,
    TooManyChats,
]


@routes.get(
    "/{widget_id}/config",
    limit=CONFIG_LIMIT,
    errors=[service.WidgetNotFound, OriginRefused],
    cross_origin=True,
)
async def get_widget_config(request: web.Request, widget_id: WidgetId) -> WidgetConfig:
    """Get all that a page needs to draw a widget."""
    session = request[SESSION]
    row = await admission.shown(request, widget_id)
    await require_origin(request, row.allowed_domains, row.owner_id)
    agent = await agents.of_owner(session, row.owner_id, row.agent_id)
    version = await service.greeting_version(session, row.id) if row.voice_greeting_enabled else None
    return WidgetConfig.branded(
        {
            **row.model_dump(),
            "widget_id": row.id,
            "agent_name": agent.name,
            "greeting_audio_url": greetings.address(base_url(request), row.id, version) if version else None,
        },
        await branding.of_account(session, row.owner_id),
    )


@routes.post(
    "/{widget_id}/chat",
    limit=CHAT_LIMIT,
    errors=[*_CHAT, AnswerLost],
    produces=[EVENT_STREAM],
    cross_origin=True,
)
async def chat_through_widget(
    request: web.Request, widget_id: WidgetId, body: VisitorMessage
) -> VisitorReply | web.StreamResponse:
    """Write to the widget's agent and get its answer; with `stream` as it is written."""
    visitor_id = body.visitor_id or f"visitor_{secrets.token_hex(16)}"
    talk, chat_id = await _asked(request, widget_id, visitor_id, body)
    if body.stream:
        return await stream(request, talk, is_named=False, told_to=(chat_id, visitor_id))
    reply = await talk.whole()
    return VisitorReply.of(chat_id, visitor_id, reply.assistant_message)


@routes.post(
    "/{widget_id}/chat/stream", limit=CHAT_LIMIT, errors=_CHAT, produces=[EVENT_STREAM], cross_origin=True
)
async def stream_through_widget(
    request: web.Request, widget_id: WidgetId, body: VisitorMessage
) -> web.StreamResponse:
    """Write to the widget's agent; its answer as it is written: `event: delta`, then `event: done`."""
    visitor_id = body.visitor_id or f"visitor_{secrets.token_hex(16)}"
    talk, chat_id = await _asked(request, widget_id, visitor_id, body)
    return await stream(request, talk, is_named=True, told_to=(chat_id, visitor_id))


@routes.post(
    "/{widget_id}/voice-token",
    limit=VOICE_LIMIT,
    errors=[service.WidgetNotFound, OriginRefused, service.OnlyText, quotas.QuotaSpent, *opening.CANNOT],
    cross_origin=True,
)
async def create_widget_voice_token(
    request: web.Request, widget_id: WidgetId, body: VoiceRequest | None = None
) -> Token:
    """Get a token to talk to the widget's agent by voice."""
    asked = body or VoiceRequest()
    house = await opening.look(request)
    session = request[SESSION]
    row = await admission.shown(request, widget_id)
    await require_origin(request, row.allowed_domains, row.owner_id)
    if row.voice_mode == "chat":
        raise service.OnlyText
    key = request.app[SETTINGS].secrets.jwt
    await quotas.take_voice_session(session, row, network_of(address(request)), key)
    wanted = TokenRequest(
        agent_id=row.agent_id,
        participant_name=asked.visitor_name or None,
        context=asked.context,
        metadata={
            "source": service.SOURCE,
            "widget_id": row.id,
            "widget_name": row.name,
            "visitor_id": asked.visitor_id,
        },
        max_duration_sec=row.voice_session_limit_sec,
    )
    return await opening.opened(request, service.visiting(row), wanted, house)


async def _preflight(request: web.Request, widget_id: WidgetId) -> None:
    """What a browser asks before it lets a page of another origin use a widget."""
    row = await admission.shown(request, widget_id)
    await require_origin(request, row.allowed_domains, row.owner_id)


routes.add(
    "OPTIONS",
    "/{widget_id}/config",
    aliases=["/{widget_id}/chat", "/{widget_id}/chat/stream", "/{widget_id}/voice-token"],
    limit=CONFIG_LIMIT,
    spec=False,
    cross_origin=True,
)(_preflight)


async def _asked(
    request: web.Request, widget_id: str, visitor_id: str, body: VisitorMessage
) -> tuple[Talk, str]:
    talks, session = request.app[TALKS], request[SESSION]
    talks.make_room()
    row = await admission.shown(request, widget_id)
    await require_origin(request, row.allowed_domains, row.owner_id)
    if row.voice_mode == "voice":
        raise service.OnlyVoice
    settings = request.app[SETTINGS]
    await billing.require(session, row.owner_id, settings)
    await quotas.take_message(session, row, visitor_id, network_of(address(request)), settings.secrets.jwt)
    caller, chat_id = await service.chat_of(session, row, visitor_id, body)
    asked = await answering.begin(session, caller, chat_id, MessageCreate(content=body.message), settings)
    await let_go(request)  # from here on the message is kept, whatever happens
    return talks.answer(asked), chat_id
