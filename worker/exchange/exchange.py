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
import time
from collections.abc import Coroutine
from typing import Any

import aiohttp

from pipelines.contract.phones import SipTrunk
from pipelines.contract.websocket import Dial, HangUp, Obeyed, TakeUp, Withdraw
from worker.exchange import holds, sdp, sip
from worker.exchange.api import Api
from worker.exchange.bridge import Bridge
from worker.exchange.calls import PhoneCall, local_host, opened
from worker.exchange.dialogs import Dialogs, Kept
from worker.exchange.inbound import Inbound
from worker.exchange.link import (
    Agreed,
    FromShard,
    HangUpLine,
    Here,
    Holding,
    HoldLine,
    Leave,
    Over,
    PutThrough,
    TransferLine,
    is_leg,
    leg_of,
)
from worker.exchange.outbound import Outbound
from worker.exchange.ports import Ports, Unavailable
from worker.exchange.shards import ConnectedShard, Shards
from worker.exchange.transfers import Transfers, bridge, follow_again
from worker.exchange.trunks import Trunks, credential_of
from worker.lines.rtp.media import OurDirection
from worker.presence import ExchangeHere, ExchangePresence
from worker.settings import WorkerSettings

logger = logging.getLogger(__name__)

CLAIM_SECONDS = 10.0
"""For shards to say which calls they hold, after the exchange was restarted."""
TRUNKS_SECONDS = 5.0
"""For the api to tell of the trunks, after a restart with calls under way."""
ORPHAN_SECONDS = 35.0
"""For another shard to be named for a call whose shard died; the api gives up after thirty."""
GOODBYE_SECONDS = 3.0
RESTARTED = "the exchange was restarted"
DRAIN_LOOK_SECONDS = 0.05
TOLD_TO_END_SECONDS = 5.0
"""For calls that the worker has told to end, once it has waited for long enough."""


class Exchange:
    """`run` until SIGTERM."""

    def __init__(self, settings: WorkerSettings, engine: sip.Engine, http: aiohttp.ClientSession) -> None:
        self._settings, self._engine = settings, engine
        self._dialogs = Dialogs(settings.dialogs)
        self._api = Api(settings, http, self._dialogs.told)
        self._trunks = Trunks(engine, settings.api_url, http)
        self._shards = Shards(settings.exchange_socket, self._told, self._gone)
        self._outbound = Outbound(self, engine, self._api, self._trunks, self._dialogs)
        self._transfers = Transfers(self, engine, self._api, self._dialogs)
        self._ports = Ports(self._bind_host, *settings.rtp_ports)
        self._calls: dict[str, PhoneCall] = {}
        """Calls that are answered."""
        self._unclaimed: dict[str, tuple[Kept, sip.Dialog]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._presence = ExchangePresence(settings.calls_socket, self._look)
        self._is_stopping, self._is_hurried = asyncio.Event(), asyncio.Event()

    # ── for whoever takes calls ──────────────────────────────────────────────────────────────────
    @property
    def is_full(self) -> bool:
        """As many calls as allowed."""
        return len(self._calls) + len(self._outbound.ringing) >= self._settings.max_phone_calls

    def why_not(self) -> str:
        """Why no call could be taken or placed now; empty when one could."""
        if self._is_stopping.is_set():
            return "the worker is stopping"
        if not self._trunks.known.is_set():
            return "the exchange does not know its trunks yet"
        if not self._shards.count:
            return "the shards are starting"
        return "as many phone calls as allowed are running" if self.is_full else ""

    def open(self, towards: str) -> tuple[tuple[socket.socket, socket.socket], sdp.Ours]:
        """Sockets for a call with somebody there. Raises `Unavailable`."""
        return opened(self._ports, self._host(towards))

    def begin(self, call: PhoneCall) -> bool:
        """A call is answered: a shard talks. False when there is none."""
        if (shard := self._shards.choose(call.apart, self._apart())) is None:
            return False
        self._calls[call.call_id] = call
        shard.call_ids.add(call.call_id)
        call.hand_to(shard)
        self._presence.changed()
        return True

    def _apart(self) -> dict[str, str]:
        return {call_id: call.apart for call_id, call in self._calls.items()}

    def over(self, call: PhoneCall) -> None:
        """Its dialog has ended."""
        self._calls.pop(call.call_id, None)
        self.let_go(call)
        call.close()
        self._presence.changed()

    def let_go(self, call: PhoneCall) -> None:
        """The shard that has had it has nothing to do with it any more."""
        if isinstance(call.talker, ConnectedShard):
            call.talker.call_ids.discard(call.call_id)

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
        inbound = Inbound(self, self._api, self._trunks, self._dialogs, self._settings.max_phone_calls)
        looking = self.spawn(self._trunks.run())
        # Before shards can claim what they hold.
        await self._restore()
        async with self._shards.listening(), self._presence:
            work = [
                looking,
                self.spawn(self._invited(inbound)),
                self.spawn(self._obey()),
                self.spawn(self._end_unclaimed()),
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

    async def _invited(self, inbound: Inbound) -> None:
        async for dialog in self._engine.invitations():
            self.spawn(inbound.take(dialog, self.spawn))
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
                while (self._calls or self._outbound.ringing) and not self._is_hurried.is_set():  # noqa: ASYNC110
                    await asyncio.sleep(DRAIN_LOOK_SECONDS)

    async def _part(self) -> None:
        """Whoever is left is told; carriers know that we are gone."""
        self._engine.answer_options(503)
        self._presence.changed()
        dialogs = [call.dialog for call in self._calls.values()]
        dialogs += [*self._outbound.ringing.values(), *self._transfers.ringing.values()]
        dialogs += [leg.dialog for leg in self._transfers.legs.values()]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await asyncio.gather(*(one.hang_up() for one in dialogs), return_exceptions=True)
                await self._api.until_told()

    # ── orders ───────────────────────────────────────────────────────────────────────────────────
    async def _obey(self) -> None:
        while True:
            order = await self._presence.orders.get()
            match order:
                case Dial():
                    self._answer(order.order_id, self._outbound.dial(order))
                case Withdraw():
                    self._answer(order.order_id, self._outbound.withdraw(order.call_id))
                case TakeUp():
                    self._answer(order.order_id, self._take_up(order))
                case HangUp():
                    if (dialog := self._outbound.ringing.get(order.call_id)) is not None:
                        self.spawn(dialog.hang_up())
                    elif (call := self._calls.get(order.call_id)) is not None:
                        self.spawn(call.dialog.hang_up())

    def _answer(self, order_id: str, why_not: str) -> None:
        outcome: Any = "refused" if why_not else "done"
        self._presence.obeyed(Obeyed(order_id=order_id, outcome=outcome, message=why_not))

    def _take_up(self, order: TakeUp) -> str:
        call, left = self._calls.get(order.call_id), self._unclaimed.get(order.call_id)
        if (call is None and left is None) or (call is not None and isinstance(call.talker, Bridge)):
            return "the call is over"
        apart = call.apart if call is not None else left[0].apart if left is not None else ""
        if (shard := self._shards.spare(apart, self._apart())) is None:
            return "no shard is there"
        if call is None and (call := self._left_by_both(order.call_id)) is None:
            return "its ports are taken"
        self._transfers.drop(leg_of(call.call_id))
        self.let_go(call)
        shard.call_ids.add(call.call_id)
        call.hand_to(shard, order.attempt)
        return ""

    # ── shards ───────────────────────────────────────────────────────────────────────────────────
    def _told(
        self, shard: ConnectedShard, frame: FromShard, sockets: tuple[socket.socket, socket.socket] | None
    ) -> None:
        if isinstance(frame, Here):
            self._presence.changed()
            return
        if isinstance(frame, Holding) and sockets is not None:
            self._claimed(shard, frame, sockets)
            return
        call = self._calls.get(frame.call_id)
        if call is None and isinstance(frame, HangUpLine):
            self._transfers.drop(frame.call_id)  # whom it has called for a call
        if call is None or call.talker is not shard:
            return  # another shard has it by now
        match frame:
            case HangUpLine():
                shard.call_ids.discard(call.call_id)
                self.spawn(call.dialog.hang_up())
            case Leave():
                shard.call_ids.discard(call.call_id)
                self._transfers.drop(leg_of(call.call_id))
                self.spawn(self._orphaned(call))
            case HoldLine():
                self.spawn(self._hold(call, shard, frame.wish))
            case TransferLine():
                self.spawn(self._transfers.transfer(call, frame))
            case PutThrough():
                self._transfers.put_through(call, frame)
            case _:
                pass

    async def _hold(self, call: PhoneCall, shard: ConnectedShard, wish: OurDirection) -> None:
        why_not = await holds.agree(call, wish)
        shard.tell(Agreed(call_id=call.call_id, wish=wish, why_not=why_not))

    def _gone(self, shard: ConnectedShard) -> None:
        """A shard's process ended. Its calls wait for the api to name another attempt."""
        for call in self._calls.values():
            if call.talker is shard:
                logger.warning("a shard is gone, its call waits", extra={"call_id": call.call_id})
                self._transfers.drop(leg_of(call.call_id))
                self.spawn(self._orphaned(call))
        self._presence.changed()

    async def _orphaned(self, call: PhoneCall) -> None:
        """Nobody talks: hang up unless another shard has the call by then."""
        taken = call.taken
        await asyncio.sleep(ORPHAN_SECONDS)
        if self._calls.get(call.call_id) is call and call.taken == taken:
            await call.dialog.hang_up()

    # ── after a restart ──────────────────────────────────────────────────────────────────────────
    async def _restore(self) -> None:
        """Go on with the dialogs of an exchange before us, with what answers their carriers' challenges."""
        for call_id, sent in self._dialogs.rang().items():
            if sent:
                self.spawn(self._abandon(call_id, sent))
            if not is_leg(call_id):
                why = "the exchange was restarted while it rang" if sent else RESTARTED
                self._api.tell_soon(call_id, "ended", 0, why)
        if not (left := self._dialogs.kept()):
            return
        with contextlib.suppress(TimeoutError):
            # What the far side sends meanwhile it repeats.
            await asyncio.wait_for(self._trunks.known.wait(), TRUNKS_SECONDS)
        for kept in left:
            trunk = self._trunks.get(kept.trunk_id)
            try:
                dialog = self._engine.restore(
                    kept.snapshot, credential=None if trunk is None else credential_of(trunk)
                )
            except sip.SipError:
                logger.warning("a dialog could not be restored", extra={"call_id": kept.call_id})
                self._dialogs.forget(kept.call_id)
                self._api.tell_soon(kept.call_id, "ended", 0, RESTARTED)
                continue
            self._unclaimed[kept.call_id] = kept, dialog
        self._bridge_again()

    async def _abandon(self, call_id: str, sent: str) -> None:
        """No telephone rings on for an exchange that is gone."""
        try:
            trouble = await self._engine.abandon(sent)
        except sip.SipError as error:
            trouble = type(error).__name__
        if trouble:
            logger.warning(
                "a call that rang could not be cancelled", extra={"call_id": call_id, "why": trouble}
            )

    def _bridge_again(self) -> None:
        """Whoever was put through goes on, on the same ports; whoever was only asked is let go."""
        for leg_id in [id_ for id_, (kept, _) in self._unclaimed.items() if kept.is_leg]:
            leg = self._unclaimed.pop(leg_id)
            other = self._unclaimed.pop(leg[0].bridged_with, None)
            with contextlib.ExitStack() as undo:
                try:
                    pairs = [self._ports.open_again(kept.address[1]) for kept, _ in (leg, other or leg)]
                except Unavailable:  # or the leg's own ports, twice
                    pairs = []
                for one in (socket_ for pair in pairs for socket_ in pair):
                    undo.callback(one.close)
                if other is None or not pairs:
                    for kept, dialog in (leg, *((other,) if other is not None else ())):
                        self._end(kept, dialog, RESTARTED)
                    continue
                undo.pop_all()
            person, call = (self._known(*one, pair) for one, pair in zip((leg, other), pairs, strict=True))
            self._calls[call.call_id] = call
            bridge(call, person, self.spawn, leg[0].bridged_until - time.time())
            self.spawn(self.follow(call))
            self.spawn(follow_again(person))

    def _end(self, kept: Kept, dialog: sip.Dialog, why: str) -> None:
        self._dialogs.forget(kept.call_id)
        self.spawn(dialog.hang_up())
        if not kept.is_leg:
            self._api.tell_soon(kept.call_id, "ended", 0, why)

    async def _end_unclaimed(self) -> None:
        """Shards say which calls they still hold; what nobody holds is over."""
        await asyncio.sleep(CLAIM_SECONDS)
        for call_id, (kept, dialog) in list(self._unclaimed.items()):
            del self._unclaimed[call_id]
            self._end(kept, dialog, "its process was gone when the exchange came back")

    def _claimed(
        self, shard: ConnectedShard, frame: Holding, sockets: tuple[socket.socket, socket.socket]
    ) -> None:
        call_id = frame.call_id
        found = self._unclaimed.pop(call_id, None)
        if found is None or call_id in self._calls:
            _close(sockets)
            if call_id not in self._calls:  # nobody can be told of its end any more, so nobody talks on
                shard.tell(Over(call_id=call_id, cause="line_lost", detail=RESTARTED))
            return
        call = self._known(*found, sockets)
        call.talker = shard
        self._calls[call_id] = call
        shard.call_ids.add(call_id)
        call.keep()  # a third exchange must not count on from where this one began
        self.spawn(self.follow(call))
        if frame.wish != call.media.ours:
            self.spawn(self._hold(call, shard, frame.wish))

    def _left_by_both(self, call_id: str) -> PhoneCall | None:
        """A call whose shard died with the exchange before us, on its ports again; None: they are taken."""
        kept, dialog = self._unclaimed[call_id]
        try:
            call = self._known(kept, dialog, self._ports.open_again(kept.address[1]))
        except Unavailable:
            return None
        del self._unclaimed[call_id]
        self._calls[call_id] = call
        self.spawn(self.follow(call))
        return call

    def _known(
        self, kept: Kept, dialog: sip.Dialog, sockets: tuple[socket.socket, socket.socket]
    ) -> PhoneCall:
        trunk = self._trunks.get(kept.trunk_id)
        return PhoneCall(
            kept.call_id,
            dialog,
            trunk or SipTrunk(trunk_id=kept.trunk_id, server="invalid"),
            sockets,
            sdp.Ours(kept.address, kept.session_id, kept.version),
            kept.media,
            self._dialogs,
            is_outbound=kept.is_outbound,
            is_leg=kept.is_leg,
            taken=kept.taken,
            wish=kept.wish,
            apart=kept.apart,
        )

    # ── what we are called ───────────────────────────────────────────────────────────────────────
    @property
    def _bind_host(self) -> str:
        return self._settings.sip_listen[0].host.strip("[]")

    def _host(self, towards: str) -> str:
        if self._settings.sip_public_host:
            return self._settings.sip_public_host
        bound = self._bind_host
        return local_host(towards, "127.0.0.1") if bound in ("0.0.0.0", "::") else bound  # noqa: S104 - compared

    def _look(self) -> ExchangeHere:
        return ExchangeHere(
            pid=os.getpid(),
            why_not=self.why_not(),
            call_ids=tuple(sorted({*self._calls, *self._outbound.ringing})),
            bridged=tuple(
                sorted(id_ for id_, call in self._calls.items() if isinstance(call.talker, Bridge))
            ),
            trunks=self._trunks.registrations(),
        )


def _close(sockets: tuple[socket.socket, ...]) -> None:
    for one in sockets:
        one.close()
