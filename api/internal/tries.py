"""Orders to workers that are answered: run a function, and say what came of it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from api.agents.trying import NobodyTries
from api.db.columns import new_id
from pipelines.contract import FunctionTried, TryFunction

STARTS_SECONDS = 30.0
"""For the process that tries a function to start: it imports livekit, perhaps on a busy machine."""
MOST_AT_ONCE = 16


class Tries:
    """The orders that wait for their answer, in this process."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[FunctionTried]] = {}

    def answered(self, tried: FunctionTried) -> None:
        """A worker told what came of an order."""
        answer = self._waiting.get(tried.order_id)
        if answer is not None and not answer.done():
            answer.set_result(tried)

    async def ask(
        self, sockets: Sequence[web.WebSocketResponse], name: str, arguments: dict[str, Any], timeout_ms: int
    ) -> FunctionTried:
        """Let the first worker that takes the order run it. Raises `NobodyTries`."""
        if len(self._waiting) >= MOST_AT_ONCE:
            raise NobodyTries("Too many functions are being tried: try again in a moment.")
        order = TryFunction(order_id=new_id("try"), name=name, arguments=arguments, timeout_ms=timeout_ms)
        answer: asyncio.Future[FunctionTried] = asyncio.get_running_loop().create_future()
        self._waiting[order.order_id] = answer
        try:
            for socket in sockets:
                try:
                    async with asyncio.timeout(timeout_ms / 1000 + STARTS_SECONDS):
                        await socket.send_str(order.model_dump_json())
                        return await answer
                except (ConnectionError, RuntimeError):
                    continue  # this one is just leaving
                except TimeoutError:
                    raise NobodyTries("The worker gave no answer in time.") from None
        finally:
            del self._waiting[order.order_id]
        raise NobodyTries
