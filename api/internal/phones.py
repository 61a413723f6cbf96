"""The exchanges of our own workers, as the phones of this installation (`api.outside.phones.Phones`)."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence

from api.calls import orders
from api.db.columns import new_id
from api.internal.mailbox import Mailbox, NotSent, Unanswered
from api.internal.table import WorkerRow
from api.outside.phones import NO_LINE, PhonesUnavailable, Unsure
from pipelines.contract.websocket import Dial, Obeyed, TakeUp, Withdraw

DIAL_SECONDS = 8.0
TAKE_UP_SECONDS = 3.0
WITHDRAW_SECONDS = 10.0
"""For an exchange that died with an order to be there again, and to say what came of it."""
ANSWER_SECONDS = 2.0
AGAIN_SECONDS = 0.25
LOST = "the order was lost on its way to the exchange"


class WorkerPhones:
    """Orders to exchanges. `present` are the workers that speak now, the one seen last first."""

    def __init__(self, present: Callable[[], Awaitable[Sequence[WorkerRow]]], mailbox: Mailbox) -> None:
        self._present, self._mailbox = present, mailbox

    async def phones_why_not(self) -> str:
        """Why no worker could place a phone call now; empty when one could."""
        having = [row for row in await self._present() if row.phones_why_not is not None]
        if not having:
            return NO_LINE
        if any(not row.phones_why_not for row in having):
            return ""
        return f"{NO_LINE}: {having[0].phones_why_not}"

    async def trunks(self) -> dict[str, str]:
        """Of trunks that are kept registered: why each is not; empty when one exchange has it registered."""
        told: dict[str, str] = {}
        for row in await self._present():
            if row.phones_why_not is None:
                continue
            for trunk_id, why_not in row.trunks.items():
                told[trunk_id] = why_not and told.get(trunk_id, why_not)
        return told

    async def dial(self, order: Dial) -> str:
        """Have a worker place a call."""
        for row in await self._present():
            if row.phones_why_not != "":
                continue
            try:
                told = await self._mailbox.ask(row.id, order, DIAL_SECONDS)
            except NotSent:
                continue  # and never will be: the next may
            except Unanswered:
                await self._withdraw(row.id, order.call_id)
                raise PhonesUnavailable(LOST) from None
            if isinstance(told, Obeyed) and told.outcome != "done":
                raise PhonesUnavailable(told.message or "the exchange refused")
            return row.id
        raise PhonesUnavailable(NO_LINE)

    async def _withdraw(self, worker_id: str, call_id: str) -> None:
        """See to it that nobody is called for an order that was not answered. Raises `Unsure`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHDRAW_SECONDS):
                while True:
                    order = Withdraw(order_id=new_id("withdraw"), call_id=call_id)
                    with contextlib.suppress(NotSent, Unanswered):
                        told = await self._mailbox.ask(worker_id, order, ANSWER_SECONDS)
                        if isinstance(told, Obeyed) and told.outcome == "done":
                            return
                        if isinstance(told, Obeyed) and told.outcome == "refused":
                            break
                    await asyncio.sleep(AGAIN_SECONDS)
        raise Unsure(Unsure.__doc__)

    async def take_up(self, worker_id: str | None, call_id: str, attempt: int) -> None:
        """Have another process of this worker go on with a phone call."""
        if worker_id is None:
            raise PhonesUnavailable("nobody has the call")
        order = TakeUp(order_id=new_id("take"), call_id=call_id, attempt=attempt)
        try:
            told = await self._mailbox.ask(worker_id, order, TAKE_UP_SECONDS)
        except (NotSent, Unanswered):
            raise PhonesUnavailable("the worker of this call did not answer") from None
        if isinstance(told, Obeyed):
            try:
                orders.check(told)
            except orders.OrderRefused as error:
                raise PhonesUnavailable(str(error)) from None
