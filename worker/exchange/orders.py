"""What the api orders of the exchange: whom to call, what goes on elsewhere, who listens, what ends."""

from collections.abc import Coroutine
from typing import Any, Protocol

from pipelines.contract.websocket import Dial, HangUp, Obeyed, Order, TakeUp, Withdraw
from worker.exchange.attending import Attending
from worker.exchange.bridge import Bridge
from worker.exchange.calls import PhoneCall
from worker.exchange.frames import leg_of
from worker.exchange.outbound import Outbound
from worker.exchange.restoration import Restoration
from worker.exchange.shards import Shards
from worker.exchange.transfers import Transfers
from worker.presence import ExchangePresence


class _Exchange(Protocol):
    calls: dict[str, PhoneCall]

    def spawn(self, work: Coroutine[Any, Any, Any]) -> object: ...
    def apart(self) -> dict[str, str]: ...
    def let_go(self, call: PhoneCall) -> None: ...


class Orders:
    """`run` until cancelled. They are obeyed one after another; what takes time is done beside."""

    def __init__(
        self,
        exchange: _Exchange,
        presence: ExchangePresence,
        shards: Shards,
        outbound: Outbound,
        transfers: Transfers,
        restoration: Restoration,
        attending: Attending,
    ) -> None:
        self._exchange, self._presence, self._shards = exchange, presence, shards
        self._outbound, self._transfers, self._restoration = outbound, transfers, restoration
        self._attending = attending

    async def run(self) -> None:
        """Obey, for ever."""
        while True:
            order = await self._presence.orders.get()
            match order:
                case Dial():
                    self._answer(order.order_id, self._outbound.dial(order))
                case Withdraw():
                    self._presence.obeyed(self._outbound.withdraw(order))
                case TakeUp():
                    self._answer(order.order_id, self._take_up(order))
                case Order():
                    self._attending.obey(order)
                case HangUp():
                    if (dialog := self._outbound.ringing.get(order.call_id)) is not None:
                        self._exchange.spawn(dialog.hang_up())
                    elif (call := self._exchange.calls.get(order.call_id)) is not None:
                        self._exchange.spawn(call.dialog.hang_up())

    def _answer(self, order_id: str, why_not: str) -> None:
        outcome: Any = "refused" if why_not else "done"
        self._presence.obeyed(Obeyed(order_id=order_id, outcome=outcome, message=why_not))

    def _take_up(self, order: TakeUp) -> str:
        """Let another shard go on with a call; why not, if none can."""
        call, left = self._exchange.calls.get(order.call_id), self._restoration.unclaimed(order.call_id)
        if (call is None and left is None) or (call is not None and isinstance(call.talker, Bridge)):
            return "the call is over"
        apart = call.apart if call is not None else left.apart if left is not None else ""
        if (shard := self._shards.spare(apart, self._exchange.apart())) is None:
            return "no shard is there"
        if call is None and (call := self._restoration.left_by_both(order.call_id)) is None:
            return "its ports are taken"
        self._transfers.drop(leg_of(call.call_id))
        self._exchange.let_go(call)
        shard.call_ids.add(call.call_id)
        call.hand_to(shard, order.attempt)
        return ""
