"""Orders to a running call: sent once, and answered, or known not to have been."""

import asyncio

from aiohttp import web

from api.db.columns import new_id
from api.http.errors import Conflict, GatewayTimeout, Unavailable
from pipelines.contract import Action, Obeyed, Order

TIMEOUT_SECONDS = 5.0
ON_THE_WAY_SECONDS = 1.0
MOST_AT_ONCE = 256


class OrderRefused(Conflict):
    """The call cannot do that"""


class NotReached(Unavailable):
    """The worker of this call cannot be reached from here now: try again in a moment"""


class NotAnswered(GatewayTimeout):
    """The worker of this call did not answer: it may or may not have done as it was told"""


class Orders:
    """Those that wait for their answer, in this process."""

    def __init__(self) -> None:
        self._waiting: dict[str, asyncio.Future[Obeyed]] = {}

    def obeyed(self, answer: Obeyed) -> None:
        """A worker told what came of an order."""
        waiting = self._waiting.get(answer.order_id)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    async def give(self, socket: web.WebSocketResponse | None, call_id: str, action: Action) -> None:
        """Have a call do this. Raises `OrderRefused`, `NotReached`, `NotAnswered`."""
        if socket is None or len(self._waiting) >= MOST_AT_ONCE:
            raise NotReached
        timeout_ms = round(TIMEOUT_SECONDS * 1000)
        order = Order(order_id=new_id("order"), call_id=call_id, timeout_ms=timeout_ms, action=action)
        answer: asyncio.Future[Obeyed] = asyncio.get_running_loop().create_future()
        self._waiting[order.order_id] = answer
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS + ON_THE_WAY_SECONDS):
                # Never a second time: nobody knows whether the first was carried out.
                await socket.send_str(order.model_dump_json())
                told = await answer
        except (ConnectionError, RuntimeError):
            raise NotReached from None
        except TimeoutError:
            raise NotAnswered from None
        finally:
            del self._waiting[order.order_id]
        if told.outcome == "not_here":
            raise OrderRefused("This call is over, or another process is just taking it up")
        if told.outcome == "refused":
            raise OrderRefused(told.message)
