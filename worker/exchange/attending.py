"""People who listen to two who were put through, or talk with both: a shard brings the sound into their room.

api ── order ──► exchange ──attend──► a shard ──► its room is there: tapping ──► `bridge.Bridge.tap`
                                       └──attended──► exchange ──► obeyed; the api writes down what was done

bridged ── overhear ──► a shard, which taps at once, and asks the api what is to be kept of the two

The shard is one with little to do, and stays the same as long as somebody listens there. When it dies the two
are relayed as before; whoever listened asks again, and what is kept another shard goes on with.
"""

import asyncio
import logging
import socket
import uuid
from collections import Counter
from collections.abc import Mapping
from typing import Literal

from pipelines.contract.actions import GiveBack, Listen, TakeOver, Whisper, WhisperAloud
from pipelines.contract.websocket import Obeyed, Order
from worker.exchange.api import Api
from worker.exchange.bridge import Bridge
from worker.exchange.calls import PhoneCall
from worker.exchange.frames import Attend, Attended, GaveBack, Overhear, Parted, Tapping
from worker.exchange.shards import ConnectedShard, Shards
from worker.presence import ExchangePresence

logger = logging.getLogger(__name__)

MOST_OVERHEARD = 4
"""Shards that are asked to keep what the same two say: one that kills its process does not kill them all."""
MET_SECONDS = 1.0
"""For shards to say whom they hear already, after the exchange was restarted."""
NO_AGENT = "The agent has left this call: the two who talk can be listened to, and taken over"
NOBODY_TO_WHISPER_TO = "The agent has left this call: there is nobody to whisper to"
SHARD_DIED = "The process in which they listened is gone: ask to listen again"


class Attending:
    """`orders` wait for their shards' word."""

    def __init__(
        self, calls: Mapping[str, PhoneCall], shards: Shards, api: Api, presence: ExchangePresence
    ) -> None:
        self._calls, self._shards, self._api, self._presence = calls, shards, api, presence
        self._orders: dict[str, tuple[ConnectedShard, asyncio.TimerHandle]] = {}

    def obey(self, order: Order) -> None:
        """Have a shard do it."""
        if why_not := self._passed_on(order):
            self._answer(order.order_id, why_not)

    def _passed_on(self, order: Order) -> str:
        action, bridge = order.action, self._bridge(order.call_id)
        if bridge is None:
            return "The call is over"
        if not isinstance(action, Listen | TakeOver | GiveBack):
            return NOBODY_TO_WHISPER_TO if isinstance(action, Whisper | WhisperAloud) else NO_AGENT
        is_about_to = any(asked is bridge.shard for asked, _ in self._orders.values())
        is_there = bridge.is_tapped or is_about_to or bridge.is_overheard
        shard = bridge.shard if is_there else self._least()
        if shard is None:
            return "The shards are starting"
        bridge.shard = shard
        seconds = order.timeout_ms / 1000
        forget = asyncio.get_running_loop().call_later(2 * seconds, self._orders.pop, order.order_id, None)
        self._orders[order.order_id] = shard, forget
        shard.tell(
            Attend(
                call_id=order.call_id,
                sides=bridge.sides,
                order_id=order.order_id,
                action=action,
                seconds=seconds,
            )
        )
        return ""

    def told(
        self,
        shard: ConnectedShard,
        frame: Tapping | Attended | GaveBack,
        sockets: tuple[socket.socket, socket.socket] | None,
    ) -> None:
        """A shard says how it goes."""
        bridge = self._bridge(frame.call_id)
        match frame:
            case Tapping() if sockets is not None:
                # Also one of before an exchange's restart.
                if bridge is not None and bridge.shard in (None, shard):
                    bridge.tap(shard, sockets)
                    bridge.is_overheard = frame.is_overheard
                    return
                for one in sockets:
                    one.close()
                shard.tell(Parted(call_id=frame.call_id))
            case Attended():
                if (asked := self._orders.pop(frame.order_id, None)) is None:
                    return
                asked[1].cancel()
                self._answer(frame.order_id, frame.why_not)
                if not frame.why_not:
                    self._api.tell_steered(frame.call_id, frame.action)
            case GaveBack():
                self._api.tell_steered(frame.call_id, frame.action)
                if frame.ends and bridge is not None:
                    bridge.end()
            case _:
                pass

    def gone(self, shard: ConnectedShard) -> None:
        """A shard's process ended: what it was to do is not done, and nobody is heard over it."""
        for call in self._calls.values():
            if isinstance(call.talker, Bridge):
                call.talker.part(shard)
        for order_id in [id_ for id_, (asked, _) in self._orders.items() if asked is shard]:
            self._orders.pop(order_id)[1].cancel()
            self._answer(order_id, SHARD_DIED)
        self._overhear_all()

    def overhear(self, call: PhoneCall) -> None:
        """Have a shard keep what two say who were put through, where it is to be kept and none does."""
        bridge = call.talker
        if not call.is_overheard or not isinstance(bridge, Bridge) or bridge.is_overheard:
            return
        shard = bridge.shard or self._least()
        if shard is None:
            return  # one that comes is asked
        if bridge.overheard >= MOST_OVERHEARD:
            logger.warning("nobody keeps what is said any more", extra={"call_id": call.call_id})
            call.is_overheard = False
            return
        bridge.shard, bridge.is_overheard = shard, True
        bridge.overheard += 1
        job_id = f"overhear-{uuid.uuid4().hex}"
        shard.tell(Overhear(call_id=call.call_id, sides=bridge.sides, job_id=job_id))

    def here(self) -> None:
        """A shard has come, or says what it does."""
        asyncio.get_running_loop().call_later(MET_SECONDS, self._overhear_all)

    def _overhear_all(self) -> None:
        for call in list(self._calls.values()):
            self.overhear(call)

    def _least(self) -> ConnectedShard | None:
        """Where the fewest are listened to, of what the exchange knows; then where the fewest calls are."""
        bridges = [call.talker for call in self._calls.values() if isinstance(call.talker, Bridge)]
        heard = Counter(bridge.shard for bridge in bridges if bridge.is_tapped)
        return min(self._shards.taking, key=lambda one: (heard[one], len(one.call_ids)), default=None)

    def _answer(self, order_id: str, why_not: str) -> None:
        outcome: Literal["refused", "done"] = "refused" if why_not else "done"
        self._presence.obeyed(Obeyed(order_id=order_id, outcome=outcome, message=why_not))

    def _bridge(self, call_id: str) -> Bridge | None:
        call = self._calls.get(call_id)
        return call.talker if call is not None and isinstance(call.talker, Bridge) else None
