"""Goes on with what an exchange before us left: who rang, who talked, who was put through to each other.

journal ─► not answered yet ─► 503, at once
        ─► dialog restored ─┬─ a shard says that it holds the call        ► goes on where it was
                            ├─ both were put through to each other        ► bridged again, on the same ports
                            ├─ it was answered, and no more               ► answered again, and a shard has it
                            ├─ the api names another attempt: `left_by_both`  ► another shard has it
                            └─ nobody wants it for `CLAIM_SECONDS`        ► hung up, and the api is told
"""

import asyncio
import contextlib
import logging
import socket
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from pipelines.contract.phones import SipTrunk
from worker.exchange import sdp, sip
from worker.exchange.api import Api
from worker.exchange.calls import PhoneCall
from worker.exchange.dialogs import Came, Dialogs, Kept
from worker.exchange.frames import Holding, Over, is_leg
from worker.exchange.ports import Ports, Unavailable
from worker.exchange.shards import ConnectedShard
from worker.exchange.transfers import bridge, follow_again
from worker.exchange.trunks import Trunks, credential_of
from worker.lines.rtp.media import OurDirection

logger = logging.getLogger(__name__)

CLAIM_SECONDS = 10.0
"""For shards to say which calls they hold, after the exchange was restarted."""
SHARDS_SECONDS = 2.0
"""For shards to find the exchange again."""
TRUNKS_SECONDS = 5.0
"""For the api to tell of the trunks, after a restart with calls under way."""
RESTARTED = "the exchange was restarted"


class _Exchange(Protocol):
    calls: dict[str, PhoneCall]

    def spawn(self, work: Coroutine[Any, Any, Any]) -> object: ...
    async def follow(self, call: PhoneCall) -> None: ...
    def begin(self, call: PhoneCall) -> bool: ...
    def why_closed(self) -> str: ...
    def waits_again(self, call: PhoneCall) -> None: ...
    async def hold(self, call: PhoneCall, shard: ConnectedShard, wish: OurDirection) -> None: ...


class Restoration:
    """`run` once, before shards can claim what they hold; then `end_unclaimed`."""

    def __init__(
        self,
        exchange: _Exchange,
        engine: sip.Engine,
        api: Api,
        trunks: Trunks,
        dialogs: Dialogs,
        ports: Ports,
    ) -> None:
        self._exchange, self._engine, self._api = exchange, engine, api
        self._trunks, self._dialogs, self._ports = trunks, dialogs, ports
        self._unclaimed: dict[str, tuple[Kept, sip.Dialog]] = {}

    @property
    def talking(self) -> int:
        """How many of those whom no shard has claimed yet have a line."""
        return sum(not kept.waits_since for kept, _ in self._unclaimed.values())

    def unclaimed(self, call_id: str) -> Kept | None:
        """A call that no shard has said yet that it holds."""
        left = self._unclaimed.get(call_id)
        return left[0] if left is not None else None

    async def run(self) -> None:
        """Go on with the dialogs of an exchange before us, with what answers their carriers' challenges."""
        for came in self._dialogs.came():
            self._let_go(came)  # before they repeat their INVITE, and it is taken for another call
        for call_id, rang in self._dialogs.rang().items():
            if rang.sent:
                self._exchange.spawn(self._abandon(call_id, rang.sent))
            if not is_leg(call_id):
                why = "the exchange was restarted while it rang" if rang.sent else RESTARTED
                self._api.tell_soon(call_id, "ended", 0, why, is_unsure=not rang.was_called)
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
                # An exchange after us must not count on from where we began.
                self._dialogs.keep(kept.model_copy(update={"snapshot": dialog.snapshot()}))
            except sip.SipError:
                logger.warning("a dialog could not be restored", extra={"call_id": kept.call_id})
                self._dialogs.forget(kept.call_id)
                self._api.tell_soon(kept.call_id, "ended", 0, RESTARTED)
                continue
            self._unclaimed[kept.call_id] = kept, dialog
        self._bridge_again()

    def _let_go(self, came: Came) -> None:
        """Nobody waits for an exchange that is gone: their carrier tries another way, or says so."""
        code, why = 503, "the exchange was restarted while it rang"
        try:
            dialog = self._engine.restore(came.snapshot)
            if dialog.is_answered:
                code, why = 0, RESTARTED
                self._exchange.spawn(_hang_up(dialog))
            else:
                dialog.reject(code, headers=(("Retry-After", "5"),))
        except sip.SipError as error:
            logger.warning(
                "a call that came could not be refused",
                extra={"call_id": came.call_id, "why": type(error).__name__},
            )
        if came.call_id:
            self._api.tell_soon(came.call_id, "ended", code, why)

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
            self._exchange.calls[call.call_id] = call
            bridge(call, person, self._exchange.spawn, leg[0].bridged_until - time.time())
            self._exchange.spawn(self._exchange.follow(call))
            self._exchange.spawn(follow_again(person))

    def _end(self, kept: Kept, dialog: sip.Dialog, why: str) -> None:
        self._dialogs.forget(kept.call_id)
        self._exchange.spawn(dialog.hang_up())
        if not kept.is_leg:
            self._api.tell_soon(kept.call_id, "ended", 0, why)

    async def end_unclaimed(self) -> None:
        """Shards say which calls they still hold; what nobody holds is over."""
        await asyncio.sleep(SHARDS_SECONDS)
        for call_id, (kept, _) in list(self._unclaimed.items()):
            if not kept.taken and not kept.is_forwarded and not self._exchange.why_closed():
                self._begin(call_id)
        await asyncio.sleep(CLAIM_SECONDS - SHARDS_SECONDS)
        for call_id, (kept, dialog) in list(self._unclaimed.items()):
            del self._unclaimed[call_id]
            self._end(kept, dialog, "its process was gone when the exchange came back")

    def _begin(self, call_id: str) -> None:
        """It was answered in the moment of death: unless a shard has got its sockets, none knows of it."""
        call = self.left_by_both(call_id)
        if call is not None and not self._exchange.begin(call):
            self._exchange.spawn(call.hang_up())

    def claimed(
        self, shard: ConnectedShard, frame: Holding, sockets: tuple[socket.socket, socket.socket]
    ) -> None:
        """A shard says that it holds this call."""
        call_id = frame.call_id
        found = self._unclaimed.pop(call_id, None)
        if found is None or call_id in self._exchange.calls:
            _close(sockets)
            if call_id not in self._exchange.calls:
                # Nobody can be told of its end any more, so nobody talks on.
                shard.tell(Over(call_id=call_id, cause="line_lost", detail=RESTARTED))
            return
        call = self._known(*found, sockets)
        call.talker = shard
        self._exchange.calls[call_id] = call
        shard.call_ids.add(call_id)
        self._goes_on(call)
        if frame.wish != call.media.ours:
            self._exchange.spawn(self._exchange.hold(call, shard, frame.wish))
        if not call.waits_since:
            call.tell_place()  # that it is its turn stood in the journal before it was told

    def left_by_both(self, call_id: str) -> PhoneCall | None:
        """A call whose shard died with the exchange before us, on its ports again; None: they are taken."""
        kept, dialog = self._unclaimed[call_id]
        try:
            call = self._known(kept, dialog, self._ports.open_again(kept.address[1]))
        except Unavailable:
            return None
        del self._unclaimed[call_id]
        self._exchange.calls[call_id] = call
        self._goes_on(call)
        return call

    def _goes_on(self, call: PhoneCall) -> None:
        self._exchange.spawn(self._exchange.follow(call))
        if call.waits_since:
            self._exchange.waits_again(call)

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
            is_forwarded=kept.is_forwarded,
            is_overheard=kept.is_overheard,
            number=kept.number,
            waits_since=kept.waits_since,
        )


async def _hang_up(dialog: sip.Dialog) -> None:
    """Once our answer is acknowledged: before that no BYE may be sent (RFC 3261 §15)."""
    async for event in dialog.events():
        if isinstance(event, sip.Confirmed):
            await dialog.hang_up()


def _close(sockets: tuple[socket.socket, ...]) -> None:
    for one in sockets:
        one.close()
