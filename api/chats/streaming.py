"""An answer as server-sent events, in both forms that the contract documents."""

from typing import Any

from aiohttp import web

from api.chats.schemas import ChatReply
from api.chats.talks import AnswerLost, Talk
from api.http.errors import sentence
from api.http.event_streams import HEADERS, event


async def stream(
    request: web.Request, talk: Talk, *, is_named: bool, told_to: tuple[str, str] | None = None
) -> web.StreamResponse:
    """Send it as it grows. A reader who leaves takes nothing with them: the answer is still kept.

    Named: `event: delta` with `{"text"}`, then `event: done`. Else: `{"delta"}`, `{"done": true}`, `[DONE]`.
    `told_to`, a chat and a visitor, is for strangers: they learn neither prices nor what ran.
    """
    response = web.StreamResponse(headers=HEADERS)
    try:
        await response.prepare(request)
        async for piece in talk.pieces():
            if not piece:
                await response.write(b": still thinking\n\n")
            elif is_named:
                await response.write(event("delta", {"text": piece}))
            else:
                await response.write(event("", {"delta": piece}))
        await response.write(_end(talk.reply, is_named=is_named, told_to=told_to))
        await response.write_eof()
    except ConnectionError:
        pass
    return response


def _end(reply: ChatReply | None, *, is_named: bool, told_to: tuple[str, str] | None) -> bytes:
    if reply is None:
        told: dict[str, Any] = {"error": sentence(AnswerLost), "status": 503}
    elif told_to is not None:
        answer = reply.assistant_message
        told = {
            "message_id": answer.message_id,
            "content": answer.content,
            "status": answer.status,
            "session_id": told_to[0],
            "visitor_id": told_to[1],
        }
    else:
        answer = reply.assistant_message
        told = {
            "message_id": answer.message_id,
            "user_message_id": reply.user_message.message_id,
            "content": answer.content,
            "status": answer.status,
            "cost_usd": answer.cost_usd,
            "tokens_input": answer.tokens_input,
            "tokens_output": answer.tokens_output,
            "model": answer.model,
            "function_calls": [ran.model_dump() for ran in answer.function_calls],
        }
    if is_named:
        return event("error" if reply is None else "done", told)
    return event("", told if reply is None else {"done": True, **told}) + b"data: [DONE]\n\n"
