"""A dialog engine of one's own: answers, calls a function, and stops when it is told to.

python examples/custom_llm.py        then: response_engine {"type": "custom-llm",
                                           "llm_websocket_url": "ws://127.0.0.1:9000/"}

The runtime reaches it on this machine only where it was started with CALL2ME_ALLOW_HOSTS=127.0.0.1:9000.
"""

import asyncio
import contextlib
from typing import Any

from aiohttp import WSMsgType, web


async def answer(socket: web.WebSocketResponse, request: dict[str, Any]) -> None:
    id_, last = request["id"], request["messages"][-1]
    if "bye" in str(last.get("content", "")).lower() and last["role"] == "user":
        await socket.send_json(
            {"type": "call", "id": id_, "name": "end_call", "arguments": {"reason": "bye"}}
        )
    else:
        for word in f"You said: {last.get('content', 'nothing')}".split():
            await socket.send_json({"type": "text", "id": id_, "text": f"{word} "})
    await socket.send_json({"type": "done", "id": id_})


async def serve(request: web.Request) -> web.WebSocketResponse:
    socket, answers = web.WebSocketResponse(heartbeat=20), {}
    await socket.prepare(request)
    async for message in socket:
        frame = message.json() if message.type is WSMsgType.TEXT else {}
        if frame.get("type") == "request":
            answers[frame["id"]] = asyncio.create_task(answer(socket, frame))
        elif frame.get("type") == "cancel" and frame["id"] in answers:
            answers.pop(frame["id"]).cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.gather(*answers.values(), return_exceptions=True)
    return socket


def app() -> web.Application:
    made = web.Application()
    made.router.add_get("/", serve)
    return made


if __name__ == "__main__":
    web.run_app(app(), host="127.0.0.1", port=9000)
