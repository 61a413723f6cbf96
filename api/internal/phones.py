"""The exchanges of our own workers, as the phones of this installation (`api.outside.phones.Phones`)."""

from collections.abc import Awaitable, Callable, Sequence

from api.calls import orders
from api.db.columns import new_id
from api.internal import mailbox
from api.internal.table import WorkerRow
from api.outside.phones import NO_LINE, Dialler, NeverSent, PhonesUnavailable, Unanswered, Unsure
from pipelines.contract.websocket import Dial, Obeyed, TakeUp, Withdraw

DIAL_SECONDS = 8.0
TAKE_UP_SECONDS = 3.0
WITHDRAW_SECONDS = 2.0


class WorkerPhones:
    """Orders to exchanges. `present` are the workers that speak now, the one seen last first."""

    def __init__(self, present: Callable[[], Awaitable[Sequence[WorkerRow]]], box: mailbox.Mailbox) -> None:
        self._present, self._mailbox = present, box

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

    async def diallers(self) -> list[Dialler]:
        """Workers that could place a call."""
        return [Dialler(row.id, row.journal) for row in await self._present() if row.phones_why_not == ""]

    async def dial(self, dialler: Dialler, order: Dial) -> None:
        """Have a worker place a call."""
        told = await self._ask(dialler, order, DIAL_SECONDS)
        if isinstance(told, Obeyed) and told.outcome != "done":
            raise PhonesUnavailable(told.message or "the exchange refused")

    async def withdraw(self, dialler: Dialler, call_id: str) -> bool:
        """Ask the exchange of that worker, which knows it from its journal."""
        order = Withdraw(order_id=new_id("withdraw"), call_id=call_id, journal=dialler.journal)
        try:
            told = await self._ask(dialler, order, WITHDRAW_SECONDS)
        except NeverSent:
            raise Unanswered from None  # its worker may be back in a moment
        outcome = told.outcome if isinstance(told, Obeyed) else ""
        if outcome == "unknown":
            raise Unsure("the journal of whoever was to call them is gone")
        if outcome not in ("done", "refused"):
            raise Unanswered
        return outcome == "done"

    async def _ask(self, dialler: Dialler, order: Dial | Withdraw, seconds: float) -> mailbox.Answer:
        try:
            return await self._mailbox.ask(dialler.name, order, seconds)
        except mailbox.NotSent:
            raise NeverSent from None
        except mailbox.Unanswered:
            raise Unanswered from None

    async def take_up(self, worker_id: str | None, call_id: str, attempt: int) -> None:
        """Have another process of this worker go on with a phone call."""
        if worker_id is None:
            raise PhonesUnavailable("nobody has the call")
        order = TakeUp(order_id=new_id("take"), call_id=call_id, attempt=attempt)
        try:
            told = await self._mailbox.ask(worker_id, order, TAKE_UP_SECONDS)
        except (mailbox.NotSent, mailbox.Unanswered):
            raise PhonesUnavailable("the worker of this call did not answer") from None
        if isinstance(told, Obeyed):
            try:
                orders.check(told)
            except orders.OrderRefused as error:
                raise PhonesUnavailable(str(error)) from None
