"""/v1/widgets, for their owners."""

from collections import defaultdict

from aiohttp import web

from api.agents.service import AgentNotFound
from api.chats.schemas import ChatList, ChatMessage, ChatSession
from api.chats.service import ChatNotFound, functions_of, messages_of
from api.chats.table import ChatFunctionRow
from api.http.links import base_url
from api.http.routes import Routes
from api.keys import CALLER, RATE_LIMITS, SESSION
from api.widgets import greetings, service
from api.widgets.schemas import (
    GreetingAudio,
    SessionMessages,
    SessionPage,
    Widget,
    WidgetCreate,
    WidgetDeleted,
    WidgetFilter,
    WidgetId,
    WidgetUpdate,
)
from api.widgets.service import SlugTaken, TooManyWidgets, WidgetNotFound

routes = Routes("/v1/widgets", tag="Widgets")


@routes.post(
    status=201, location="/v1/widgets/{widget_id}", errors=[AgentNotFound, SlugTaken, TooManyWidgets]
)
async def create_widget(request: web.Request, body: WidgetCreate) -> Widget:
    """Make a widget for an agent. `embed_code` in the reply is what goes into a page."""
    return Widget.of(await service.create(request[SESSION], request[CALLER], body), base_url(request))


@routes.get()
async def list_widgets(request: web.Request, query: WidgetFilter) -> list[Widget]:
    """List your widgets, newest first."""
    rows = await service.every(request[SESSION], request[CALLER], query)
    return [Widget.of(row, base_url(request)) for row in rows]


@routes.get("/{widget_id}", errors=[WidgetNotFound])
async def get_widget(request: web.Request, widget_id: WidgetId) -> Widget:
    """Get a widget."""
    return Widget.of(await service.get(request[SESSION], request[CALLER], widget_id), base_url(request))


@routes.patch("/{widget_id}", errors=[WidgetNotFound, AgentNotFound, SlugTaken])
async def update_widget(request: web.Request, widget_id: WidgetId, body: WidgetUpdate) -> Widget:
    """Change a widget; what is not sent stays. Pages that show it have it at their next load."""
    row = await service.change(request[SESSION], request[CALLER], widget_id, body)
    return Widget.of(row, base_url(request))


@routes.delete("/{widget_id}", status=200, errors=[WidgetNotFound])
async def delete_widget(request: web.Request, widget_id: WidgetId) -> WidgetDeleted:
    """Delete a widget. Its chats and calls stay."""
    await service.remove(request[SESSION], request[CALLER], widget_id)
    return WidgetDeleted(widget_id=widget_id)


@routes.get("/{widget_id}/sessions", errors=[WidgetNotFound])
async def list_widget_sessions(request: web.Request, widget_id: WidgetId, query: SessionPage) -> ChatList:
    """List the chats that visitors had through a widget, those written in last first."""
    rows, total = await service.sessions(request[SESSION], request[CALLER], widget_id, query)
    told = [ChatSession.of(row) for row in rows]
    return ChatList(sessions=told, total=total, limit=query.limit, offset=query.offset)


@routes.get("/{widget_id}/sessions/{chat_id}/messages", errors=[WidgetNotFound, ChatNotFound])
async def list_widget_messages(request: web.Request, widget_id: WidgetId, chat_id: str) -> SessionMessages:
    """Get all that was written in one of these chats."""
    session = request[SESSION]
    chat = await service.session_of(session, request[CALLER], widget_id, chat_id)
    ran: dict[str | None, list[ChatFunctionRow]] = defaultdict(list)
    for run in await functions_of(session, chat.id):
        ran[run.message_id].append(run)
    messages = [
        ChatMessage.of(message, ran.get(message.answers, ()), is_answering=chat.is_answering)
        for message in await messages_of(session, chat.id)
    ]
    return SessionMessages(
        session_id=chat.id,
        visitor_id=chat.visitor_id,
        visitor_name=chat.visitor_name,
        messages=messages,
        total=len(messages),
    )


@routes.post(
    "/{widget_id}/regenerate-greeting-audio",
    errors=[WidgetNotFound, greetings.NothingToSay, greetings.NoVoice, greetings.VoiceFailed],
)
async def regenerate_greeting_audio(request: web.Request, widget_id: WidgetId) -> GreetingAudio:
    """Have the greeting spoken anew; ten times an hour at most."""
    caller = request[CALLER]
    row = await service.get(request[SESSION], caller, widget_id)
    await request.app[RATE_LIMITS].take(greetings.LIMIT, caller.owner_id)
    return await greetings.speak(request, row)
