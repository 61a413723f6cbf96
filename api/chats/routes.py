"""/v1/chats: talk to an agent in text."""

from collections import defaultdict

from aiohttp import web

from api.agents.service import AgentNotFound
from api.chats import answering, service
from api.chats.schemas import (
    ChatChange,
    ChatCreate,
    ChatDetail,
    ChatList,
    ChatMessage,
    ChatQuery,
    ChatReply,
    ChatSession,
    MessageCreate,
    SessionId,
)
from api.chats.streaming import stream
from api.chats.table import ChatFunctionRow
from api.chats.talks import AnswerLost, Talk, TooManyChats
from api.db.engine import after_commit
from api.http.event_streams import EVENT_STREAM
from api.http.routes import Routes
from api.http.transactions import let_go
from api.keys import CALLER, SESSION, SETTINGS, TALKS
from api.wallet.charges import InsufficientBalance

routes = Routes("/v1/chats", tag="Chats")
_CANNOT = [
    service.ChatNotFound,
    answering.ChatBusy,
    answering.ChatArchived,
    answering.ChatFull,
    answering.AgentGone,
    TooManyChats,
    InsufficientBalance,
]


@routes.post(errors=[AgentNotFound], end_user="chats:write")
async def create_chat(request: web.Request, body: ChatCreate) -> ChatSession:
    """Begin a chat with an agent."""
    row = await service.create(request[SESSION], request[CALLER], body)
    after_commit(request[SESSION], request.app[TALKS].expect)
    return ChatSession.of(row)


@routes.get(end_user="chats:read")
async def list_chats(request: web.Request, query: ChatQuery) -> ChatList:
    """List your chats, those written in last first."""
    rows, total = await service.page(request[SESSION], request[CALLER], query)
    sessions = [ChatSession.of(row) for row in rows]
    return ChatList(sessions=sessions, total=total, limit=query.limit, offset=query.offset)


@routes.get("/{session_id}", errors=[service.ChatNotFound], end_user="chats:read")
async def get_chat(request: web.Request, session_id: SessionId) -> ChatDetail:
    """Get a chat with all that was written in it."""
    session = request[SESSION]
    row = await service.get(session, request[CALLER], session_id)
    ran: dict[str | None, list[ChatFunctionRow]] = defaultdict(list)
    for run in await service.functions_of(session, row.id):
        ran[run.message_id].append(run)
    told = [
        ChatMessage.of(message, ran.get(message.answers, ()), is_answering=row.is_answering)
        for message in await service.messages_of(session, row.id)
    ]
    return ChatDetail.model_validate({**ChatSession.fields(row), "messages": told})


@routes.patch("/{session_id}", errors=[service.ChatNotFound])
async def update_chat(request: web.Request, session_id: SessionId, query: ChatChange) -> ChatSession:
    """Name a chat, archive it, or bring it back (`status=active`)."""
    return ChatSession.of(await service.change(request[SESSION], request[CALLER], session_id, query))


@routes.delete("/{session_id}", status=200, errors=[service.ChatNotFound])
async def delete_chat(request: web.Request, session_id: SessionId) -> ChatSession:
    """Archive a chat: it stays, but is not in the list."""
    archived = ChatChange(status="archived")
    return ChatSession.of(await service.change(request[SESSION], request[CALLER], session_id, archived))


@routes.post(
    "/{session_id}/messages",
    errors=[*_CANNOT, AnswerLost],
    produces=[EVENT_STREAM],
    resumes=True,
    end_user="chats:write",
)
async def send_chat_message(
    request: web.Request, session_id: SessionId, body: MessageCreate
) -> ChatReply | web.StreamResponse:
    """Write to the agent and get its answer; with `stream` as it is written, as server-sent events."""
    talk = await _asked(request, session_id, body)
    if body.stream:
        return await stream(request, talk, is_named=False)
    return await talk.whole()


@routes.post(
    "/{session_id}/messages/stream",
    errors=_CANNOT,
    produces=[EVENT_STREAM],
    resumes=True,
    end_user="chats:write",
)
async def stream_chat_message(
    request: web.Request, session_id: SessionId, body: MessageCreate
) -> web.StreamResponse:
    """Write to the agent and get its answer as it is written: `event: delta`, then `event: done`."""
    return await stream(request, await _asked(request, session_id, body), is_named=True)


async def _asked(request: web.Request, session_id: str, body: MessageCreate) -> Talk:
    talks = request.app[TALKS]
    talks.make_room()
    asked = await answering.begin(request[SESSION], request[CALLER], session_id, body, request.app[SETTINGS])
    await let_go(request)  # from here on the message is kept, whatever happens
    return talks.answer(asked)
