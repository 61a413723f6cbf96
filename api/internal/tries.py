"""Trying a developer's function on whichever worker has it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from api.agents.trying import NobodyTries
from api.db.columns import new_id
from api.internal.mailbox import Answer, NotSent, Unanswered
from pipelines.contract.websocket import FunctionTried, Order, TryFunction

STARTS_SECONDS = 30.0
"""For the process that tries a function to start: it imports livekit, perhaps on a busy machine."""

Ask = Callable[[str, Order | TryFunction, float], Awaitable[Answer]]


async def try_function(
    ask: Ask, worker_ids: Sequence[str], name: str, arguments: dict[str, Any], timeout_ms: int
) -> FunctionTried:
    """Let the first of these workers that takes the order run it. Raises `NobodyTries`."""
    for worker_id in worker_ids:
        order = TryFunction(order_id=new_id("try"), name=name, arguments=arguments, timeout_ms=timeout_ms)
        try:
            tried = await ask(worker_id, order, timeout_ms / 1000 + STARTS_SECONDS)
        except NotSent:
            continue  # this one is just leaving
        except Unanswered:
            raise NobodyTries("The worker gave no answer in time.") from None
        if isinstance(tried, FunctionTried):
            return tried
    raise NobodyTries
