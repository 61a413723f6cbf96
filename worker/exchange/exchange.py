"""The SIP process: takes and places calls at carriers, keeps their dialogs, hands each to a shard.

carriers ◄──SIP──► exchange ──sockets──► shard, shard, … and a spare one
                      │  ▲ └─ journal: a restarted exchange goes on with what was answered
                      ▼  └─ orders (dial, withdraw, take up, hang up) through the supervisor
                     api: trunks, whose call it is, how dialling goes
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Coroutine
from typing import Any

import aiohttp

from worker.exchange import holds, sdp, sip
from worker.exchange.api import Api
from worker.exchange.attending import Attending
from worker.exchange.bridge import Bridge
from worker.exchange.calls import PhoneCall, local_host, opened
from worker.exchange.dialogs import Dialogs
from worker.exchange.forwarding import Forwarding
from worker.exchange.frames import (
    Agreed,
    Attended,
    FromShard,
    GaveBack,
    HangUpLine,
    Here,
    Holding,
    HoldLine,
    Leave,
    PutThrough,
    Tapping,
    TransferLine,
    leg_of,
)
from worker.exchange.inbound import Inbound
from worker.exchange.orders import Orders
from worker.exchange.outbound import Outbound
from worker.exchange.ports import Ports
from worker.exchange.restoration import Restoration
from worker.exchange.shards import ConnectedShard, Shards
from worker.exchange.transfers import Transfers
from worker.exchange.trunks import Trunks
from worker.lines.rtp.media import OurDirection
from worker.presence import ExchangeHere, ExchangePresence
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

ORPHAN_SECONDS = 35.0
"""For another shard to be named for a call whose shard died; the api gives up after thirty."""
GOODBYE_SECONDS = 3.0
DRAIN_LOOK_SECONDS = 0.05
TOLD_TO_END_SECONDS = 5.0
"""For calls that the worker has told to end, once it has waited for long enough."""


class Exchange:
    """`run` until SIGTERM."""

    def __init__(self, settings: WorkerSettings, engine: sip.Engine, http: aiohttp.ClientSession) -> None:
        self._settings, self._engine = settings, engine
        self._dialogs = Dialogs(settings.dialogs)
        self._api = Api(settings, http, self._dialogs.told)
        listens = frozenset(one.transport for one in settings.sip_listen)
        self._trunks = Trunks(engine, settings.api_url, http, settings.sip_strangers, listens)
        self._shards = Shards(settings.exchange_socket, self._told, self._gone)
        self._outbound = Outbound(self, engine, self._api, self._trunks, self._dialogs)
        self._transfers = Transfers(self, engine, self._api, self._trunks, self._dialogs)
        most = settings.max_phone_calls
        forwarding = Forwarding(self, self._api, self._dialogs, self._transfers, most)
        self._inbound = Inbound(self, self._api, self._trunks, self._dialogs, most, forwarding)
        self._ports = Ports(self._bind_host, *settings.rtp_ports)
        self._restoration = Restoration(self, engine, self._api, self._trunks, self._dialogs, self._ports)
        self.calls: dict[str, PhoneCall] = {}
        """Calls that are answered."""
        self._tasks: set[asyncio.Task[Any]] = set()
        self._presence = ExchangePresence(settings.calls_socket, self._look)
        self._attending = Attending(self.calls, self._shards, self._api, self._presence)
        self._orders = Orders(
            self,
            self._presence,
            self._shards,
            self._outbound,
            self._transfers,
            self._restoration,
            self._attending,
        )
        self._is_stopping, self._is_hurried = asyncio.Event(), asyncio.Event()

    # ── for whoever takes calls ──────────────────────────────────────────────────────────────────
    @property
    def is_full(self) -> bool:
        """As many calls as allowed, but for those that wait."""
        own = [call for call in self.calls.values() if not call.waits_since and not call.is_forwarded]
        return (
            len(own) + self._restoration.talking + len(self._outbound.ringing)
            >= self._settings.max_phone_calls
        )

    def why_not(self) -> str:
        """Why no call could be placed now; empty when one could. Whoever waits for a line comes first."""
        is_taken = self.is_full or self._inbound.queue.is_awaited
        return self.why_closed() or ("as many phone calls as allowed are running" if is_taken else "")

    def why_closed(self) -> str:
        """Why no agent could have a call now even with a line; empty when one could."""
        return self.why_shut() or ("" if self._shards.count else "the shards are starting")

    def why_shut(self) -> str:
        """Why nobody could be called even for a call that is here already."""
        if self._is_stopping.is_set():
            return "the worker is stopping"
        if not self._trunks.known.is_set():
            return "the exchange does not know its trunks yet"
        return ""

    def open(self, towards: str) -> tuple[tuple[socket.socket, socket.socket], sdp.Ours]:
        """Sockets for a call with somebody there. Raises `Unavailable`."""
        return opened(self._ports, self._host(towards))

    def begin(self, call: PhoneCall) -> bool:
        """A call is answered: a shard talks. False when there is none."""
        choose = self._shards.choose_waiting if call.waits_since else self._shards.choose
        if (shard := choose(call.apart, self.apart())) is None:
            return False
        self.calls[call.call_id] = call
        shard.call_ids.add(call.call_id)
        call.hand_to(shard)
        self._presence.changed()
        return True

    def waits_again(self, call: PhoneCall) -> None:
        """It waited for a line already when the exchange before us died."""
        self._inbound.waiting.again(call, self.spawn)

    def apart(self) -> dict[str, str]:
        """The word of each call that those of its shard must share."""
        return {call_id: call.apart for call_id, call in self.calls.items()}

    def over(self, call: PhoneCall) -> None:
        """Its dialog has ended."""
        self.calls.pop(call.call_id, None)
        self.let_go(call)
        call.close()
        self._presence.changed()

    def let_go(self, call: PhoneCall) -> None:
        """The shard that has had it has nothing to do with it any more."""
        if isinstance(call.talker, ConnectedShard):
            call.talker.call_ids.discard(call.call_id)

    def overhear(self, call: PhoneCall) -> None:
        """It was put through: what the two say may have to be kept."""
        self._attending.overhear(call)

    async def follow(self, call: PhoneCall) -> None:
        """Until it is over, and the api knows."""
        try:
            ended = await call.talk()
        finally:
            self.over(call)
        code, reason = (200, "") if ended is None else (ended.code, ended.reason)
        self._api.tell_soon(call.call_id, "ended", code, reason)

    # ── running ──────────────────────────────────────────────────────────────────────────────────
    async def run(self) -> None:
        """Take and place calls until asked to stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._ask_to_stop)
        looking = self.spawn(self._trunks.run())
        # Before shards can claim what they hold.
        await self._restoration.run()
        async with self._shards.listening(), self._presence:
            work = [
                looking,
                self.spawn(self._invited()),
                self.spawn(self._orders.run()),
                self.spawn(self._restoration.end_unclaimed()),
                self.spawn(self._api.run()),
            ]
            stopping = self.spawn(self._is_stopping.wait())
            done, _ = await asyncio.wait([*work[:3], stopping], return_when=asyncio.FIRST_COMPLETED)
            if stopping in done:
                looking.cancel()  # whoever registered is registered no more
                await self._drain()
            await self._part()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for task in done - {stopping}:
                task.result()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Do something beside; it is held here and what it raises is logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[Any]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("work of the exchange failed", exc_info=error)

    async def _invited(self) -> None:
        async for dialog in self._engine.invitations():
            self.spawn(self._inbound.take(dialog, self.spawn))
            del dialog  # until the next one comes it would be kept

    def _ask_to_stop(self) -> None:
        if self._is_stopping.is_set():
            self._is_hurried.set()
        self._is_stopping.set()

    async def _drain(self) -> None:
        """Take no more calls, and let those that run end by themselves; until asked to stop once more."""
        self._engine.answer_options(503)
        self._presence.changed()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settings.drain_seconds + TOLD_TO_END_SECONDS):
                while (self.calls or self._outbound.ringing) and not self._is_hurried.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(DRAIN_LOOK_SECONDS)

    async def _part(self) -> None:
        """Whoever is left is told; carriers know that we are gone."""
        self._engine.answer_options(503)
        self._presence.changed()
        dialogs: list[PhoneCall | sip.Dialog] = [*self.calls.values()]
        dialogs += [*self._outbound.ringing.values(), *self._transfers.ringing.values()]
        dialogs += [leg.dialog for leg in self._transfers.legs.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.gather(*(one.hang_up() for one in dialogs), return_exceptions=True)
                await self._api.until_told()

    # ── shards ───────────────────────────────────────────────────────────────────────────────────
    def _told(
        self, shard: ConnectedShard, frame: FromShard, sockets: tuple[socket.socket, socket.socket] | None
    ) -> None:
        if isinstance(frame, Here):
            self._presence.changed()
            self._attending.here()
            return
        if isinstance(frame, Holding) and sockets is not None:
            self._restoration.claimed(shard, frame, sockets)
            return
        if isinstance(frame, Tapping | Attended | GaveBack):
            self._attending.told(shard, frame, sockets)
            return
        call = self.calls.get(frame.call_id)
        if call is None and isinstance(frame, HangUpLine):
            self._transfers.drop(frame.call_id)  # whom it has called for a call
        if call is None or call.talker is not shard:
            return  # another shard has it by now
        match frame:
            case HangUpLine():
                shard.call_ids.discard(call.call_id)
                self.spawn(call.hang_up())
            case Leave():
                shard.call_ids.discard(call.call_id)
                self._transfers.drop(leg_of(call.call_id))
                self.spawn(self._orphaned(call))
            case HoldLine():
                self.spawn(self.hold(call, shard, frame.wish))
            case TransferLine():
                call.is_overheard = frame.is_overheard
                self.spawn(self._transfers.transfer(call, frame))
            case PutThrough():
                call.is_overheard = frame.is_overheard
                self._transfers.put_through(call, frame)
            case _:
                pass

    async def hold(self, call: PhoneCall, shard: ConnectedShard, wish: OurDirection) -> None:
        """Hold a call, or go on with it, and tell its shard what came of it."""
        why_not = await holds.agree(call, wish)
        shard.tell(Agreed(call_id=call.call_id, wish=wish, why_not=why_not))

    def _gone(self, shard: ConnectedShard) -> None:
        """A shard's process ended. Its calls wait for the api to name another attempt."""
        for call in self.calls.values():
            if call.talker is shard:
                logger.warning("a shard is gone, its call waits", extra={"call_id": call.call_id})
                self._transfers.drop(leg_of(call.call_id))
                self.spawn(self._orphaned(call))
        self._attending.gone(shard)
        self._presence.changed()

    async def _orphaned(self, call: PhoneCall) -> None:
        """Nobody talks: hang up unless another shard has the call by then."""
        taken = call.taken
        await asyncio.sleep(ORPHAN_SECONDS)
        if self.calls.get(call.call_id) is call and call.taken == taken:
            await call.dialog.hang_up()

    # ── what we are called ───────────────────────────────────────────────────────────────────────
    @property
    def _bind_host(self) -> str:
        return self._settings.sip_listen[0].host.strip("[]")

    def _host(self, towards: str) -> str:
        if self._settings.sip_public_host:
            return self._settings.sip_public_host
        bound = self._bind_host
        if bound not in ("0.0.0.0", "::"):  # noqa: S104 - compared
            return bound
        return local_host(self._trunks.address_of(towards), "127.0.0.1")

    def _look(self) -> ExchangeHere:
        return ExchangeHere(
            pid=os.getpid(),
            why_not=self.why_not(),
            call_ids=tuple(sorted({*self.calls, *self._outbound.ringing})),
            bridged=tuple(sorted(id_ for id_, call in self.calls.items() if isinstance(call.talker, Bridge))),
            trunks=self._trunks.registrations(),
            journal=self._dialogs.journal,
        )
